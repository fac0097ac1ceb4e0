"""Time at the door: everything becomes `datetime64[ns]`, naive, UTC, once.

Accepted are `datetime`, `pandas.Timestamp`, `numpy.datetime64`, ISO 8601 text and text relative to now
(`"now"`, `"-6h"`, `"now-15m"`).
"""

from __future__ import annotations

import re
from datetime import date, datetime
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
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w|y)")
_RELATIVE = re.compile(r"^\s*(?:now\s*)?([+-])\s*(\S+)\s*$")


def duration_ns(text: str | int | float) -> int:
    """Return a duration in nanoseconds: `"1h30m"`, `"500ms"`, or a number of seconds.

    Raises
    ------
    InvalidInput
        If the text is not a sum of numbers with units ns, us, ms, s, m, h, d, w, y.
    """
    if isinstance(text, int | float):
        return round(text * 1e9)
    compact = text.replace(" ", "")
    parts = _PART.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != compact:
        raise InvalidInput(
            f"duration {text!r} is not understood: write numbers with ns, us, ms, s, m, h, d, w or y, as in 1h30m."
        )
    return sum(round(float(n) * _UNITS[u]) for n, u in parts)


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
        current = (
            now
            if now is not None
            else np.datetime64(pd.Timestamp.now("UTC").tz_localize(None).as_unit("ns").value, "ns")
        )
        if text == "now":
            return current
        relative = _RELATIVE.match(text)
        if relative:
            sign = 1 if relative[1] == "+" else -1
            return current + sign * np.timedelta64(duration_ns(relative[2]), "ns")
    try:
        stamp = pd.Timestamp(value)
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        ns = stamp.as_unit("ns").value
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(
            f"time {value!r} is not understood: use ISO 8601, 'now' or an offset such as '-6h'."
        ) from error
    if stamp is pd.NaT or not MIN_NS <= ns < MAX_NS:
        raise InvalidInput(f"time {value!r} is outside 1970-2261, the years that 64-bit nanoseconds hold.")
    return np.datetime64(ns, "ns")


def window(start: TimeLike, end: TimeLike, now: np.datetime64 | None = None) -> tuple[np.datetime64, np.datetime64]:
    """Return the half-open window `[start, end)`, or raise `InvalidInput` when it is empty or reversed."""
    first, last = parse_time(start, now), parse_time(end, now)
    if first >= last:
        raise InvalidInput(f"the window from {first} to {last} is empty: start must lie before end.")
    return first, last
