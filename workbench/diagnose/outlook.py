"""The history that forecasts and capacity rest on: recent weeks of an expression, on round steps."""

from __future__ import annotations

import numpy as np
import xarray as xr

from workbench.errors import InvalidInput, NotFound
from workbench.query import promql
from workbench.signals import duration_ns
from workbench.store import Store

__all__ = ["ahead_ns", "history"]

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_POINTS_AHEAD = 300
_MOST_POINTS = 100_000


def ahead_ns(horizon: object) -> int:
    """Return a horizon in nanoseconds.

    Raises
    ------
    InvalidInput
        If it is not a positive duration.
    """
    found = duration_ns(horizon)  # type: ignore[arg-type]
    if found <= 0:
        raise InvalidInput(f"horizon {horizon!r} is not ahead: give a duration such as '7d'.")
    return found


def history(
    store: Store, expr: str, window: tuple[np.datetime64, np.datetime64], span_ns: int, step_ns: int | None
) -> xr.DataArray:
    """Return an expression on round steps, up to the last one in a window.

    Parameters
    ----------
    store : Store
    expr : str
        PromQL.
    window : (datetime64[ns], datetime64[ns])
        Half-open.
    span_ns : int
        What about 300 steps should cover where no step is given: the horizon.
    step_ns : int or None

    Raises
    ------
    InvalidInput
        If the step is not positive, or so short that the window has more than 100,000 of them.
    NotFound
        If nothing is found: no series, or none with a sample at a step.
    """
    wanted = span_ns / _POINTS_AHEAD / 1e9
    step = step_ns if step_ns is not None else next((s for s in _STEPS if s >= wanted), _STEPS[-1]) * 10**9
    if step <= 0:
        raise InvalidInput(f"step {step / 1e9:g} s is not positive: give a duration such as '1h'.")
    first, last = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in window)
    end = (last - 1) // step * step
    start = -(-first // step) * step
    if start > end - step:
        raise InvalidInput(f"less than two steps of {step / 1e9:g} s lie in the window: start earlier or step shorter.")
    if (end - start) // step > _MOST_POINTS:
        raise InvalidInput(f"the window has {(end - start) // step:,} steps of {step / 1e9:g} s: take a longer step.")
    array = promql.evaluate(
        store, expr, np.datetime64(start, "ns"), np.datetime64(end, "ns"), np.timedelta64(step, "ns")
    )
    if not array.sizes["series"] or not np.isfinite(array.values).any():
        raise NotFound(
            f"{expr!r} has no samples at steps of {step / 1e9:g} s: check the name, and write avg_over_time(...[1h])"
            " where samples are rarer than every five minutes."
        )
    return array
