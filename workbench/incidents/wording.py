"""How instants, durations, fault kinds and queries are written, everywhere in this room."""

from __future__ import annotations

import re

import numpy as np

from workbench.diagnose.investigation import Window

__all__ = ["KIND_WORDS", "call", "count", "duration", "instant", "milliseconds", "probability", "share", "term"]

KIND_WORDS = {
    "latency": "slow responses",
    "errors": "failing requests",
    "bad_deploy": "a regression that came with a new version",
    "memory_leak": "growing memory",
    "cpu_saturation": "saturated CPU",
    "lock_contention": "threads waiting for a lock",
    "slow_query": "slow database queries",
    "dependency_down": "an unreachable dependency",
    "retry_storm": "a storm of retries",
    "traffic_surge": "a surge of traffic",
}
"""What each fault kind is called in a sentence; a condition of the system, never an act of a person."""

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*\Z")


def instant(time: np.datetime64) -> str:
    """Return an instant as `2026-01-02 03:04:05`, UTC."""
    return str(time.astype("datetime64[s]")).replace("T", " ")


def duration(delta: np.timedelta64) -> str:
    """Return a duration as people say it: `45 s`, `4 min 30 s`, `2 h 5 min`."""
    exact = float(delta / np.timedelta64(1, "s"))
    if 0 < abs(exact) < 1:
        return f"{exact:.2g} s"
    seconds = round(exact)
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{sign}{hours} h {minutes} min" if minutes else f"{sign}{hours} h"
    if minutes:
        return f"{sign}{minutes} min {seconds} s" if seconds else f"{sign}{minutes} min"
    return f"{sign}{seconds} s"


def milliseconds(nanoseconds: float) -> str:
    """Return a latency with three figures: `0.84 ms`, `127 ms`, `4.20 s`."""
    if not np.isfinite(nanoseconds):
        return "unknown"
    ms = nanoseconds / 1e6
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.3g} ms"


def share(part: float, whole: float) -> str:
    """Return `part` of `whole` as a percentage, `0 %` of nothing."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def probability(p: float) -> str:
    """Return a probability as a percentage that is never 0 or 100."""
    return "over 99 %" if p > 0.99 else "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 request`, `1,204 requests`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def term(field: str, value: str) -> str:
    """Return one condition of the search language, quoted where the value is not a plain word."""
    if _PLAIN.match(value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'


def call(method: str, query: str, window: Window) -> str:
    """Return what to type to get the rows: `bench.spans('service:cart', start='...', end='...')`."""
    start, end = (str(t.astype("datetime64[ms]")) for t in window)
    return f"bench.{method}({query!r}, start={start!r}, end={end!r})"
