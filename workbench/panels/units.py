"""Figures as people read them: numbers, durations, shares, instants, and round ticks for axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.incidents import wording
from workbench.panels.escape import clean, clip

__all__ = [
    "clock",
    "duration",
    "likelihood",
    "middle",
    "number",
    "quantity",
    "ratio",
    "share",
    "span",
    "ticks",
    "time_ticks",
]

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_BYTES = {"By", "bytes", "byte", "B"}
_SECONDS = {"s": 1e9, "seconds": 1e9, "ms": 1e6, "milliseconds": 1e6, "us": 1e3, "ns": 1.0, "nanoseconds": 1.0}


def _three(value: float) -> str:
    """Three significant digits without an exponent or trailing zeros."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:.{min(digits, 6)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def number(value: float) -> str:
    """Return a number with three significant digits and k, M, G or T: `1234` -> `1.23k`; no value is an en dash."""
    if not math.isfinite(value):
        return "\u2013"
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return _three(value / factor) + suffix
    return _three(value)


def duration(ns: float) -> str:
    """Return a duration given in nanoseconds: `850 ns`, `12.3 ms`, `1.24 s`, `2 min 10 s`, `1 h 5 min`.

    From a minute on the wording is that of `workbench.incidents.wording`.
    """
    if not math.isfinite(ns):
        return "\u2013"
    size = abs(ns)
    if size >= 59.5e9:
        return wording.duration(np.timedelta64(round(ns), "ns"))
    for factor, suffix in ((1e9, "s"), (1e6, "ms"), (1e3, "\u00b5s")):
        if size >= factor:
            return f"{_three(ns / factor)} {suffix}"
    return f"{_three(ns)} ns" if ns else "0"


def share(value: float) -> str:
    """Return a fraction as a percentage: `0.0312` -> `3.12 %`."""
    if not math.isfinite(value):
        return "\u2013"
    percent = 100 * value
    if 0 < abs(percent) < 0.01:
        return "<0.01 %"
    return f"{percent:.0f} %" if abs(percent) >= 99.5 else f"{_three(percent)} %"


def likelihood(value: float) -> str:
    """Return a probability in whole percent, never claiming certainty: `>99 %`, `81 %`, `<1 %`."""
    if not math.isfinite(value):
        return "\u2013"
    return ">99 %" if value > 0.99 else "<1 %" if value < 0.01 else f"{100 * value:.0f} %"


def quantity(value: float, unit: str) -> str:
    """Return a value with its UCUM unit: seconds and nanoseconds as durations, bytes in powers of 1024, shares in %."""
    if not math.isfinite(value):
        return "\u2013"
    if unit in _SECONDS:
        return duration(value * _SECONDS[unit])
    if unit == "share":
        return share(value)
    if unit in _BYTES or unit.removesuffix("/s") in _BYTES:
        tail = "/s" if unit.endswith("/s") else ""
        for factor, suffix in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= factor:
                return f"{_three(value / factor)} {suffix}{tail}"
        return f"{_three(value)} B{tail}"
    if unit in ("", "1") or unit.startswith("{"):
        # An annotation in braces says what is counted, not in which unit.
        return number(value) + ("/s" if unit.endswith("/s") else "")
    if unit.startswith("/"):
        return number(value) + clip(clean(unit), 16)
    return f"{number(value)} {clip(clean(unit), 16)}"


def ratio(after: float, before: float) -> str:
    """Return how a figure changed: `3.1x up` as an arrow and a factor; "" when it hardly did or cannot be said."""
    if not (math.isfinite(after) and math.isfinite(before)) or before <= 0 or after <= 0:
        return ""
    factor = after / before
    if 0.8 < factor < 1.25:
        return ""
    up = factor > 1
    size = factor if up else 1 / factor
    return f"{chr(0x2191) if up else chr(0x2193)}{_three(size) if size < 10 else number(round(size))}\u00d7"


def clock(time: np.datetime64, seconds: bool = True) -> str:
    """Return the time of day of an instant, `12:04:10`; "" for NaT."""
    return "" if np.isnat(time) else pd.Timestamp(time).strftime("%H:%M:%S" if seconds else "%H:%M")


def span(start: np.datetime64, end: np.datetime64) -> str:
    """Return a window as `2025-03-01 12:00:00 \u2013 12:15:00 UTC (15 min)`."""
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    tail = last.strftime("%H:%M:%S") if first.date() == last.date() else last.strftime("%Y-%m-%d %H:%M:%S")
    length = wording.duration(end - start)
    return f"{first.strftime('%Y-%m-%d %H:%M:%S')} \u2013 {tail} UTC ({length})"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers that lie in `[low, high]`."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(start: np.datetime64, end: np.datetime64, count: int) -> list[tuple[np.datetime64, str]]:
    """Return about `count` round instants in `[start, end]` with the label each gets."""
    seconds = float((end - start) / np.timedelta64(1, "s"))
    if seconds <= 0:
        return []
    step = next((s for s in _STEPS_S if seconds / s <= count), max(_STEPS_S[-1], math.ceil(seconds / count)))
    first = -(-int(start.astype("datetime64[s]").astype(np.int64)) // step) * step
    stamps = np.arange(first, int(end.astype("datetime64[s]").astype(np.int64)) + 1, step)
    style = "%m-%d" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    times = stamps.astype("datetime64[s]").astype("datetime64[ns]")
    keep = [t for t in times if start <= t <= end]
    return [(t, pd.Timestamp(t).strftime(style)) for t in keep]


def middle(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Return the median of the finite values, NaN when there is none."""
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    return float(np.median(array)) if len(array) else math.nan
