"""Which model forecasts each series: the default, or a challenger that wins clearly at past origins.

The same origins, steps and samples count for all. A challenger must be at least a tenth better in mean absolute error
over all origins and better at most of them: with few origins, less is luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.challengers import available, predict
from workbench.detect.forecast.clock import Clock, clock
from workbench.detect.forecast.conformal import half_widths
from workbench.detect.forecast.default import Prediction, forecast
from workbench.detect.robust import Block
from workbench.errors import MissingDependency, check_one_of

__all__ = ["choose"]

_CLEARLY = 0.9
_ORIGINS = 4


def choose(
    values: Block, horizon: int, step_s: float, level: float = 0.9, model: str = "default"
) -> tuple[Prediction, tuple[str, ...]]:
    """Forecast every series with a named model, or with the one that did best in its past.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
    horizon, step_s, level
        As `forecast` takes them.
    model : str, optional
        "default"; "auto", which tries every challenger installed (about a second per series); or one challenger:
        "ets", "sarimax", "theta".

    Returns
    -------
    prediction : Prediction
        `weights` are zero for a series that a challenger forecasts.
    models : tuple of str
        The model of each series.

    Raises
    ------
    InvalidInput
        If the model is not known.
    MissingDependency
        If it needs a package that is not installed.
    """
    check_one_of(model, ("auto", "default", "ets", "sarimax", "theta"), "model")
    if model == "theta" and model not in available():
        raise MissingDependency("model 'theta' needs statsforecast: install it, or use 'default', 'ets' or 'sarimax'.")
    base = forecast(values, horizon, step_s, level)
    names = () if model == "default" else available() if model == "auto" else (model,)
    chosen = ["default"] * len(base.point)
    time = clock(values.shape[1], step_s)
    for name in names:
        for row in range(len(base.point)):
            won = _challenge(name, values[row], base, row, time, horizon, level, forced=model == name)
            if won is not None:
                base, chosen[row] = won, name
    return base, tuple(chosen)


def _challenge(
    name: str,
    line: npt.NDArray[np.float64],
    base: Prediction,
    row: int,
    time: Clock,
    horizon: int,
    level: float,
    *,
    forced: bool,
) -> Prediction | None:
    """Return the prediction with one series replaced, where the challenger wins on it or is forced."""
    line = np.where(np.isfinite(line), line, np.nan)
    tried = _origins(time, horizon, len(line))
    off = np.full((len(time.origins) - 1, horizon), np.nan)
    for k in tried:
        origin = int(time.origins[k])
        ahead = min(horizon, len(line) - origin)
        said = predict(name, line[:origin], ahead, time.day, time.week)
        off[k, :ahead] = line[origin : origin + ahead] - said
    if not forced and not _wins(off[tried], base.residuals[row, tried]):
        return None
    point = predict(name, line, horizon, time.day, time.week)
    if not np.isfinite(point).all():
        return None
    half = half_widths(off[None], time, level)[0]
    error = float(np.abs(off[np.isfinite(off)]).mean()) if np.isfinite(off).any() else float("nan")
    return _replaced(base, row, point, half, off, error)


def _origins(time: Clock, horizon: int, samples: int) -> list[int]:
    """Return the positions of up to four origins, the horizon (or a quarter of what there is) apart, newest first."""
    apart = max(time.block, min(horizon, (samples - int(time.origins[0])) // _ORIGINS))
    wanted = samples - apart * np.arange(1, _ORIGINS + 1)
    return [int(np.argmin(np.abs(time.origins - w))) for w in wanted if len(time.origins) > 1 and w >= time.origins[0]]


def _wins(challenger: Block, incumbent: Block) -> bool:
    both = np.isfinite(challenger) & np.isfinite(incumbent)
    if not both.any() or (np.isfinite(incumbent) & ~np.isfinite(challenger)).any():
        return False
    new, old = (np.where(both, np.abs(off), 0.0) for off in (challenger, incumbent))
    better = (new.sum(1) < old.sum(1)).sum()
    return bool(new.sum() < _CLEARLY * old.sum() and 2 * better > len(new))


def _replaced(base: Prediction, row: int, point: Block, half: Block, off: Block, error: float) -> Prediction:
    new: Sequence[tuple[str, object]] = (
        ("point", point), ("low", point - half), ("high", point + half), ("residuals", off), ("error", error),
        ("weights", 0.0),
    )  # fmt: skip
    changed = {}
    for name, value in new:
        array = getattr(base, name).copy()
        array[row] = value
        changed[name] = array
    return replace(base, **changed)
