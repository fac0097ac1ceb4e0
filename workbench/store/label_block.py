"""Reading the labels of series part by part: blocks, of which a piece is read when it is needed, and sets in memory.

A scan of code columns is the tag index. Postings would say the same again, value by value, and a negation or a
regular expression has to unite many of them; comparing a column of one- and two-byte codes takes less than 1 ms for a
million series, whatever the operator, and the column is needed anyway to read a series' labels.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from workbench.store.label_pack import Block, Entry, Place, Raw, codes_from, texts_from
from workbench.store.label_rows import Pantry
from workbench.store.labels import BLANK, Codes, Column, smallest

__all__ = ["Held", "Part", "Read", "Stored", "View"]

_Ints = npt.NDArray[np.int64]

_FEW = 64
_SMALL, _OBJECT = 4096, 150
"""Values of a label that are kept as Python objects, for one of them is then found in no time; bytes of each, about."""


class Read(Protocol):
    """One label of a part's series, whether stored or held in memory."""

    @property
    def size(self) -> int:
        """How many distinct values there are."""
        ...

    def codes(self) -> Codes:
        """Return a code per series, 0 where the label is absent."""
        ...

    def codes_at(self, rows: npt.NDArray[np.intp]) -> Codes:
        """Return the codes of some series by their places."""
        ...

    def texts(self, codes: Codes) -> Any:
        """Return the Arrow text of some codes, "" of 0."""
        ...

    def objects(self, codes: Codes) -> npt.NDArray[np.object_]:
        """Return some codes as an array of str objects, "" of 0."""
        ...

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        ...

    def search(self, texts: Any) -> _Ints:
        """Return what `lookup` returns, by way of the values as they are stored, however few they are."""
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

    def objects(self, codes: Codes) -> npt.NDArray[np.object_]:
        """Return some codes as an array of str objects, "" of 0."""
        return _objects(self.texts(codes))

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        return _code_in(texts, self.column.values)

    search = lookup

    def span(self, prefix: str) -> tuple[int, Any]:
        """Return all values, and 1 as the code of the first."""
        return 1, self.column.values

    def dictionary(self) -> bytes | None:
        """Return None."""
        return None


def _objects(texts: Any) -> npt.NDArray[np.object_]:
    found: npt.NDArray[np.object_] = texts.to_numpy(zero_copy_only=False)
    return found


def _index_in(texts: Any, values: Any) -> _Ints:
    """Return the place of each text in `values`, -1 for what is not there."""
    found = pc.index_in(texts, value_set=values).to_numpy(zero_copy_only=False)
    places: _Ints = np.nan_to_num(found, nan=-1).astype(np.int64)
    return places


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
            edges = [*range(0, self._block.count, self._block.piece), self._block.count]
            raws = self._raw(self._entry.codes, range(len(edges) - 1), keep=False)
            parts = [codes_from(raw, b - a, self.size) for raw, a, b in zip(raws, edges, edges[1:], strict=False)]
            codes = parts[0] if len(parts) == 1 else np.concatenate(parts)
            return codes.nbytes, codes

        return self._pantry.get((self._block.number, self._entry.codes), make)

    def codes_at(self, rows: npt.NDArray[np.intp]) -> Codes:
        """Return the codes of some series by their places."""
        piece = self._block.piece
        if self._block.count <= piece:
            return self.codes()[rows]
        whole: Codes | None = self._pantry.shelf.get([(self._block.number, self._entry.codes)])[0]
        if whole is not None:
            return whole[rows]
        owner = rows // piece
        wanted = np.unique(owner).tolist()
        out = np.zeros(len(rows), smallest(self.size))
        for i, raw in zip(wanted, self._raw(self._entry.codes, wanted), strict=True):
            mine, n = np.flatnonzero(owner == i), min(piece, self._block.count - i * piece)
            out[mine] = codes_from(raw, n, self.size, rows[mine] - i * piece)
        return out

    def _values(self, wanted: Sequence[int], keep: bool = False) -> Any:
        """Return the values of some pieces behind each other."""
        entry = self._entry
        counts = [min(entry.step, entry.size - i * entry.step) for i in wanted]
        return texts_from(self._raw(entry.text, wanted, keep), counts) if counts else BLANK[:0]

    def _all(self) -> Any:
        """Return "" and all values, in the order of their codes, of a label with not too many of them."""

        def make() -> tuple[int, Any]:
            values = pa.concat_arrays([BLANK, self._values(range(-(-self.size // self._entry.step)))])
            return values.nbytes, values

        return self._pantry.get((self._block.number, self._entry.text), make)

    def _fence(self) -> list[bytes]:
        def make() -> tuple[int, list[bytes]]:
            raw = self._raw(self._entry.fence, [0])
            values = texts_from(raw, [-(-self.size // self._entry.step)]).cast(pa.large_binary()).to_pylist()
            return len(raw[0]) + 64 * len(values), values

        return self._pantry.get((self._block.number, self._entry.fence), make)

    def texts(self, codes: Codes) -> Any:
        """Return the Arrow text of some codes, "" of 0."""
        step = self._entry.step
        if self.size <= _FEW * step:
            return self._all().take(pa.array(codes))
        pieces = np.unique((codes[codes > 0] - 1) // step)
        values = pa.concat_arrays([BLANK, self._values(pieces.tolist(), keep=True)])
        place, inside = np.divmod(codes.astype(np.int64) - 1, step)
        at = 1 + np.searchsorted(pieces, place) * step + inside  # every piece but the very last is full
        return values.take(pa.array(np.where(codes > 0, at, 0)))

    def _known(self) -> tuple[npt.NDArray[np.object_], dict[str, int]]:
        """Return the values of a small label as Python has them, by code, and the code of each."""

        def make() -> tuple[int, tuple[npt.NDArray[np.object_], dict[str, int]]]:
            values = self._all()
            objects = _objects(values)
            return values.nbytes + _OBJECT * len(objects), (objects, {text: i for i, text in enumerate(objects)})

        return self._pantry.get((self._block.number, self._entry.text, "objects"), make)

    def objects(self, codes: Codes) -> npt.NDArray[np.object_]:
        """Return some codes as an array of str objects, "" of 0."""
        return self._known()[0][codes] if self.size <= _SMALL else _objects(self.texts(codes))

    def lookup(self, texts: Any) -> _Ints:
        """Return the code of each Arrow text, -1 where no series has it."""
        if self.size <= _SMALL:
            places = self._known()[1]
            return np.array([places.get(text, -1) for text in texts.to_pylist()], np.int64)
        return self.search(texts)

    def search(self, texts: Any) -> _Ints:
        """Return what `lookup` returns, by way of the values as they are stored, however few they are."""
        step = self._entry.step
        if step >= self.size:
            return _index_in(texts, self._all())
        if len(texts) > self.size // step:
            return _code_in(texts, self._values(range(-(-self.size // step))))
        fence = self._fence()
        piece = np.array(
            [bisect_right(fence, text) - 1 for text in texts.cast(pa.large_binary()).to_pylist()], np.int64
        )
        out = np.where(pc.equal(texts, "").to_numpy(zero_copy_only=False), 0, -1)
        wanted = np.unique(piece[piece >= 0])
        if len(wanted):
            place = _index_in(texts, self._values(wanted.tolist(), keep=True))
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
        return 1 + low * step, self._values(range(low, high), keep=bool(prefix))

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
