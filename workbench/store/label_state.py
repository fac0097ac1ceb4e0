"""What the label index holds at one instant: blocks, then recent series, and what was learned of folded ones since.

```
labels   id PK | data | crc32(id, data)        heads of blocks and pieces: label_rows.py, label_pack.py
recent   id PK | text | crc32(id, text)        [labels, kind, unit] as JSON; labels are null where a block has the series
sources  name PK | series | refused | crc32    label_sources.py
meta     series: how many there are | labels: last number of a row | series_changed: folds and corrections
```

Series are numbered from 1 without gaps: blocks cover them up to some number, rows of `recent` the rest.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.catalog import Transaction
from workbench.store.label_block import Held, Part, View
from workbench.store.label_pack import Block
from workbench.store.label_rows import Pantry, read_rows
from workbench.store.labels import Column, columns_of_sets, joined

__all__ = ["Sets", "State", "counters", "merge_from", "read_state", "recent_crc", "recent_row"]

_Ints = npt.NDArray[np.int64]
Recent = tuple[int, dict[str, str] | None, str, str]


def recent_crc(number: int, text: str) -> int:
    """Return the checksum of a row of `recent`."""
    return zlib.crc32(f"{number} {text}".encode())


def recent_row(number: int, labels: str, kind: str, unit: str) -> tuple[int, str, int]:
    """Return a row of `recent`; `labels` is a JSON object, or `null` for what is learned of a folded series."""
    text = f"[{labels},{json.dumps(kind)},{json.dumps(unit)}]"
    return number, text, recent_crc(number, text)


@dataclass(frozen=True)
class Sets:
    """Label sets in memory, with kind and unit."""

    count: int
    columns: dict[str, Column]
    about: tuple[Column, Column]

    @classmethod
    def of_rows(cls, rows: Sequence[Recent]) -> Sets:
        """Return the sets of rows of `recent`."""
        about = columns_of_sets([{"kind": kind, "unit": unit} for _, _, kind, unit in rows])
        nothing = joined([(len(rows), None)])
        columns = columns_of_sets([labels or {} for _, labels, _, _ in rows])
        return cls(len(rows), columns, (about.get("kind", nothing), about.get("unit", nothing)))

    def take(self, rows: npt.NDArray[np.intp]) -> Sets:
        """Return some of the sets."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        kind, unit = (column.take(rows) for column in self.about)
        return Sets(len(rows), {name: c for name, c in columns.items() if len(c.values)}, (kind, unit))

    def part(self, first: int) -> Part:
        """Return the sets as series from number `first` on."""
        kind, unit = map(Held, self.about)
        return Part(first, self.count, {name: Held(column) for name, column in self.columns.items()}, (kind, unit))

    @classmethod
    def joined(cls, parts: Sequence[Sets]) -> Sets:
        """Return several groups of sets behind each other."""
        names = dict.fromkeys(name for part in parts for name in part.columns)
        columns = {name: joined([(part.count, part.columns.get(name)) for part in parts]) for name in names}
        kind, unit = (joined([(part.count, part.about[i]) for part in parts]) for i in (0, 1))
        return cls(sum(part.count for part in parts), columns, (kind, unit))


def merge_from(counts: Sequence[int], new: int, factor: int, most: int) -> int:
    """Return from which group on groups are joined with `new` sets behind them; `len(counts)` for none.

    A group is rewritten only when what follows it is at least `factor` times as large: so each set is rewritten
    about log(n) / log(1 + factor) times, and n sets lie in no more than log(n) / log(1 + 1 / factor) groups.
    """
    behind, found = new, len(counts)
    for i in range(len(counts) - 1, -1, -1):
        if behind + counts[i] > most:
            break
        if behind >= factor * counts[i]:
            found = i
        behind += counts[i]
    return found


@dataclass(frozen=True)
class State:
    """One consistent view.

    Attributes
    ----------
    size : int
        How many series there are.
    changed : int
        Counts folds and corrections.
    blocks : tuple of Block
    recent : tuple of Sets
        The series after the last block.
    learned : dict
        Kind and unit of folded series that were corrected since, by number.
    """

    size: int = 0
    changed: int = 0
    blocks: tuple[Block, ...] = ()
    recent: tuple[Sets, ...] = ()
    learned: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def folded(self) -> int:
        """How many series are in blocks."""
        return self.size - sum(sets.count for sets in self.recent)

    def parts(self, pantry: Pantry) -> list[Part]:
        """Return all series in the order of their numbers."""
        return [*(View(block, pantry).part() for block in self.blocks), *self._memory]

    @cached_property
    def _memory(self) -> list[Part]:
        firsts = self.folded + 1 + np.cumsum([0, *(sets.count for sets in self.recent)])
        return [sets.part(int(first)) for sets, first in zip(self.recent, firsts, strict=False)]

    def extended(self, rows: Sequence[Recent]) -> State:
        """Return the state after more series were registered."""
        counts = [sets.count for sets in self.recent]
        at = merge_from(counts, len(rows), 3, 2**62)
        new = Sets.joined([*self.recent[at:], Sets.of_rows(rows)])
        return State(self.size + len(rows), self.changed, self.blocks, (*self.recent[:at], new), self.learned)


def counters(transaction: Transaction) -> tuple[int, int]:
    """Return how many series there are and how often they were folded or corrected."""
    query = "SELECT name, value FROM meta WHERE name IN ('series', 'series_changed')"
    found = dict(transaction.execute(query).fetchall())
    if len(found) < 2:
        raise StoreError("the catalog has lost its counters of series: restore the catalog.")
    return int(found["series"]), int(found["series_changed"])


def _recent(transaction: Transaction, above: int) -> list[Recent]:
    rows = transaction.execute("SELECT id, text, crc32 FROM recent WHERE id > ? ORDER BY id", (above,)).fetchall()
    for number, text, crc32 in rows:
        if recent_crc(number, text) != crc32:
            raise StoreError(f"the label index is damaged where it holds series {number}: restore the catalog.")
    said = json.loads("[" + ",".join(row[1] for row in rows) + "]")
    return [(row[0], *item) for row, item in zip(rows, said, strict=True)]


def _tiled(spans: Iterable[tuple[int, int]], size: int) -> None:
    """Complain unless spans of (first, count) cover the numbers from 1 to `size`."""
    at = 1
    for first, count in spans:
        if first != at:
            break
        at += count
    if at != size + 1:
        raise StoreError(f"the label index has {at - 1} of {size} series, then a gap: restore the catalog.")


def _blocks(transaction: Transaction, old: Sequence[Block]) -> list[Block]:
    """Return all blocks in the order of their series; heads never change, so those of old ones are not read again."""
    known = {block.number: block for block in old}
    numbers = [number for (number,) in transaction.execute("SELECT id FROM labels WHERE id < 0").fetchall()]
    new = read_rows(transaction, [number for number in numbers if number not in known], "the head of a block")
    blocks = [known.get(number) or Block.of(number, new[number]) for number in numbers]
    return sorted(blocks, key=lambda block: block.first)


def read_state(transaction: Transaction, old: State | None = None) -> State:
    """Return what the index holds; of `old` what still is true is used.

    Raises
    ------
    StoreError
        If rows are damaged or missing; the message names what they hold.
    """
    size, changed = counters(transaction)
    if old is not None and changed == old.changed and size >= old.size:
        if size == old.size:
            return old
        rows = _recent(transaction, old.size)
        if [row[0] for row in rows] != list(range(old.size + 1, size + 1)):
            raise StoreError(f"the label index has a gap after series {old.size} of {size}: restore the catalog.")
        return old.extended(rows)
    blocks = _blocks(transaction, old.blocks if old is not None else ())
    rows = _recent(transaction, 0)
    folded = sum(block.count for block in blocks)
    learned = {number: (kind, unit) for number, labels, kind, unit in rows if labels is None}
    new = [row for row in rows if row[1] is not None]
    _tiled([*((b.first, b.count) for b in blocks), *((row[0], 1) for row in new)], size)
    if any(not 0 < number <= folded for number in learned):
        raise StoreError("the label index knows the kind of a series that it does not have: restore the catalog.")
    state = State(size - len(new), changed, tuple(blocks), (), learned)
    return state.extended(new) if new else state
