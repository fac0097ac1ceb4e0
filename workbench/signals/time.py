"""Time at the door: everything becomes `datetime64[ns]`, naive, UTC, once.

Accepted are `datetime`, `pandas.Timestamp`, `numpy.datetime64`, ISO 8601 text and text relative to now
(`"now"`, `"-6h"`, `"now-15m"`).
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import TypeAlias

import numpy as np
import pandas as pd

from workbench.errors import InvalidInput

__all__ = ["MAX_NS", "MIN_NS", "TimeLike", "duration_ns", "parse_time", "window"]

TimeLike: TypeAlias = str | datetime | date | pd.Timestamp | np.datetime64

MIN_NS = 0
"""1970-01-01: the earliest instant a sample, row or event may carry, ns."""

MAX_NS = 9_214_646_400_000_000_000
"""2262-01-01: instants from here on do not fit safely into 64-bit nanoseconds."""

_UNITS = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9, "w": 7 * 86400 * 10**9, "y": 365 * 86400 * 10**9,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w|y)", re.ASCII)
_RELATIVE = re.compile(r"(?:now)?\s*([+-])\s*(\S+)")
# Stricter than pandas, which also takes "10:30", "today" and "12/11/2024" and guesses what they mean.
_ISO = re.compile(
    r"(\d{4})(?:-\d\d(?:-\d\d)?|\d{4})?(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?\s?(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def duration_ns(text: str | int | float | timedelta | np.timedelta64) -> int:
    """Return a duration in nanoseconds: `"1h30m"`, `"500ms"`, a number of seconds, or a timedelta of any kind.

    Raises
    ------
    InvalidInput
        If the text is not a sum of numbers with units ns, us, ms, s, m, h, d, w, y, or longer than 292 years.
    """
    total: float
    if isinstance(text, timedelta | np.timedelta64):
        total = int(np.timedelta64(text, "ns").astype(np.int64))
    elif isinstance(text, int | float | np.number) and not isinstance(text, bool):
        total = float(text) * 1e9
    else:
        compact = text.replace(" ", "") if isinstance(text, str) else ""
        parts = _PART.findall(compact)
        if not parts or "".join(n + u for n, u in parts) != compact:
            raise InvalidInput(
                f"duration {_quoted(text)} is not understood: write numbers with ns, us, ms, s, m, h, d, w or y,"
                " as in 1h30m."
            )
        if all(n.isdigit() and len(n) < 20 for n, _ in parts):
            total = sum(int(n) * _UNITS[u] for n, u in parts)
        else:
            total = math.fsum(float(n) * _UNITS[u] for n, u in parts)
    if not -(2**63) < total < 2**63:
        raise InvalidInput(f"duration {_quoted(text)} is longer than the 292 years that 64-bit nanoseconds hold.")
    return round(total)


def parse_time(value: TimeLike, now: np.datetime64 | None = None) -> np.datetime64:
    """Return an instant as `datetime64[ns]`, naive UTC.

    Parameters
    ----------
    value : datetime, Timestamp, datetime64 or str
        An aware time is converted to UTC; a naive one is taken as UTC.
    now : datetime64[ns], optional
        What relative text refers to; the clock by default.

    Raises
    ------
    InvalidInput
        If the text is neither ISO 8601 nor relative, or the instant lies outside 1970-2261.
    """
    if isinstance(value, str):
        text = value.strip()
        relative = _RELATIVE.fullmatch(text)
        if text == "now" or relative:
            current = pd.Timestamp.now("UTC") if now is None else pd.Timestamp(now)
            shift = int(relative[1] + "1") * duration_ns(relative[2]) if relative else 0
            return _in_range(current.as_unit("ns").value + shift, value)
        iso = _ISO.fullmatch(text)
        if not iso:
            raise _not_understood(value)
        if not "1970" <= iso[1] <= "2261":
            raise _outside(value)
        value = text
    elif not isinstance(value, date | np.datetime64):
        raise _not_understood(value)
    try:
        stamp = pd.Timestamp(value)
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
    except (ValueError, TypeError, OverflowError) as error:
        raise _not_understood(value) from error
    if pd.isna(stamp) or not 1970 <= stamp.year <= 2261:
        raise _outside(value)
    return _in_range(stamp.as_unit("ns").value, value)


def _in_range(ns: int, given: object) -> np.datetime64:
    if not MIN_NS <= ns < MAX_NS:
        raise _outside(given)
    return np.datetime64(ns, "ns")


def _quoted(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 80 else text[:77] + "..."


def _not_understood(given: object) -> InvalidInput:
    return InvalidInput(f"time {_quoted(given)} is not understood: use ISO 8601, 'now' or an offset such as '-6h'.")


def _outside(given: object) -> InvalidInput:
    return InvalidInput(f"time {_quoted(given)} is outside 1970-2261, the years that 64-bit nanoseconds hold.")


def window(start: TimeLike, end: TimeLike, now: np.datetime64 | None = None) -> tuple[np.datetime64, np.datetime64]:
    """Return the half-open window `[start, end)`, or raise `InvalidInput` when it is empty or reversed."""
    first, last = parse_time(start, now), parse_time(end, now)
    if first >= last:
        raise InvalidInput(f"the window from {first} to {last} is empty: start must lie before end.")
    return first, last
