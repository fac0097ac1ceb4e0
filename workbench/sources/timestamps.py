"""Instants as foreign formats write them, to nanoseconds since 1970."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals.time import MAX_NS, MIN_NS

__all__ = ["UNIT_NS", "instant_ns", "instants_ns", "unit_of"]

UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of each unit a number of time may have."""


def unit_of(magnitude: float) -> str:
    """Return the unit in which a number since 1970 of this size lies between 1973 and 2262 when read as an instant."""
    size = abs(magnitude)
    return "s" if size < 1e10 else "ms" if size < 1e13 else "us" if size < 1e16 else "ns"


def instant_ns(value: Any) -> int | None:
    """Return one instant (ISO 8601 text, or a number since 1970 whose size tells its unit); None if it is not valid."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return _iso_ns(value)
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        ns = round(value * UNIT_NS[unit_of(value)])
    elif isinstance(value, int):
        ns = value * UNIT_NS[unit_of(value)] if abs(value) < 2**80 else -1
    else:
        return None
    return ns if MIN_NS <= ns < MAX_NS else None


def _iso_ns(text: str) -> int | None:
    if not text[:1].isdigit():  # pandas would take "now"
        return None
    try:
        stamp: Any = pd.Timestamp(text)
        if pd.isna(stamp):
            return None
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        ns = int(stamp.as_unit("ns").value)
    except (ValueError, TypeError, OverflowError):
        return None
    return ns if MIN_NS <= ns < MAX_NS else None


def instants_ns(column: pd.Series, unit: str = "") -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return a column of instants as int64 ns of shape (n,), and a mask of those that are missing or not valid.

    Parameters
    ----------
    column : Series
        Timestamps, ISO 8601 text, or numbers since 1970.
    unit : str, optional
        Unit of numbers, one of `UNIT_NS`; told from the median size by default.
    """
    n = len(column)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        aware = column.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(column.dtype, "tz", None) else column
        seconds = aware.astype("datetime64[s]").to_numpy().astype(np.int64)
        fits = aware.notna().to_numpy() & (seconds >= MIN_NS // 10**9) & (seconds < MAX_NS // 10**9)
        ns = aware.where(fits).astype("datetime64[ns]").to_numpy().astype(np.int64)
        return np.where(fits, ns, 0), ~fits
    numbers = pd.to_numeric(column, errors="coerce")
    if pd.api.types.is_integer_dtype(numbers.dtype) and not numbers.isna().any():
        whole = numbers.to_numpy(np.int64, na_value=0)
        factor = UNIT_NS[unit or unit_of(float(np.median(whole)) if n else 0.0)]
        good = (whole >= 0) & (whole < MAX_NS // factor)
        return np.where(good, whole, 0) * factor, ~good
    if numbers.notna().sum() * 2 >= n and n:
        floats = numbers.to_numpy(np.float64, na_value=np.nan)
        factor = UNIT_NS[unit or unit_of(float(np.nanmedian(floats)))]
        with np.errstate(invalid="ignore"):
            good = (floats >= 0) & (floats < MAX_NS / factor)
        return np.rint(np.where(good, floats, 0) * factor).astype(np.int64), ~good
    stamps = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    return instants_ns(stamps.dt.tz_localize(None))
