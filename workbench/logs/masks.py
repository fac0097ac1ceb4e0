"""What is a variable by its looks alone: numbers, ids, addresses, paths, times; in Arrow, over distinct lines.

A masked variable is one control character, so that later steps see it as one letter no log line holds. All expressions
are RE2: none can be made slow by the text it meets.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["LONGEST", "VARIABLE", "distinct", "masked", "tokens"]

VARIABLE = "\x1a"
"""Stands for one variable inside masked text; shown to people as `<*>`."""

LONGEST = 4096
"""Characters of a first line that are looked at; what follows belongs to the variables of that line."""

_EDGE = r""" ,=:()\[\]{}"'<>|#@;\t"""
_BODY = rf"[^{_EDGE}{VARIABLE}]"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[A-Z]{2,4}T|[+-]\d{2}:?\d{2}))?"
_START = rf"(^|[{_EDGE}])"

_MASKS: tuple[tuple[str, str], ...] = (
    (VARIABLE, " "),
    (rf"\b(?:{_DAY},? +)?{_MONTH} +\d{{1,2}},? +(?:\d{{4}},? +)?{_CLOCK}{_ZONE}(?: +\d{{4}}\b)?", VARIABLE),
    (rf"\b\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[T ]{_CLOCK}{_ZONE})?\b", VARIABLE),
    (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", VARIABLE),
    (r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s,;\"'()<>\[\]]+", VARIABLE),
    (r"/?\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", VARIABLE),
    (r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b", VARIABLE),
    (rf"{_START}/[\w.$*+~%-]+(?:/[\w.$*+~%:-]*)+", rf"\1{VARIABLE}"),
    (r"\b[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+:\d+\b", VARIABLE),
    (r"\b[A-Za-z][A-Za-z0-9_-]*\d[A-Za-z0-9_-]*:\d+\b", VARIABLE),
    (r"\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]{8,})\b", VARIABLE),
    (r"< ?\d+(?:\.\d+)? ?(?:ns|us|ms|s|sec|seconds|min)\b", VARIABLE),
    (r"<?\d+(?:,\d{3})* (?:bytes|Bytes)(?: \([\d.]+ [KMGT]i?B\))?", VARIABLE),
    (rf"{_START}[-+$]?\d(?:{_BODY}*[^{_EDGE}{VARIABLE}.])?", rf"\1{VARIABLE}"),
    (rf"{_BODY}*\d{_BODY}*\d{_BODY}*\d(?:{_BODY}*[^{_EDGE}{VARIABLE}.])?", VARIABLE),
    (r"\b(?:true|false|True|False|null|None)\b", VARIABLE),
    # What touches a variable belongs to it, up to the next separator; a full stop ends a sentence.
    (rf"{_BODY}*{VARIABLE}(?:(?:{_BODY}|{VARIABLE})*(?:[^{_EDGE}.]))?", VARIABLE),
    (rf"{VARIABLE}(?:[.:/_@-]+{VARIABLE})+", VARIABLE),
    (r"[ \t]+", " "),
)
"""Expression and replacement, applied in this order to every distinct line."""

_TOKEN = re.compile(rf"[{_EDGE}]|{VARIABLE}|[^{_EDGE}{VARIABLE}]+")


def distinct(bodies: pd.Series) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return (row of `texts` for every body, texts): the distinct bodies, missing ones as "".

    Text that is not valid Unicode (lone surrogates) is kept with a replacement character.
    """
    try:
        array = pa.array(bodies, pa.large_string(), from_pandas=True)
    except (UnicodeEncodeError, pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([_clean(body) for body in bodies], pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    coded = pc.fill_null(array, "").dictionary_encode()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary


def _clean(body: object) -> str:
    if body is None or (isinstance(body, float) and body != body):
        return ""
    if isinstance(body, bytes):
        return body.decode("utf-8", "replace")
    return str(body).encode("utf-8", "replace").decode("utf-8")


def masked(texts: pa.Array) -> pa.Array:
    """Return the first line of each text with its variables replaced by `VARIABLE`; shape is kept."""
    # Cut before any expression sees the text: a line of megabytes costs as much as one of LONGEST characters.
    out = pc.utf8_slice_codeunits(pc.utf8_ltrim_whitespace(texts), 0, LONGEST)
    out = pc.replace_substring_regex(out, r"(?s)[\r\n].*", "")
    for pattern, replacement in _MASKS:
        out = pc.replace_substring_regex(out, pattern, replacement)
    return pc.utf8_trim_whitespace(out)


def tokens(text: str) -> list[str]:
    """Split masked text into words, variables and single separators; joined again they give the text."""
    return _TOKEN.findall(text)
