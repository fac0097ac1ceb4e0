"""Rolling up days that are over: one read of a day's samples, all levels, one transaction that names them.

A level is kept for a series on a day where its buckets hold at least `DENSE` samples on average; a sketch where they
hold at least `SKETCHED`. The coarsest level is written even when it holds nothing: it says that the day was done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.signals.samples import is_stale
from workbench.store.catalog import Catalog
from workbench.store.crash import reach
from workbench.store.files import Made, add_segment, check_there, remove
from workbench.store.places import Folder
from workbench.store.rollup import LEVELS, Buckets, combine, roll
from workbench.store.rollup_plan import RawSpans, RollupSegment, day_of, load_raw_spans, load_rollups
from workbench.store.rollup_segment import DAY, Described, Period, RollupWriter, Rows
from workbench.store.rollup_sketch import Sketches, sketch

__all__ = ["DENSE", "SETTLED_NS", "SKETCHED", "RollupContext", "build", "commit", "due_days"]

DENSE = 10
"""Samples that a level's buckets hold on average at least, for a series to have that level on a day."""

SKETCHED = 100
"""The same for sketches: in smaller buckets they would take more than the samples themselves."""

SETTLED_NS = 3600 * 10**9
"""How long after its end a day is rolled up, ns: samples an hour late still find it open."""

_SAMPLES = 4_000_000
_PART = 128 * 2**20

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RollupContext:
    """What rolling up needs of a store.

    Attributes
    ----------
    place : Folder
        Where new segments are written.
    catalog : Catalog
    index : Described
        Labels, kinds and units of series.
    size : int
        The largest series number.
    samples : callable
        `samples(ids, start, end)` returns series numbers, offsets, times (ns) and values of [start, end), sorted and
        without repetitions.
    meta : mapping of str to str
        What footers say first.
    hidden : ndarray of int64
        Series that are not rolled up: nobody asks for them.
    """

    place: Folder
    catalog: Catalog
    index: Described
    size: int
    samples: Callable[[_Ints, int, int], tuple[_Ints, _Ints, _Ints, _Floats]]
    meta: Mapping[str, str] = field(default_factory=dict)
    hidden: _Ints = field(default_factory=lambda: np.empty(0, np.int64))


def due_days(raw: RawSpans, rollups: Sequence[RollupSegment], now: int) -> list[int]:
    """Return the days that are over, have samples, and no rollup that knows them all.

    A day whose known samples have expired keeps its rollup: what came later is no day.

    Parameters
    ----------
    raw : RawSpans
    rollups : sequence of RollupSegment
    now : int
        Nanoseconds.
    """
    if not len(raw.seq):
        return []
    first, last = int(day_of(raw.t_min.min())), int(day_of(raw.t_max.max())) + 1
    last = min(last, (now - SETTLED_NS) // DAY)
    if first >= last:
        return []
    newest, known = np.full(last - first, -1, np.int64), np.full(last - first, -1, np.int64)
    oldest = np.full(last - first, 2**63 - 1, np.int64)
    days = zip(day_of(raw.t_min).tolist(), (day_of(raw.t_max) + 1).tolist(), strict=True)
    for (a, b), since, seq in zip(days, raw.since.tolist(), raw.seq.tolist(), strict=True):
        here = slice(max(a - first, 0), max(b - first, 0))
        newest[here], oldest[here] = np.maximum(newest[here], seq), np.minimum(oldest[here], since)
    for segment in rollups:
        if segment.step == LEVELS[-1]:
            here = slice(*(max(day - first, 0) for day in segment.days))
            known[here] = np.maximum(known[here], segment.rank)
    due: list[int] = (np.flatnonzero((newest > known) & ((known < 0) | (oldest <= known))) + first).tolist()
    return due


def build(context: RollupContext, now: int | None = None) -> int:
    """Roll up every day that is due; return how many this process did.

    Of two processes that roll up the same day one wins, and the other removes its files.

    Raises
    ------
    StoreError
        If samples that are needed are damaged, or the disk refuses.
    """
    with context.catalog.read() as transaction:
        raw, rollups = load_raw_spans(transaction), load_rollups(transaction, 0, 2**63 - 1)
    days = due_days(raw, rollups, time.time_ns() if now is None else now)
    return sum(_build_day(context, day) for day in days)


def _build_day(context: RollupContext, day: int) -> bool:
    with context.catalog.read() as transaction:
        rank = int(transaction.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()[0])
        older = load_rollups(transaction, day * DAY + 1, (day + 1) * DAY)
    writers = {level: _Parts(context, level, day, rank) for level in LEVELS}
    try:
        for last, (series, instants, values) in _read(context, day):
            for level, rows in _levels(series, instants, values, day):
                writers[level].add(rows, last)
        for level, parts in writers.items():
            if level == LEVELS[-1] or any(s.step == level for s in older) or parts.made or parts.writer.nbytes:
                parts.flush(context.size)
    except BaseException:
        for parts in writers.values():
            remove(context.place, [file for _, made in parts.made for file in made.files])
        raise
    made = [one for parts in writers.values() for one in parts.made]
    return commit(context, made, rank, [s.id for s in older if s.days == (day, day + 1)])


def _read(context: RollupContext, day: int) -> Iterator[tuple[int, tuple[_Ints, _Ints, _Floats]]]:
    """Return the samples of a day, some series at a time, and the last series number each time; no stale markers."""
    first, at_once = 1, 1024
    while first <= context.size:
        last = min(first + at_once - 1, context.size)
        wanted = np.setdiff1d(np.arange(first, last + 1), context.hidden, assume_unique=True)
        ids, offsets, instants, values = context.samples(wanted, day * DAY + 1, (day + 1) * DAY + 1)
        series, fresh = np.repeat(ids, np.diff(offsets)), ~is_stale(values)
        if fresh.any():
            yield last, (series, instants, values) if fresh.all() else (series[fresh], instants[fresh], values[fresh])
        first = last + 1
        at_once = max(16, min(4 * at_once, _SAMPLES * at_once // max(len(values), 1)))


def _levels(series: _Ints, instants: _Ints, values: _Floats, day: int) -> Iterator[tuple[int, Rows]]:
    """Return the rows of every level that some of the series have."""
    begin = np.flatnonzero(np.diff(series, prepend=series[:1] - 1))
    counts = np.diff(np.append(begin, len(series)))
    finer: Buckets | None = None
    for level in LEVELS:
        number = -(-instants // level)
        new = np.ones(len(series), bool)
        new[1:] = (series[1:] != series[:-1]) | (number[1:] != number[:-1])
        mean = counts / np.add.reduceat(new, begin, dtype=np.int64)
        dense = np.repeat(mean >= DENSE, counts)
        if not dense.any():
            continue
        if finer is not None and len(finer) and (mean >= DENSE).sum() == len(np.unique(finer.series)):
            buckets = combine(finer, level)
        else:
            buckets = roll(series[dense], instants[dense], values[dense], level)
        finer = buckets
        ids, n = np.unique(buckets.series, return_counts=True)
        sketched = mean[mean >= DENSE] >= SKETCHED
        with_sketch = np.repeat(mean >= SKETCHED, counts)[dense]
        owner = np.cumsum(new[dense]) - 1
        sketches = (
            sketch(owner[with_sketch], values[dense][with_sketch], len(buckets))
            if sketched.any()
            else Sketches.empty(len(buckets))
        )
        days = np.full(len(ids), day)
        yield level, Rows(buckets, np.append(0, np.cumsum(n)), days, days + 1, sketched, sketches)


class _Parts:
    """The segments of one level on one day: as many as their size asks for, by series."""

    def __init__(self, context: RollupContext, level: int, day: int, rank: int) -> None:
        self._context, self._period, self._rank = context, (level, day), rank
        self.writer, self._first = RollupWriter("fast"), 0
        self.made: list[tuple[int, Made]] = []

    def add(self, rows: Rows, last: int) -> None:
        self.writer.add(rows)
        if self.writer.nbytes > _PART:
            self.flush(last)

    def flush(self, last: int) -> None:
        """Write what there is as the segment of all series up to `last`."""
        level, day = self._period
        period = Period(level, (day, day + 1), (self._first, max(last, self._first)))
        context, seq = self._context, (self._rank, self._rank)
        self.made.append((level, self.writer.write(context.place, period, context.index, context.meta, seq)))
        self.writer, self._first = RollupWriter("fast"), last + 1


def commit(
    context: RollupContext,
    made: Sequence[tuple[int, Made]],
    rank: int,
    replaced: Sequence[int],
    allowed: Callable[[Any], bool] = lambda transaction: True,
) -> bool:
    """Name new rollups and retire those they replace; return False, and remove the files, when another was first.

    Parameters
    ----------
    context : RollupContext
    made : sequence of (level, Made)
    rank : int
        Last write that they know of.
    replaced : sequence of int
        Segments to be retired: all must still be live.
    allowed : callable
        Asked inside the transaction, with it, whether the rollups are still true.
    """
    reach("rollup.written")
    named = False
    try:
        with context.catalog.write() as transaction:
            named = allowed(transaction) and _swap(transaction, context.place, made, rank, replaced)
    finally:
        if not named:
            remove(context.place, [file for _, one in made for file in one.files])
    reach("rollup.committed")
    return named


def _swap(
    transaction: Any, place: Folder, made: Sequence[tuple[int, Made]], rank: int, replaced: Sequence[int]
) -> bool:
    for number in replaced:
        if transaction.execute("SELECT 1 FROM segments WHERE id = ? AND retired IS NULL", (number,)).fetchone() is None:
            return False
    for level, one in made:
        span = one.row["t_min"], one.row["t_max"]
        live = load_rollups(transaction, *span, level)
        days = day_of(span[0]), day_of(span[1]) + 1
        if any(s.id not in replaced and s.rank >= rank and s.days[0] <= days[0] <= days[1] <= s.days[1] for s in live):
            return False
    for level, one in made:
        check_there(place, one)
        add_segment(transaction, one, rank, rank, step=level, replaces=str(list(replaced)))
    now = time.time_ns()
    transaction.executemany("UPDATE segments SET retired = ? WHERE id = ?", [(now, number) for number in replaced])
    return True
