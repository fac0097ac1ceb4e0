"""The bytes of a block: the labels of neighbouring series, column by column, in compressed pieces.

```
head (one row)   length of JSON 4 | JSON {first, count, piece, columns, about} | small sections behind each other
column           [name, values, values a piece, place of text, place of fence, place of codes]
place            [row, at, bytes]: `bytes` of the head's small sections from `at` on, or rows from number `row` on
text             width 1 | lengths n x width | UTF-8             values in ascending order; one piece, or many
fence            text of the first value of every piece: which piece may hold a value
codes            1 to 4 planes of n bytes, low bytes first      0 (absent) or 1 + place of the value; `piece` series a row
```

The head of a few series holds all of them: one row, compressed as one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench.store.label_rows import pack
from workbench.store.labels import Codes, Column, smallest

__all__ = ["Block", "Entry", "Packer", "Place", "Raw", "codes_from", "texts_from"]

_SMALL, _ALL, _FEW_SERIES = 2**12, 2**16, 2**11  # bytes of a section in the head; of a block with few series; how few
_PIECE = 2**16
_TEXT = 2**12

Place = tuple[int, int, int]
Raw = bytes | memoryview


@dataclass(frozen=True)
class Entry:
    """What a head says of one column: distinct values, how many of them are in a piece, and where everything is."""

    name: str
    size: int
    step: int
    text: Place
    fence: Place
    codes: Place

    @classmethod
    def of(cls, item: Sequence[Any]) -> Entry:
        """Return the entry of a list as it stands in a head."""
        name, size, step, *places = item
        text, fence, codes = (tuple(map(int, place)) for place in places)
        return cls(str(name), int(size), int(step), text, fence, codes)  # type: ignore[arg-type]

    def rows(self, count: int, piece: int) -> list[int]:
        """Return the numbers of all rows outside the head, for a block of `count` series, `piece` of them in a row."""
        pieces = ((self.text, -(-self.size // self.step)), (self.fence, 1), (self.codes, -(-count // piece)))
        return [*chain.from_iterable(range(place[0], place[0] + n) for place, n in pieces if place[0])]


@dataclass(frozen=True)
class Block:
    """A head: series `first` to `first + count - 1`, `piece` of them in a row; their labels, kind and unit (`about`)."""

    number: int
    first: int
    count: int
    piece: int
    columns: dict[str, Entry]
    about: tuple[Entry, Entry]
    small: memoryview

    @classmethod
    def of(cls, number: int, raw: bytes) -> Block:
        """Return the head that a row holds."""
        (length,) = struct.unpack_from("<I", raw)
        said = json.loads(raw[4 : 4 + length])
        entries = [Entry.of(item) for item in said["columns"]]
        kind, unit = (Entry.of(item) for item in said["about"])
        columns = {entry.name: entry for entry in entries}
        spans = said["first"], said["count"], said["piece"]
        return cls(number, *spans, columns, (kind, unit), memoryview(raw)[4 + length :])

    def rows(self) -> list[int]:
        """Return the numbers of all rows outside the head."""
        return [n for entry in (*self.columns.values(), *self.about) for n in entry.rows(self.count, self.piece)]


class Packer:
    """Writes the sections of a block.

    Parameters
    ----------
    number : int
        Of the first row.
    first, count : int
        Which series.
    piece : int, optional
        How many series' codes are in a row.
    """

    def __init__(self, number: int, first: int, count: int, piece: int | None = None) -> None:
        self.rows: list[tuple[int, bytes]] = []
        self._spans = {"first": first, "count": count, "piece": piece or _PIECE}
        self._next = number
        self._limit = _SMALL if count > _FEW_SERIES else _ALL
        self._small = bytearray()

    def _section(self, raw: bytes) -> Place:
        if len(raw) <= self._limit:
            self._small += raw
            return 0, len(self._small) - len(raw), len(raw)
        return self._pieces([raw])

    def _pieces(self, raws: Iterable[bytes]) -> Place:
        first = self._next
        for raw in raws:
            self.rows.append((self._next, pack(raw)))
            self._next += 1
        return first, 0, 0

    def column(self, name: str, column: Column) -> Entry:
        """Add a column and return what the head shall say of it."""
        size = len(column.values)
        whole = _text_bytes(column.values)
        step = max(size, 1) if len(whole) <= max(_TEXT, self._limit) else max(1, size * _TEXT // len(whole))
        if step >= size:
            text, fence = self._section(whole), (0, 0, 0)
        else:
            text = self._pieces(_text_bytes(column.values.slice(at, step)) for at in range(0, size, step))
            fence = self._section(_text_bytes(column.values.take(pa.array(np.arange(0, size, step)))))
        codes, piece = column.codes, self._spans["piece"]
        if len(codes) <= piece:
            place = self._section(_code_bytes(codes, size))
        else:
            place = self._pieces(_code_bytes(codes[at : at + piece], size) for at in range(0, len(codes), piece))
        return Entry(name, size, step, text, fence, place)

    def kept(self, entry: Entry, block: Block) -> Entry:
        """Take over a column of another block with the same series: what is in rows stays where it is."""
        places = []
        for row, at, size in (entry.text, entry.fence, entry.codes):
            if not row:
                at, self._small = len(self._small), self._small + block.small[at : at + size]
            places.append((row, at, size))
        return Entry(entry.name, entry.size, entry.step, *places)

    def close(self, columns: Iterable[Entry], about: Iterable[Entry]) -> bytes:
        """Return the content of the head."""
        said = self._spans | {"columns": [_listed(e) for e in columns], "about": [_listed(e) for e in about]}
        text = json.dumps(said, separators=(",", ":")).encode()
        return struct.pack("<I", len(text)) + text + bytes(self._small)


def _listed(entry: Entry) -> list[Any]:
    return [entry.name, entry.size, entry.step, entry.text, entry.fence, entry.codes]


def _text_bytes(values: Any) -> bytes:
    _, edges, data = values.buffers()
    offsets = np.frombuffer(edges, np.int64)[values.offset : values.offset + len(values) + 1] if len(values) else [0, 0]
    lengths = np.diff(offsets)
    width = 1 if lengths.max(initial=0) < 2**8 else 4
    text = data[int(offsets[0]) : int(offsets[-1])].to_pybytes() if offsets[-1] > offsets[0] else b""
    return bytes([width]) + (lengths.astype(f"<u{width}").tobytes() if len(values) else b"") + text


def texts_from(raws: Sequence[Raw], n: Sequence[int]) -> Any:
    """Return the values of pieces of text behind each other; `n` says how many are in each."""
    widths = [raw[0] for raw in raws]
    views = [memoryview(raw) for raw in raws]
    lengths = [v[1 : 1 + w * k] for v, w, k in zip(views, widths, n, strict=True)]
    if len(set(widths)) == 1:
        sizes = np.frombuffer(b"".join(lengths), f"<u{widths[0]}").astype(np.int64)
    else:
        parts = [np.frombuffer(v, f"<u{w}").astype(np.int64) for v, w in zip(lengths, widths, strict=True)]
        sizes = np.concatenate([np.empty(0, np.int64), *parts])
    offsets = np.append(0, np.cumsum(sizes))
    texts = [v[1 + w * k :] for v, w, k in zip(views, widths, n, strict=True)]
    text = texts[0] if len(texts) == 1 else b"".join(texts)
    if len(text) != offsets[-1]:
        raise ValueError(f"{len(sizes)} label values are {len(text)} bytes long instead of {offsets[-1]}")
    return pa.LargeStringArray.from_buffers(len(sizes), pa.py_buffer(offsets), pa.py_buffer(text))


def _width(size: int) -> int:
    return max(1, -(-size.bit_length() // 8))


def _code_bytes(codes: Codes, size: int) -> bytes:
    planes = np.ascontiguousarray(codes, "<u4").view(np.uint8).reshape(len(codes), 4)[:, : _width(size)]
    return planes.T.tobytes()


def codes_from(raw: Raw, n: int, size: int, rows: npt.NDArray[np.intp] | None = None) -> Codes:
    """Return codes from their planes, all `n` or those of some rows."""
    planes = np.frombuffer(raw, np.uint8).reshape(_width(size), n)
    planes = planes if rows is None else planes[:, rows]
    codes: Codes = planes[0].astype(smallest(size), copy=False)
    for i, plane in enumerate(planes[1:], 1):
        codes |= plane.astype(codes.dtype) << np.uint8(8 * i)
    return codes
