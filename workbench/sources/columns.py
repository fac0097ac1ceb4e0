"""Columns of text and ids, made from lists without touching every row in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["choice_column", "hex_column", "str_column", "text_column"]

_STR: Any = pd.StringDtype("pyarrow", na_value=np.nan)


def _arrow_text(values: Sequence[str | None]) -> Any:
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError:  # lone surrogates, which JSON can spell
        return pa.array(
            [v if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values], pa.large_string()
        )


def str_column(array: Any) -> pd.Series:
    """Return an Arrow array of text as a `str` column."""
    return pd.Series(_STR.__from_arrow__(array))


def text_column(values: Sequence[str | None], cap: int, skips: Counter[str], what: str) -> pd.Series:
    """Return texts as a `str` column, each cut at `cap` characters, the cut ones counted as `what truncated`."""
    array = _arrow_text(values)
    if (pc.max(pc.binary_length(array)).as_py() or 0) > cap:
        cut = int(pc.sum(pc.greater(pc.utf8_length(array), cap)).as_py() or 0)
        if cut:
            skips[f"{what} truncated to intake.max_text_chars"] += cut
            array = pc.utf8_slice_codeunits(array, 0, cap)
    return str_column(array)


def choice_column(places: npt.NDArray[np.int64], texts: Sequence[str | None]) -> pd.Series:
    """Return a `str` column of shape (n,) from places in a short list of texts; a negative place is missing."""
    array = _arrow_text(texts)
    if (places < 0).any():
        return str_column(array.take(pa.array(np.maximum(places, 0), mask=places < 0)))
    return str_column(array.take(pa.array(places)))


def hex_column(ids: Sequence[bytes], size: int) -> tuple[pd.Series, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return ids as lower-case hex text and two masks of shape (n,): which are absent, which have a wrong length.

    An id is absent when it is empty or all zero; absent and wrong ones read "".
    """
    n = len(ids)
    lengths = np.fromiter(map(len, ids), np.int64, n)
    wrong = (lengths != size) & (lengths != 0)
    if (lengths != size).any():
        blank = bytes(size)
        ids = [i if len(i) == size else blank for i in ids]
    raw = b"".join(ids)
    absent = ~np.frombuffer(raw, np.uint8).reshape(n, size).any(axis=1) & ~wrong
    offsets = pa.py_buffer(np.arange(n + 1, dtype=np.int64) * (2 * size))
    array = pa.Array.from_buffers(pa.large_string(), n, [None, offsets, pa.py_buffer(raw.hex().encode("ascii"))])
    if (absent | wrong).any():
        array = pc.if_else(pa.array(absent | wrong), "", array)
    return str_column(array), absent, wrong
