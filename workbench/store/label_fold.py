"""Folding: recent series become blocks, small blocks become larger ones, what was learned of folded series is written in.

One fold is part of one write transaction. Readers that still hold the old blocks find rows gone, look again, and find
the same series under the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from workbench.store.catalog import Transaction
from workbench.store.label_block import Part, Read, View
from workbench.store.label_pack import Block, Packer
from workbench.store.label_rows import Pantry, claim, pack, read_rows, write_rows
from workbench.store.label_state import Sets, merge_from, read_state
from workbench.store.labels import Column, distinct, joined

__all__ = ["MOST", "fold", "write_block"]

MOST = 2**18
"""Series of the largest block: what one fold rewrites."""

_MANY = 500


def write_block(
    transaction: Transaction, first: int, count: int, columns: Iterable[tuple[str, Column]], about: Sequence[Column]
) -> None:
    """Write the labels of `count` series from number `first` on as one block."""
    packer = Packer(claim(transaction, "labels", 0), first, count)
    entries = [packer.column(name, column) for name, column in columns]
    said = [packer.column(name, column) for name, column in zip(("kind", "unit"), about, strict=True)]
    _finish(transaction, packer, packer.close(entries, said))


def _finish(transaction: Transaction, packer: Packer, head: bytes) -> None:
    write_rows(transaction, packer.rows)
    claim(transaction, "labels", len(packer.rows))
    write_rows(transaction, [(-claim(transaction, "labels", 1), pack(head, hard=True))])


def fold(transaction: Transaction, more: Sets | None = None, *, factor: int = 1) -> bool:
    """Move recent series into blocks and join blocks; return whether anything was changed.

    Parameters
    ----------
    transaction : Transaction
        A write transaction.
    more : Sets, optional
        Series that are new: they get the numbers after the last one.
    factor : int
        A block is rewritten when what follows it is this many times as large: 1 leaves few blocks, more is cheaper.

    Raises
    ------
    StoreError
        If rows that are needed are damaged; nothing may be committed then.
    """
    state = read_state(transaction)
    pantry = Pantry(lambda numbers, what: read_rows(transaction, numbers, what))
    new = [sets for sets in (*state.recent, more) if sets is not None and sets.count]
    groups = _groups([block.count for block in state.blocks], sum(sets.count for sets in new), factor)
    if not groups and not state.learned:
        return False
    joined_blocks = {i for low, high in groups for i in range(low, high)}
    for i, block in enumerate(state.blocks):
        if i not in joined_blocks:
            _correct(transaction, block, pantry, state.learned)
    for low, high in groups:
        blocks = state.blocks[low:high]
        parts = [View(block, pantry).part() for block in blocks]
        if high == len(state.blocks):
            parts += [sets.part(0) for sets in new]
        _write(transaction, blocks[0].first if blocks else state.folded + 1, parts, state.learned)
        _delete(transaction, [n for block in blocks for n in (block.number, *block.rows())])
    transaction.execute("DELETE FROM recent")
    claim(transaction, "series_changed", 1)
    if more is not None:
        claim(transaction, "series", more.count)
    return True


def _groups(counts: Sequence[int], new: int, factor: int) -> list[tuple[int, int]]:
    """Return which blocks become one, as ranges; one that reaches to the end takes the `new` series too."""
    groups, high = [], len(counts)
    low = merge_from(counts, new, factor, MOST)
    if new or low < high:
        groups.append((low, high))
    high = low
    while high > 0:
        low = min(merge_from(counts[:high], 0, factor, MOST), high - 1)
        if high - low > 1:
            groups.append((low, high))
        high = low
    return groups


def _column(read: Read | None) -> Column | None:
    return None if read is None else Column(read.span("")[1], read.codes())


def _write(transaction: Transaction, first: int, parts: Sequence[Part], learned: Mapping[int, tuple[str, str]]) -> None:
    """Write parts as one block, as several where they are too many series for one."""
    count = sum(part.count for part in parts)
    names = sorted({name for part in parts for name in part.columns})
    about = _corrected([joined([(p.count, _column(p.about[i])) for p in parts]) for i in (0, 1)], first, learned)
    if count <= MOST:
        columns = ((name, joined([(p.count, _column(p.columns.get(name))) for p in parts])) for name in names)
        return write_block(transaction, first, count, columns, about) if count else None
    whole = {name: joined([(p.count, _column(p.columns.get(name))) for p in parts]) for name in names}
    for low in range(0, count, MOST):
        rows = np.arange(low, min(low + MOST, count))
        some = ((name, column.take(rows)) for name, column in whole.items())
        kept = [(name, column) for name, column in some if len(column.values)]
        write_block(transaction, first + low, len(rows), kept, [column.take(rows) for column in about])
    return None


def _corrected(about: list[Column], first: int, learned: Mapping[int, tuple[str, str]]) -> list[Column]:
    """Return kind and unit of the series from `first` on with what was learned since."""
    count = len(about[0].codes)
    mine = [number for number in learned if first <= number < first + count]
    if not mine:
        return about
    out = []
    for i, column in enumerate(about):
        codes, values = distinct(pa.array([learned[number][i] for number in mine], pa.large_string()))
        both = joined([(count, column), (len(mine), Column(values, codes))])
        new = both.codes[:count].copy()
        new[np.array(mine) - first] = both.codes[count:]
        out.append(Column(both.values, new).take(np.arange(count)))
    return out


def _correct(transaction: Transaction, block: Block, pantry: Pantry, learned: Mapping[int, tuple[str, str]]) -> None:
    """Write a new head for a block of which something was learned; the rows of its labels stay."""
    old = [column for column in map(_column, View(block, pantry).part().about) if column is not None]
    about = _corrected(old, block.first, learned)
    if about is old:
        return
    packer = Packer(claim(transaction, "labels", 0), block.first, block.count, block.piece)
    entries = [packer.kept(entry, block) for entry in block.columns.values()]
    said = [packer.column(name, column) for name, column in zip(("kind", "unit"), about, strict=True)]
    _finish(transaction, packer, packer.close(entries, said))
    _delete(transaction, [block.number, *(n for entry in block.about for n in entry.rows(block.count, block.piece))])


def _delete(transaction: Transaction, numbers: Sequence[int]) -> None:
    for at in range(0, len(numbers), _MANY):
        part = numbers[at : at + _MANY]
        transaction.execute(f"DELETE FROM labels WHERE id IN ({', '.join('?' * len(part))})", tuple(part))
