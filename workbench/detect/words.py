"""Numbers and series in words, for titles of events."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["describe", "lasted", "named", "plain", "quantity", "series_text"]

_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))
_BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (0.0, "B"))
_PLAIN = ((1e9, "G"), (1e6, "M"), (1e4, "k"), (0.0, ""))
_ELSEWHERE = {
    "metric",
    "unit",
    "service",
    "env",
    "version",
    "host",
    "instance",
    "network.protocol.version",
    "url.scheme",
}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit, three digits, in the scale a person would choose.

    Parameters
    ----------
    value : float
    unit : str
        UCUM as OpenTelemetry writes it: "s", "By", "1", "%", "{request}", "By/s"; "" for none.
    """
    if not math.isfinite(value):
        return "nothing"
    base, slash, per = unit.partition("/")
    suffix = f"/{per.strip('{}')}" if slash else ""
    if base in _SECONDS:
        seconds = value * _SECONDS[base]
        return _scaled(seconds, _TIME, {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}) + suffix
    if base == "By":
        return _scaled(value, _BYTES, {name: size or 1.0 for size, name in _BYTES}) + suffix
    word = "" if base == "1" else base.strip("{}")
    text = _scaled(value, _PLAIN, {name: size or 1.0 for size, name in _PLAIN})
    return f"{text}{word if word == '%' else f' {word}' if word else ''}{suffix}"


def _scaled(value: float, steps: tuple[tuple[float, str], ...], size: Mapping[str, float]) -> str:
    if value == 0:
        name = next((n for n in ("s", "B", "") if n in size), "")
        return f"0 {name}".strip()
    name = next(n for least, n in steps if abs(value) >= least)
    number = f"{value / size[name]:.3g}"
    if "e" in number:
        number = f"{value / size[name]:.0f}" if 1 <= abs(value / size[name]) < 1e6 else number
    return f"{number} {name}" if len(name) > 1 or name in ("s", "B") else f"{number}{name}"


def series_text(labels: Mapping[str, str]) -> str:
    """Return a series as text, `metric{name="value"}` with labels sorted; quotes and backslashes are escaped."""
    parts = [
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in sorted(labels.items())
        if name != "metric"
    ]
    return labels.get("metric", "") + ("{" + ",".join(parts) + "}" if parts else "")


def plain(text: object, limit: int = 300) -> str:
    """Return one line of printable text: what cannot be seen becomes U+FFFD, so that no label drives a terminal."""
    whole = str(text)
    shown = "".join(c if c.isprintable() else "\ufffd" for c in whole[:limit])
    return shown if len(whole) <= limit else shown[: limit - 1] + "\u2026"


def lasted(seconds: float) -> str:
    """Return a duration as people say it: `45 s`, `30 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for size, name, less, unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            big, small = divmod(whole, size)
            small = small // less if big < 10 else 0
            return f"{big} {name} {small} {unit}" if small else f"{big} {name}"
    return f"{seconds:.3g} s"


def named(labels: Mapping[str, str]) -> str:
    """Return what to call a series in a sentence: its metric and the labels that are its own."""
    own = [f"{name.rpartition('.')[2]} {text}" for name, text in sorted(labels.items()) if name not in _ELSEWHERE]
    where = ", ".join(own)
    return labels.get("metric", "value") + (f" ({where if len(where) <= 100 else where[:99] + '…'})" if where else "")


def describe(labels: Mapping[str, str], before: float, after: float, unit: str) -> str:
    """Return one sentence on a shift: the metric and its own labels, which way it went, from what to what."""
    name = named(labels)
    if not (math.isfinite(before) and math.isfinite(after)):
        return f"{name} went from {quantity(before, unit)} to {quantity(after, unit)}"
    if before == after:
        return f"{name} became unsteady at {quantity(after, unit)}"
    return f"{name} {'rose' if after > before else 'fell'} from {quantity(before, unit)} to {quantity(after, unit)}"
