"""Functions that look at one value at a time, calendar functions, and conversions between scalars and vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from workbench.query.promql.values import Bools, Floats, Ints, Labels, Scalar, Vector

__all__ = [
    "CALENDAR",
    "ELEMENTWISE",
    "SCALARS",
    "apply_calendar",
    "apply_elementwise",
    "of_scalar",
    "sort_values",
    "to_scalar",
]


def _round(values: Floats, nearest: Floats | None = None) -> Floats:
    inverse = 1.0 / (np.ones(1) if nearest is None else nearest)
    return np.asarray(np.floor(values * inverse + 0.5) / inverse)


def _clamp(values: Floats, low: Floats, high: Floats) -> Floats:
    return np.asarray(np.maximum(low, np.minimum(high, values)))


ELEMENTWISE: Final[dict[str, Callable[..., Floats]]] = {
    "abs": np.abs, "ceil": np.ceil, "floor": np.floor, "exp": np.exp, "ln": np.log, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "sgn": np.sign, "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atanh": np.arctanh, "cos": np.cos, "cosh": np.cosh, "sin": np.sin, "sinh": np.sinh,
    "tan": np.tan, "tanh": np.tanh, "deg": np.degrees, "rad": np.radians, "round": _round, "clamp": _clamp,
    "clamp_min": np.maximum, "clamp_max": np.minimum,
}  # fmt: skip
"""Functions from (values, one number per step for each further argument) to values."""


SCALARS: Final[dict[str, Callable[..., Floats]]] = {"min_of": np.minimum, "max_of": np.maximum}
"""Functions from scalars to a scalar."""


def apply_elementwise(name: str, vector: Vector, params: list[Scalar]) -> Vector:
    """Return a vector with a function applied to every value."""
    with np.errstate(all="ignore"):
        out = vector.mapped(ELEMENTWISE[name](vector.values, *[p.values for p in params]))
    if name == "clamp":
        possible: Bools = ~(params[1].values < params[0].values)
        out = replace(out, present=out.present & possible)
    return out


def _days(seconds: Ints, unit: str) -> Ints:
    return np.asarray(seconds.astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64))


def _day_of_month(seconds: Ints) -> Ints:
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    return np.asarray((days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1)


def _day_of_year(seconds: Ints) -> Ints:
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    return np.asarray((days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) + 1)


def _days_in_month(seconds: Ints) -> Ints:
    months = seconds.astype("datetime64[s]").astype("datetime64[M]")
    return np.asarray(((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64))


CALENDAR: Final[dict[str, Callable[[Ints], Ints]]] = {
    "minute": lambda s: s // 60 % 60,
    "hour": lambda s: s // 3600 % 24,
    "day_of_week": lambda s: (s // 86400 + 4) % 7,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "days_in_month": _days_in_month,
    "month": lambda s: _days(s, "M") % 12 + 1,
    "year": lambda s: _days(s, "Y") + 1970,
}
"""Functions of seconds since 1970, UTC."""


def apply_calendar(name: str, vector: Vector) -> Vector:
    """Return a calendar figure of every value, a number of seconds since 1970."""
    # Years beyond what datetime64[s] can hold would overflow; so would NaN.
    fits = np.abs(vector.values) < 1e15
    seconds = np.where(fits, np.floor(np.where(fits, vector.values, 0.0)), 0.0).astype(np.int64)
    return vector.mapped(np.where(fits, CALENDAR[name](seconds).astype(np.float64), np.nan))


def of_scalar(scalar: Scalar) -> Vector:
    """Return a vector of one series without labels."""
    values = scalar.values[None, :]
    return Vector.build(Labels(1, {}), values, np.ones(values.shape, bool))


def to_scalar(vector: Vector) -> Scalar:
    """Return, per step, the value of the only number present, NaN where there is not exactly one."""
    vector = vector.numbers()
    total = np.where(vector.present, vector.values, 0.0).sum(axis=0)
    return Scalar(np.where(vector.present.sum(axis=0) == 1, total, np.nan))


def sort_values(vector: Vector, *, descending: bool) -> Vector:
    """Return the vector with rows sorted by value, NaN last, when there is a single step; unchanged otherwise."""
    out = vector.numbers().compact()
    if vector.values.shape[1] != 1:
        return out
    key = out.values[:, 0]
    order = np.argsort(-key if descending else key, kind="stable")
    return replace(out.take(order), ordered=True)
