"""Joining the rollups of days into those of longer periods: one blob per series and column where there were many.

Periods are powers of eight days, counted from 1970, so every process cuts them alike. A joined rollup knows as much as
the newest of its parts, which is only true while none of them has been overtaken by late samples: that is looked up
again inside the transaction that names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.store.files import Made
from workbench.store.rollup import COLUMNS, Buckets
from workbench.store.rollup_build import SETTLED_NS, RollupContext, commit
from workbench.store.rollup_columns import NUMBERS
from workbench.store.rollup_file import RollupFile
from workbench.store.rollup_plan import (
    Piece,
    RawSpans,
    RollupSegment,
    choose,
    load_raw_spans,
    load_rollups,
    pieces,
    stretches,
)
from workbench.store.rollup_segment import DAY, Period, RollupWriter, Rows
from workbench.store.rollup_sketch import Sketches

__all__ = ["PERIODS", "merge"]

PERIODS = {60 * 10**9: (8,), 300 * 10**9: (8, 32), 3600 * 10**9: (8, 64, 512)}
"""Days of the periods that each level is joined to."""

_CELLS = 500_000
_PART = 256 * 2**20

_Ints = npt.NDArray[np.int64]


def merge(context: RollupContext, open_file: Callable[[RollupSegment], RollupFile], now: int | None = None) -> int:
    """Join the rollups of every period that is over; return how many segments were replaced.

    Parameters
    ----------
    context : RollupContext
    open_file : callable
        Returns the `RollupFile` of a segment.
    now : int, optional
        Nanoseconds.

    Raises
    ------
    StoreError
        If a rollup is damaged, or the disk refuses.
    """
    current, done = time.time_ns() if now is None else now, 0
    for level, spans in PERIODS.items():
        for span in spans:
            with context.catalog.read() as transaction:
                found, raw = load_rollups(transaction, 0, 2**63 - 1, level), load_raw_spans(transaction)
            for first, parts in _periods(found, span, current):
                if _true(parts, raw):
                    done += _join(context, open_file, level, (first, first + span), parts)
    return done


def _periods(found: Sequence[RollupSegment], span: int, now: int) -> Iterator[tuple[int, list[RollupSegment]]]:
    """Yield the first day of each period that is over, and its parts where these are several days.

    A joined rollup speaks for its whole period, so all there is of it must be a part: none may lie elsewhere or reach
    beyond.
    """
    periods: dict[int, list[RollupSegment]] = {}
    for segment in found:
        for first in range(segment.days[0] // span * span, segment.days[1], span):
            periods.setdefault(first, []).append(segment)
    for first, parts in sorted(periods.items()):
        over = (first + span) * DAY + SETTLED_NS <= now
        whole = all(p.tier == "warm" and first <= p.days[0] and p.days[1] <= first + span for p in parts)
        if over and whole and len({p.days for p in parts}) > 1:
            yield first, parts


def _true(parts: Sequence[RollupSegment], raw: RawSpans) -> bool:
    """Return whether on each day the newest part knows all samples."""
    first, last = min(p.days[0] for p in parts), max(p.days[1] for p in parts)
    late = np.zeros(last - first, bool)
    for part in parts:  # the newest comes last
        here = slice(part.days[0] - first, part.days[1] - first)
        late[here] = raw.overtaken(part.rank, *part.days)
    return not late.any()


def _join(
    context: RollupContext,
    open_file: Callable[[RollupSegment], RollupFile],
    level: int,
    days: tuple[int, int],
    parts: Sequence[RollupSegment],
) -> int:
    files = [(part, open_file(part)) for part in parts]
    rank = max(part.rank for part in parts)
    ids = np.unique(np.concatenate([file.index.series for _, file in files]))
    low, high = min(p.series[0] for p in parts), max(p.series[1] for p in parts) - 1
    at_once = max(1, _CELLS // ((days[1] - days[0]) * (DAY // level)))
    effort = "best" if days[1] - days[0] == PERIODS[level][-1] else "fast"
    writer = RollupWriter(effort)
    made: list[tuple[int, Made]] = []

    def flush(last: int) -> Made:
        period = Period(level, days, (low, last))
        return writer.write(context.place, period, context.index, context.meta, (rank, rank))

    for a in range(0, len(ids), at_once):
        some = ids[a : a + at_once]
        for rows in _rows(files, some, days):
            writer.add(rows)
        if writer.nbytes > _PART and some[-1] < ids[-1]:
            made.append((level, flush(int(some[-1]))))
            writer, low = RollupWriter(effort), int(some[-1]) + 1
    made.append((level, flush(high)))

    def allowed(transaction: Any) -> bool:
        newer = [s for s in load_rollups(transaction, days[0] * DAY + 1, days[1] * DAY, level) if s.rank > rank]
        return not newer and _true(parts, load_raw_spans(transaction))

    named = commit(context, made, rank, [part.id for part in parts], allowed)
    return len(parts) if named else 0


def _rows(files: Sequence[tuple[RollupSegment, RollupFile]], ids: _Ints, days: tuple[int, int]) -> Iterator[Rows]:
    """Return the joined rows of some series: one per stretch of days in which it is covered."""
    none = np.empty(0, np.int64)
    nothing = RawSpans(none, none, none, none)
    chosen = choose(files, ids, days, ("count",), nothing)
    kinds: npt.NDArray[np.int8] = np.zeros(chosen.shape, np.int8)  # 0 not covered, 1 covered, 2 with sketches
    found: list[tuple[Buckets, Sketches]] = []
    for piece in pieces(chosen, days[0]):
        if piece.position >= 0:
            file = files[piece.position][1]
            sketched = file.index.cells[file.index.block[piece.rows], NUMBERS["sketch"]] >= 0
            kinds[piece.series, piece.days[0] - days[0] : piece.days[1] - days[0]] = (1 + sketched)[:, None]
            found += _buckets(file, piece)
    if not found:
        return
    buckets = Buckets(
        files[0][0].step,
        np.concatenate([b.series for b, _ in found]),
        np.concatenate([b.bucket for b, _ in found]),
        {name: np.concatenate([b.columns[name] for b, _ in found]) for name in COLUMNS},
    )
    order = np.lexsort((buckets.bucket, buckets.series))
    buckets, sketches = buckets.take(order), Sketches.of_parts([s for _, s in found]).take(order)
    rows, begin, end = stretches(kinds)
    day = (buckets.bucket * buckets.step - 1) // DAY - days[0]
    width = kinds.shape[1]
    mine = np.searchsorted(rows * width + begin, buckets.series * width + day, side="right") - 1
    n = np.bincount(mine, minlength=len(rows))
    kept = np.flatnonzero(n)
    named = Buckets(buckets.step, ids[buckets.series], buckets.bucket, buckets.columns)
    offsets = np.append(0, np.cumsum(n[kept]))
    kind = kinds[rows[kept], begin[kept]]
    yield Rows(named, offsets, begin[kept] + days[0], end[kept] + days[0], kind == 2, sketches)


def _buckets(file: RollupFile, piece: Piece) -> Iterator[tuple[Buckets, Sketches]]:
    """Return the buckets and sketches of a piece, `series` being positions."""
    index = file.index
    needed = index.block[piece.rows]
    blocks = file.fetch(needed, (*COLUMNS, "sketch"))
    position = np.full(len(index.series), -1, np.int64)
    position[piece.rows] = piece.series
    low, high = (day * DAY // file.step for day in piece.days)
    for block in np.unique(needed).tolist():
        found = blocks.buckets(block)
        owner = position[found.series]
        kept = np.flatnonzero((owner >= 0) & (found.bucket > low) & (found.bucket <= high))
        sketches = Sketches.empty(len(kept))
        if index.cells[block, NUMBERS["sketch"]] >= 0:
            sketches = blocks.sketches(block).take(kept)
        yield Buckets(file.step, owner, found.bucket, found.columns).take(kept), sketches
