"""Range functions over many samples by compiled loops; `functions_range.py` holds the same in numpy, for small inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Bools, Floats
from workbench.query.promql.windows import heavy

__all__ = ["FAST", "fast"]

_WALKED: Final = ("stdvar_over_time", "stddev_over_time", "deriv", "predict_linear")
_LONGEST_WALK: Final = 300
"""Samples in a window from which the numpy form, a walk over places, is slower than loading a compiled loop."""


def fast(name: str, ranges: Ranges, params: list[Floats]) -> tuple[Floats, Bools] | None:
    """Return values and presence, shape (n, t), of a function worth a compiled loop, None where there is none."""
    make = FAST.get(name)
    if make is None or not len(ranges.time) or (ranges.start is not None and name in ("rate", "increase")):
        return None
    long = name in _WALKED and int((ranges.high - ranges.low).max(initial=0)) > _LONGEST_WALK
    if not long and not heavy(len(ranges.time) + ranges.labels.n * len(ranges.end)):
        return None
    return make(ranges, *params)


def _rate(counter: bool, per_second: bool) -> Callable[[Ranges], tuple[Floats, Bools]]:
    def whole(ranges: Ranges) -> tuple[Floats, Bools]:
        from workbench.query.promql.kernels import extrapolated

        shape = (ranges.labels.n, len(ranges.end))
        out, found = np.empty(shape), np.empty(shape, bool)
        rule = int(ranges.closed), counter, ranges.seconds if per_second else 1.0
        extrapolated(ranges.time, ranges.value, ranges.offsets, (ranges.begin, ranges.end), rule, out, found)
        return out, found

    return whole


def _extreme(largest: bool) -> Callable[[Ranges], tuple[Floats, Bools]]:
    def whole(ranges: Ranges) -> tuple[Floats, Bools]:
        from workbench.query.promql.kernels import extremes

        out = np.empty(ranges.low.shape)
        extremes(ranges.value, ranges.low, ranges.high, largest, out)
        return out, ranges.high > ranges.low

    return whole


def _variance(root: bool) -> Callable[[Ranges], tuple[Floats, Bools]]:
    def whole(ranges: Ranges) -> tuple[Floats, Bools]:
        from workbench.query.promql.kernels import variances

        out = np.empty(ranges.low.shape)
        variances(ranges.value, ranges.low.ravel(), ranges.high.ravel(), out.ravel())
        return (np.sqrt(out) if root else out), ranges.high > ranges.low

    return whole


def _line(ranges: Ranges, *seconds: Floats) -> tuple[Floats, Bools]:
    from workbench.query.promql.kernels import regressions

    slope, level = np.empty(ranges.low.shape), np.empty(ranges.low.shape)
    some = ranges.high - ranges.low >= 2
    origin = np.broadcast_to(ranges.steps, some.shape) if seconds else ranges.time[np.where(some, ranges.low, 0)]
    low, high = ranges.low.ravel(), ranges.high.ravel()
    regressions(ranges.time, ranges.value, low, high, origin.ravel(), slope.ravel(), level.ravel())
    return (slope * seconds[0] + level if seconds else slope), some


def _quantile(ranges: Ranges, q: Floats) -> tuple[Floats, Bools]:
    from workbench.query.promql.kernels import quantiles

    out = np.empty(ranges.low.shape)
    quantiles(ranges.value, ranges.low, ranges.high, np.clip(np.where(np.isnan(q), 0.0, q), 0, 1), out)
    out = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.where(np.isnan(q), np.nan, out)))
    return out, ranges.high > ranges.low


FAST: Final[dict[str, Callable[..., tuple[Floats, Bools]]]] = {
    "rate": _rate(True, True),
    "increase": _rate(True, False),
    "delta": _rate(False, False),
    "max_over_time": _extreme(True),
    "min_over_time": _extreme(False),
    "stdvar_over_time": _variance(False),
    "stddev_over_time": _variance(True),
    "deriv": _line,
    "predict_linear": _line,
    "quantile_over_time": _quantile,
}
"""Functions with a compiled loop, by name."""
