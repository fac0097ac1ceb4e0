"""What a field of a search means on a given frame: which column, and how its values compare.

Four kinds of columns are told apart. Severities compare by OpenTelemetry's ranges, durations (columns ending `_ns`)
take units, numbers compare as numbers, everything else is text.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput
from workbench.query.search.ast import Field
from workbench.signals.names import from_otel
from workbench.signals.time import duration_ns, parse_time

__all__ = [
    "SEVERITIES",
    "TEXT_COLUMNS",
    "column_of",
    "instant",
    "number",
    "quantity",
    "severity_names",
    "severity_range",
]

SEVERITIES: Final[dict[str, tuple[int, int]]] = {
    "trace": (1, 4), "debug": (5, 8), "info": (9, 12), "warn": (13, 16), "error": (17, 20), "fatal": (21, 24),
}  # fmt: skip
"""OpenTelemetry's severity ranges, both ends included."""

_SEVERITY_ALIASES: Final = {
    "warning": "warn", "err": "error", "critical": "fatal", "information": "info", "notice": "info",
}  # fmt: skip

TEXT_COLUMNS: Final = ("body", "name", "title")
"""Columns that free text looks in, where the frame has them."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def column_of(field: Field, columns: pd.Index) -> str | None:
    """Return the column a field means, or None when the frame has none.

    `@name` is the column `name` first; a bare `status` is the severity where there is one, `severity` and `duration`
    are `severity` and `duration_ns`; OpenTelemetry spellings of the reserved words mean the reserved words.
    """
    name = field.name
    if field.attribute and name in columns:
        return name
    if name == "status" and "severity" in columns:
        return "severity"
    if name == "duration" and "duration_ns" in columns:
        return "duration_ns"
    return next((candidate for candidate in (name, from_otel(name)) if candidate in columns), None)


def severity_range(value: str) -> tuple[int, int] | None:
    """Return the lowest and highest severity number a word or number stands for, or None."""
    name = value.lower()
    if name.isascii() and name.isdigit() and len(name) < 4:
        return int(name), int(name)
    return SEVERITIES.get(_SEVERITY_ALIASES.get(name, name))


def severity_names() -> npt.NDArray[np.object_]:
    """Return the severity word of every number 0-24, str objects of shape (25,); number 0 is ""."""
    out = np.full(25, "", object)
    for name, (low, high) in SEVERITIES.items():
        out[low : high + 1] = name
    return out


def number(text: str) -> int | float | None:
    """Return the number a text spells in decimal notation, or None; whole numbers stay exact."""
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def quantity(text: str, column: str) -> int | float | None:
    """Return a number, or nanoseconds for a duration with units when the column ends in `_ns`; else None."""
    plain = number(text)
    if plain is not None or not column.endswith("_ns"):
        return plain
    sign = -1 if text.startswith("-") else 1
    try:
        return sign * duration_ns(text.removeprefix("-"))
    except (InvalidInput, OverflowError):
        return None


def instant(text: str) -> np.datetime64 | None:
    """Return the instant a text spells (ISO 8601 or relative to now), or None."""
    try:
        return parse_time(text)
    except InvalidInput:
        return None
