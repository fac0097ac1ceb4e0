"""Which rollup answers which day of which series: the coarsest level that fits the question and is still true.

A rollup is true for a day unless samples of that day were written after it was made: then some live segment or hot row
that overlaps the day has a later write number. Samples that have expired take nothing from their rollups: a day of
whose known samples none are left keeps its rollup, whatever comes later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.files import SEALED, File, row_crc
from workbench.store.rollup_columns import NUMBERS
from workbench.store.rollup_file import RollupFile
from workbench.store.rollup_segment import DAY, SIGNAL

__all__ = [
    "Piece",
    "RawSpans",
    "RollupSegment",
    "choose",
    "day_of",
    "load_raw_spans",
    "load_rollups",
    "pieces",
    "stretches",
]

_Ints = npt.NDArray[np.int64]
_ROW = 2**32


class RollupSegment(NamedTuple):
    """A rollup as the catalog names it: `rank` is the last write it knows of, days and series are (first, last + 1)."""

    id: int
    step: int
    rank: int
    days: tuple[int, int]
    series: tuple[int, int]
    file: File
    tier: str


@dataclass(frozen=True)
class RawSpans:
    """First and last write, first and last instant (ns) of every live metrics segment and hot row; shape (s,) each."""

    since: _Ints
    seq: _Ints
    t_min: _Ints
    t_max: _Ints

    def days(self, first: int, last: int, which: npt.NDArray[np.bool_] | slice = slice(None)) -> npt.NDArray[np.bool_]:
        """Return which of the days from `first` to `last` - 1 some of the spans touch."""
        a, b = (np.clip(day_of(t[which]) - first, 0, last - first) for t in (self.t_min, self.t_max + DAY))
        edges = np.zeros(last - first + 1, np.int64)
        np.add.at(edges, a, 1)
        np.add.at(edges, b, -1)
        touched: npt.NDArray[np.bool_] = np.cumsum(edges[:-1]) > 0
        return touched

    def overtaken(self, rank: int, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Return on which of the days what was known at write `rank` is no longer all there is.

        Where nothing of what was known is left, it has expired, and what came later does not make up for it.
        """
        return self.days(first, last, self.seq > rank) & self.days(first, last, self.since <= rank)


def day_of(t: Any) -> Any:
    """Return the day of an instant (ns): day d is (d * DAY, (d + 1) * DAY]."""
    return (t - 1) // DAY


def load_rollups(transaction: Any, start: int, end: int, step: int | None = None) -> list[RollupSegment]:
    """Return the live rollups that speak for any instant of [start, end], those that know most writes last.

    Raises
    ------
    StoreError
        If a row of the catalog is damaged; the message names the segment.
    """
    where = "signal = ? AND t_min <= ? AND t_max >= ? AND retired IS NULL" + ("" if step is None else " AND step = ?")
    values = (SIGNAL, end, start) if step is None else (SIGNAL, end, start, step)
    files = {
        segment: File(*file)
        for segment, *file in transaction.execute(
            "SELECT segment, role, path, files.bytes, files.crc32 FROM files JOIN segments ON segment = id"
            f" WHERE {where}",
            values,
        )
    }
    found = []
    for number, resolution, tier, crc32, *sealed in transaction.execute(
        f"SELECT id, step, tier, crc32, {', '.join(SEALED)} FROM segments WHERE {where} ORDER BY seq_max, id", values
    ).fetchall():
        about = dict(zip(SEALED, sealed, strict=True))
        if row_crc(*sealed) != crc32 or number not in files:
            raise StoreError(f"the catalog's row of segment {number} is damaged: restore the catalog.")
        days = day_of(about["t_min"]), day_of(about["t_max"]) + 1
        series = about["series_min"], about["series_max"] + 1
        found.append(RollupSegment(number, resolution, about["seq_max"], days, series, files[number], tier))
    return found


def load_raw_spans(transaction: Any) -> RawSpans:
    """Return the spans of all live metrics segments and hot rows."""
    rows = transaction.execute(
        "SELECT seq_min, seq_max, t_min, t_max FROM segments WHERE signal = 'metrics' AND retired IS NULL"
        " UNION ALL SELECT seq, seq, t_min, t_max FROM hot WHERE signal = 'metrics'"
    ).fetchall()
    return RawSpans(*np.array(rows, np.int64).reshape(-1, 4).T)


def choose(
    segments: Sequence[tuple[RollupSegment, RollupFile]],
    ids: _Ints,
    days: tuple[int, int],
    columns: Sequence[str],
    raw: RawSpans,
) -> _Ints:
    """Return for each series and day the segment (position in `segments`) and row that answer, -1 for raw samples.

    Parameters
    ----------
    segments : sequence of (RollupSegment, RollupFile)
        Of levels that fit the question, those that know most writes last.
    ids : ndarray of int64, shape (n,)
        Series numbers, sorted.
    days : (int, int)
        First day, last day + 1.
    columns : sequence of str
        What is asked of a bucket.
    raw : RawSpans

    Returns
    -------
    ndarray of int64, shape (n, days)
        position * 2**32 + row, or -1.
    """
    chosen = np.full((len(ids), days[1] - days[0]), -1, np.int64)
    for level in sorted({segment.step for segment, _ in segments}):
        owner = np.full(chosen.shape, -1, np.int64)
        for position, (segment, file) in enumerate(segments):
            if segment.step == level:
                _paint(owner, position, segment, file, ids, days[0], columns)
                late = raw.overtaken(segment.rank, *days)
                mine = owner[:, late] // _ROW == position
                owner[:, late] = np.where(mine, -1, owner[:, late])
        chosen = np.where(owner >= 0, owner, chosen)
    return chosen


def _paint(
    owner: _Ints,
    position: int,
    segment: RollupSegment,
    file: RollupFile,
    ids: _Ints,
    first: int,
    columns: Sequence[str],
) -> None:
    """Write a segment's rows over what lies under its days and series; a series it does not cover has none there."""
    index, width = file.index, owner.shape[1]
    a, b = (min(max(day - first, 0), width) for day in segment.days)
    owner[slice(*np.searchsorted(ids, segment.series).tolist()), a:b] = -1
    has: npt.NDArray[np.bool_] = np.all(index.cells[:, [NUMBERS[name] for name in columns]] >= 0, axis=1)
    at = np.minimum(np.searchsorted(ids, index.series), max(len(ids) - 1, 0))
    rows = np.flatnonzero(has[index.block] & (ids[at] == index.series)) if len(ids) else np.empty(0, np.int64)
    stretches, which = np.unique(np.stack([index.from_day[rows], index.to_day[rows]]), axis=1, return_inverse=True)
    for i, (low, high) in enumerate(stretches.T.tolist()):
        mine = rows[which == i]
        a, b = (min(max(day - first, 0), width) for day in (low, high))
        owner[at[mine], a:b] = (position * _ROW + mine)[:, None]


def stretches(table: npt.NDArray[Any]) -> tuple[_Ints, _Ints, _Ints]:
    """Return row, begin and end of every run of equal values in the rows of a table."""
    new = np.ones(table.shape, bool)
    new[:, 1:] = table[:, 1:] != table[:, :-1]
    row, begin = (part.astype(np.int64) for part in np.nonzero(new))
    end = np.append(begin[1:], table.shape[1])[: len(row)]
    end[np.append(row[1:] != row[:-1], True)[: len(row)]] = table.shape[1]
    return row, begin, end


class Piece(NamedTuple):
    """Some series over some days from one source: `series` are positions, `rows` those of segment `position`."""

    position: int
    days: tuple[int, int]
    series: _Ints
    rows: _Ints


def pieces(chosen: _Ints, first: int) -> Iterator[Piece]:
    """Return what `choose` chose as pieces, in the order of their first days; position -1 stands for raw samples."""
    series, begin, end = stretches(chosen)
    owner = chosen[series, begin]
    position = np.where(owner < 0, -1, owner // _ROW)
    if not len(series):
        return
    key = np.stack([begin, end, position])
    groups, which = np.unique(key, axis=1, return_inverse=True)
    order = np.argsort(which, kind="stable")
    edges = np.searchsorted(which[order], np.arange(groups.shape[1] + 1))
    for i, (a, b, source) in enumerate(groups.T.tolist()):
        mine = order[edges[i] : edges[i + 1]]
        yield Piece(source, (first + a, first + b), series[mine], owner[mine] % _ROW)
