"""Log levels by name to OpenTelemetry's severity numbers.

References
----------
OpenTelemetry, "Logs data model", fields SeverityNumber and SeverityText; RFC 5424 for syslog's names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["severity_from_text", "severity_numbers"]

_NAMES = {
    "trace": 1, "finest": 1, "verbose": 1, "debug": 5, "fine": 5, "info": 9, "information": 9, "informational": 9,
    "notice": 10, "warn": 13, "warning": 13, "error": 17, "err": 17, "severe": 17, "critical": 21, "crit": 21,
    "alert": 22, "emergency": 24, "emerg": 24, "panic": 24, "fatal": 21,
}  # fmt: skip


def severity_from_text(text: str) -> int:
    """Return the severity 1-24 of a level's name (`"WARN"` is 13, `"INFO3"` is 11) or of digits, 0 when unknown."""
    word = text.strip().strip("[]").lower()
    if word.isascii() and word.isdigit():
        return int(word) if len(word) < 3 and int(word) <= 24 else 0
    stem = word.rstrip("234") if len(word) > 1 else word
    if stem in _NAMES and stem != word and len(word) - len(stem) == 1 and _NAMES[stem] % 4 == 1:
        return _NAMES[stem] + int(word[-1]) - 1
    return _NAMES.get(word, 0)


def severity_numbers(numbers: Sequence[int], texts: Sequence[str], skips: Counter[str]) -> npt.NDArray[np.int8]:
    """Return severities, int8 of shape (n,): the number given, else what the text says; outside 0-24 is 0."""
    given = np.asarray(numbers, np.int64)
    unknown = (given < 0) | (given > 24)
    if unknown.any():
        skips["unknown severity read as none"] += int(unknown.sum())
        given = np.where(unknown, 0, given)
    if (given == 0).any():
        codes, distinct = pd.factorize(np.asarray(texts, object))
        by_text = np.array([severity_from_text(text) for text in distinct.tolist()] or [0], np.int64)
        given = np.where(given == 0, by_text[codes], given)
    return given.astype(np.int8)
