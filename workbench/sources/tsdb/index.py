"""The index of a block, format 2: which series it has, and where their chunks lie. Postings are not needed to read all.

References
----------
Prometheus, `tsdb/docs/format/index.md`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import SourceError
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.labels import LabelTable, read_texts

__all__ = ["Index", "read_index"]

_Ints = npt.NDArray[np.int64]

_MAGIC = bytes.fromhex("baaad700")
_TOC = 52


@dataclass(frozen=True)
class Index:
    """Series and chunks of one block.

    Attributes
    ----------
    table : LabelTable
        Labels of n series, in the order of the file, which is that of the labels.
    ref : ndarray of int64, shape (n,)
        What tombstones call each series.
    offsets : ndarray of int64, shape (n + 1,)
        Series i has chunks `offsets[i]` to `offsets[i + 1]`.
    low, high : ndarray of int64, shape (c,)
        First and last time of each chunk, ms.
    chunk : ndarray of int64, shape (c,)
        Where it lies: number of the segment file from 0 in the upper 32 bits, byte in it in the lower.
    """

    table: LabelTable
    ref: _Ints
    offsets: _Ints
    low: _Ints
    high: _Ints
    chunk: _Ints


def read_index(path: Path, options: ReadOptions, skips: Counter[str]) -> Index:
    """Return what an index file says; entries with a wrong checksum are left out and counted.

    Raises
    ------
    SourceError
        If it is no index of format 2, or its table of contents or its symbols are damaged: nothing could be read then.
    """
    from workbench.codecs.crc32c import TABLES
    from workbench.sources.tsdb.kernels import read_series, scan_series

    data = np.fromfile(path, np.uint8)
    head = data[:5].tobytes()
    if head[:4] != _MAGIC or len(data) < 5 + _TOC:
        raise SourceError(
            f"index of block {path.parent.name} does not begin as an index does: the file was cut or overwritten; get the"
            " block anew."
        )
    if head[4] != 2:
        raise SourceError(
            f"index of block {path.parent.name} has format {head[4]}, only format 2 is read (Prometheus writes it since"
            " 2.3): let Prometheus 2 compact the block, then read it."
        )
    symbols, series, end = _contents(data, path)
    texts = _symbols(data, symbols, end, path, options, skips)
    found = np.empty((max(end - series, 0) // 16 + 1, 4), np.int64)
    n, damaged = scan_series(data, series, end, len(texts), TABLES, found)
    found = found[:n].copy()
    labels, chunks = (np.empty((int(found[:, column].sum()), 3), np.int64) for column in (2, 3))
    read_series(data, found, len(texts), labels, chunks)
    if damaged:
        skips[f"damaged stretch of series entries in the index of block {path.parent.name}"] += int(damaged)
    table = LabelTable.build(texts, found[:, 2], labels[:, 0], labels[:, 1])
    offsets = np.concatenate([[0], np.cumsum(found[:, 3])]).astype(np.int64)
    # an entry begins where its length does, at most 15 bytes before its content
    return Index(table, (found[:, 0] - 1) // 16, offsets, chunks[:, 0], chunks[:, 1], chunks[:, 2])


def _contents(data: npt.NDArray[np.uint8], path: Path) -> tuple[int, int, int]:
    """Return where symbols and series begin, and where the series end."""
    from workbench.codecs.crc32c import checksum

    toc = data[-_TOC:].tobytes()
    places = [int.from_bytes(toc[i : i + 8], "big") for i in range(0, 48, 8)]
    last = len(data) - _TOC
    if checksum(toc[:48]) != int.from_bytes(toc[48:], "big") or max(places) > last:
        raise SourceError(
            f"index of block {path.parent.name} ends in a table of contents with a wrong checksum: the file was cut or"
            " damaged; get the block anew."
        )
    symbols, series = places[:2]
    end = min([place for place in places if place > series], default=last)
    return symbols, (series + 15) // 16 * 16, end if series else 0


def _symbols(
    data: npt.NDArray[np.uint8], at: int, end: int, path: Path, options: ReadOptions, skips: Counter[str]
) -> Any:
    """Return the texts that label names and values are made of, as an Arrow array."""
    from workbench.codecs.crc32c import TABLES, crc32c
    from workbench.sources.tsdb.kernels import scan_symbols

    length = int.from_bytes(data[at : at + 4].tobytes(), "big")
    count = int.from_bytes(data[at + 4 : at + 8].tobytes(), "big")
    stop = at + 4 + length
    sound = 4 <= length <= len(data) - at - 8 and count <= length
    sound = sound and crc32c(data, at + 4, stop, TABLES) == int.from_bytes(data[stop : stop + 4].tobytes(), "big")
    begin, size = (np.zeros(count if sound else 0, np.int64) for _ in range(2))
    if not sound or scan_symbols(data, at + 8, stop, begin, size) != count:
        raise SourceError(
            f"index of block {path.parent.name} has damaged symbols, without which no label has a name: get the block"
            " anew."
        )
    return read_texts(data, begin, size, options.max_text_chars, skips)
