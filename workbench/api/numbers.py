"""Numbers and times as Prometheus spells them in JSON.

References
----------
Prometheus, `util/jsonutil/marshal.go`; Go, `strconv.FormatFloat` with the shortest digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

__all__ = ["plain", "seconds", "spelled"]


def spelled(values: Iterable[float]) -> list[str]:
    """Return values in plain digits, below 1e-6 and from 1e21 with an exponent."""
    return [_spell(value) for value in values]


def _spell(value: float) -> str:
    text = repr(value)
    if text[-2:] == ".0":
        return text[:-2]
    if "e" not in text and "n" not in text:
        return text
    size = abs(value)
    return text if size < 1e-6 or 1e21 <= size < float("inf") else plain(value)


def plain(value: float) -> str:
    """Return a value in plain digits however large or small it is, as Prometheus writes scalars."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def seconds(ms: int) -> str:
    """Return an instant in ms as a JSON number of seconds, three decimals unless they are zeros."""
    whole, rest = divmod(abs(ms), 1000)
    sign = "-" if ms < 0 else ""
    return f"{sign}{whole}.{rest:03}" if rest else f"{sign}{whole}"
