"""Blocks: the labels of neighbouring series, column by column, in compressed pieces; each label can be read alone.

```
head (one row)   length of JSON 4 | JSON {first, count, columns, about} | small sections behind each other
column           [name, values, values a piece, place of text, place of fence, place of codes]
place            [row, at, bytes]: `bytes` of the head's small sections from `at` on, or rows from number `row` on
text             width 1 | lengths n x width | UTF-8         values in ascending order; one piece, or many
fence            text of the first value of every piece: which piece may hold a value
codes            1 to 4 planes of n bytes, low bytes first   per series 0 (absent) or 1 + place of its value
```

A scan of code columns is the tag index. Postings would say the same again, value by value, and a negation or a
regular expression has to unite many of them; comparing a column of one- and two-byte codes takes less than 1 ms for a
million series, whatever the operator, and the column is needed anyway to read a series' labels.
"""

from __future__ import annotations

import json
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from workbench.store.label_rows import Pantry, pack
from workbench.store.labels import BLANK, Codes, Column, smallest

__all__ = ["MOST", "Block", "Entry", "Held", "Packer", "Part", "Read", "Stored", "View"]

_Ints = npt.NDArray[np.int64]
_T = TypeVar("_T")

MOST = 2**18
"""Series of the largest block: what one fold rewrites."""

_SMALL = 4096
_SERIES = 2**16
_TEXT = 4096
_FEW = 64

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

    def rows(self, count: int) -> list[int]:
        """Return the numbers of all rows outside the head, for a block of `count` series."""
        pieces = ((self.text, -(-self.size // self.step)), (self.fence, 1), (self.codes, -(-count // _SERIES)))
        return [*chain.from_iterable(range(place[0], place[0] + n) for place, n in pieces if place[0])]


@dataclass(frozen=True)
class Block:
    """A head: series `first` to `first + count - 1`, their labels, and kind and unit (`about`)."""

    number: int
    first: int
    count: int
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
        return cls(number, said["first"], said["count"], columns, (kind, unit), memoryview(raw)[4 + length :])

    def rows(self) -> list[int]:
        """Return the numbers of all rows outside the head."""
        return [n for entry in (*self.columns.values(), *self.about) for n in entry.rows(self.count)]


class Packer:
    """Writes the sections of one block; rows get the numbers from `number` on."""

    def __init__(self, number: int) -> None:
        self.rows: list[tuple[int, bytes]] = []
        self._next = number
        self._small = bytearray()

    def _section(self, raw: bytes) -> Place:
        if len(raw) <= _SMALL:
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
        step = max(size, 1) if len(whole) <= _TEXT else max(1, size * _TEXT // len(whole))
        if step >= size:
            text, fence = self._section(whole), (0, 0, 0)
        else:
            text = self._pieces(_text_bytes(column.values.slice(at, step)) for at in range(0, size, step))
            fence = self._section(_text_bytes(column.values.take(pa.array(np.arange(0, size, step)))))
        codes = column.codes
        if len(codes) <= _SERIES:
            place = self._section(_code_bytes(codes, size))
        else:
            place = self._pieces(_code_bytes(codes[at : at + _SERIES], size) for at in range(0, len(codes), _SERIES))
        return Entry(name, size, step, text, fence, place)

    def kept(self, entry: Entry, block: Block) -> Entry:
        """Take over a column of another block with the same series: what is in rows stays where it is."""
        places = []
        for row, at, size in (entry.text, entry.fence, entry.codes):
            if not row:
                at, self._small = len(self._small), self._small + block.small[at : at + size]
            places.append((row, at, size))
        return Entry(entry.name, entry.size, entry.step, *places)

    def close(self, first: int, count: int, columns: Iterable[Entry], about: Iterable[Entry]) -> bytes:
        """Return the content of the head."""
        said = {"first": first, "count": count, "columns": [_listed(e) for e in columns]}
        text = json.dumps(said | {"about": [_listed(e) for e in about]}, separators=(",", ":")).encode()
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


def _texts(raws: Sequence[Raw], n: Sequence[int]) -> Any:
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


def _codes(raw: Raw, n: int, size: int, rows: npt.NDArray[np.intp] | None = None) -> Codes:
    """Return codes from their planes, all `n` or those of some rows."""
    planes = np.frombuffer(raw, np.uint8).reshape(_width(size), n)
    planes = planes if rows is None else planes[:, rows]
    codes = planes[0].astype(smallest(size), copy=False)
    for i, plane in enumerate(planes[1:], 1):
        codes |= plane.astype(codes.dtype) << np.uint8(8 * i)
    return codes


class Read(Protocol):
    """One label of a part's series, whether stored or held in memory."""

    size: int

    def codes(self) -> Codes:
        """Return a code per series, 0 where the label is absent."""
        ...

    def codes_at(self, rows: npt.NDArray[np.intp]) -> Codes:
        """Return the codes of some series by their places."""
        ...

    def texts(self, codes: Codes) -> Any:
        """Return the Arrow text of some codes, "" of 0."""
        ...

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        ...

    def span(self, prefix: str) -> tuple[int, Any]:
        """Return values in order that all those with a prefix are among, and the code of the first."""
        ...

    def dictionary(self) -> bytes | None:
        """Return bytes that only columns with the same values have, None where that would cost more than it saves."""
        ...


@dataclass(frozen=True)
class Held:
    """A column in memory as one that can be read."""

    column: Column

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        return len(self.column.values)

    def codes(self) -> Codes:
        """Return a code per series, 0 where the label is absent."""
        return self.column.codes

    def codes_at(self, rows: npt.NDArray[np.intp]) -> Codes:
        """Return the codes of some series by their places."""
        return self.column.codes[rows]

    def texts(self, codes: Codes) -> Any:
        """Return the Arrow text of some codes, "" of 0."""
        return pa.concat_arrays([BLANK, self.column.values]).take(pa.array(codes))

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        return _code_in(texts, self.column.values)

    def span(self, prefix: str) -> tuple[int, Any]:
        """Return all values, and 1 as the code of the first."""
        return 1, self.column.values

    def dictionary(self) -> bytes | None:
        """Return None."""
        return None


def _index_in(texts: Any, values: Any) -> _Ints:
    """Return the place of each text in `values`, -1 for what is not there."""
    found = pc.index_in(texts, value_set=values).to_numpy(zero_copy_only=False)
    return np.nan_to_num(found, nan=-1).astype(np.int64)


def _code_in(texts: Any, values: Any) -> _Ints:
    """Return the code of each text when these are all values; 0 for "", -1 for what is not there."""
    return _index_in(texts, pa.concat_arrays([BLANK, values]))


class Stored:
    """A column of a block, its pieces fetched when they are needed."""

    def __init__(self, block: Block, entry: Entry, pantry: Pantry) -> None:
        self.size = entry.size
        self._block, self._entry, self._pantry = block, entry, pantry

    def _raw(self, place: Place, wanted: Sequence[int], keep: bool = True) -> list[Raw]:
        """Return sections: that in the head, or some of those in rows; `keep` is whether they may be wanted again."""
        row, at, size = place
        if not row:
            return [self._block.small[at : at + size]]
        shelf, block = self._pantry.shelf, self._block
        numbers = [row + i for i in wanted]
        found = dict(zip(numbers, shelf.get(numbers), strict=True))
        missing = [number for number, raw in found.items() if raw is None]
        if missing:
            what = f"label {self._entry.name[:80]!r} of series {block.first} to {block.first + block.count - 1}"
            new = self._pantry.rows(missing, what)
            found |= new
            if keep:
                shelf.put((number, len(raw), raw) for number, raw in new.items())
        return [*found.values()]

    def codes(self) -> Codes:
        """Return a code per series, 0 where the label is absent."""

        def make() -> tuple[int, Codes]:
            edges = [*range(0, self._block.count, _SERIES), self._block.count]
            raws = self._raw(self._entry.codes, range(len(edges) - 1), keep=False)
            parts = [_codes(raw, b - a, self.size) for raw, a, b in zip(raws, edges, edges[1:], strict=False)]
            codes = parts[0] if len(parts) == 1 else np.concatenate(parts)
            return codes.nbytes, codes

        return self._pantry.get((self._block.number, self._entry.codes), make)

    def codes_at(self, rows: npt.NDArray[np.intp]) -> Codes:
        """Return the codes of some series by their places."""
        whole = self._pantry.shelf.get([(self._block.number, self._entry.codes)])[0]
        if whole is not None:
            return whole[rows]  # type: ignore[no-any-return]
        owner = rows // _SERIES
        wanted = np.unique(owner).tolist()
        out = np.zeros(len(rows), smallest(self.size))
        for i, raw in zip(wanted, self._raw(self._entry.codes, wanted), strict=True):
            mine, n = np.flatnonzero(owner == i), min(_SERIES, self._block.count - i * _SERIES)
            out[mine] = _codes(raw, n, self.size, rows[mine] - i * _SERIES)
        return out

    def _values(self, wanted: Sequence[int]) -> Any:
        """Return the values of some pieces behind each other."""
        entry = self._entry
        counts = [min(entry.step, entry.size - i * entry.step) for i in wanted]
        return _texts(self._raw(entry.text, wanted), counts) if counts else BLANK[:0]

    def _all(self) -> Any:
        """Return "" and all values, in the order of their codes, of a label with not too many of them."""

        def make() -> tuple[int, Any]:
            values = pa.concat_arrays([BLANK, self._values(range(-(-self.size // self._entry.step)))])
            return values.nbytes, values

        return self._pantry.get((self._block.number, self._entry.text), make)

    def _fence(self) -> list[bytes]:
        def make() -> tuple[int, list[bytes]]:
            raw = self._raw(self._entry.fence, [0])
            values = _texts(raw, [-(-self.size // self._entry.step)]).cast(pa.large_binary()).to_pylist()
            return len(raw[0]) + 64 * len(values), values

        return self._pantry.get((self._block.number, self._entry.fence), make)

    def texts(self, codes: Codes) -> Any:
        """Return the Arrow text of some codes, "" of 0."""
        step = self._entry.step
        if self.size <= _FEW * step:
            return self._all().take(pa.array(codes))
        pieces = np.unique((codes[codes > 0] - 1) // step)
        values = pa.concat_arrays([BLANK, self._values(pieces.tolist())])
        place, inside = np.divmod(codes.astype(np.int64) - 1, step)
        at = 1 + np.searchsorted(pieces, place) * step + inside  # every piece but the very last is full
        return values.take(pa.array(np.where(codes > 0, at, 0)))

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        step = self._entry.step
        if step >= self.size:
            return _index_in(texts, self._all())
        if len(texts) > self.size // step:
            return _code_in(texts, self._values(range(-(-self.size // step))))
        fence = self._fence()
        piece = np.array([bisect_right(fence, text) - 1 for text in texts.cast(pa.large_binary()).to_pylist()], np.int64)
        out = np.where(pc.equal(texts, "").to_numpy(zero_copy_only=False), 0, -1)
        wanted = np.unique(piece[piece >= 0])
        if len(wanted):
            place = _index_in(texts, self._values(wanted.tolist()))
            hit = np.flatnonzero((place >= 0) & (piece >= 0))
            out[hit] = 1 + wanted[place[hit] // step] * step + place[hit] % step  # every piece but the last is full
        return out

    def span(self, prefix: str) -> tuple[int, Any]:
        """Return values in order that all those with a prefix are among, and the code of the first."""
        step, n = self._entry.step, -(-self.size // self._entry.step)
        low, high = 0, n
        if prefix and n > 1:
            fence, start = self._fence(), prefix.encode()
            low = max(bisect_right(fence, start) - 1, 0)
            high = bisect_left(fence, start + b"\xff")
        return 1 + low * step, self._values(range(low, high))

    def dictionary(self) -> bytes | None:
        """Return bytes that only columns with the same values have, None where that would cost more than it saves."""
        if self._entry.step < self.size:
            return None
        return bytes(self._raw(self._entry.text, [0])[0])


@dataclass(frozen=True)
class Part:
    """Neighbouring series that can be read: series `first` to `first + count - 1`; a block's have its `number`, else 0."""

    first: int
    count: int
    columns: Mapping[str, Read]
    about: tuple[Read, Read]
    number: int = 0


@dataclass(frozen=True)
class View(Mapping[str, Read]):
    """The columns of a block as a part has them."""

    block: Block
    pantry: Pantry

    def __getitem__(self, name: str) -> Read:
        """Return a column by the label's name."""
        return Stored(self.block, self.block.columns[name], self.pantry)

    def __iter__(self) -> Any:
        """Iterate over names."""
        return iter(self.block.columns)

    def __len__(self) -> int:
        """Return how many labels there are."""
        return len(self.block.columns)

    def part(self) -> Part:
        """Return the block as a part."""
        kind, unit = (Stored(self.block, entry, self.pantry) for entry in self.block.about)
        return Part(self.block.first, self.block.count, self, (kind, unit), self.block.number)
