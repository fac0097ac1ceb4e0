"""Samples of many segments and hot rows as one: sorted, cut to a window, of repetitions the latest written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.store.hot_samples import HotSamples
from workbench.store.metrics import Chunks

__all__ = ["gather"]

_Ints = npt.NDArray[np.int64]


class _Part(NamedTuple):
    """Chunks of one segment, and which of their samples lie in the window: `begin` to `end`."""

    rows: npt.NDArray[np.intp]
    begin: _Ints
    end: _Ints

    @classmethod
    def of(cls, chunks: Chunks, rows: npt.NDArray[np.intp], start: int, end: int) -> _Part:
        begin, behind = chunks.within(rows, start, end)
        some = begin < behind
        return cls(rows[some], begin[some], behind[some])

    def without(self, bad: npt.NDArray[np.intp]) -> _Part:
        return _Part(*(np.delete(values, bad) for values in self))


@dataclass(frozen=True)
class _Pieces:
    """Where samples come from: runs of one series and one write each, from chunks and from hot rows."""

    series: _Ints
    t_min: _Ints
    t_max: _Ints
    count: _Ints
    rank: _Ints

    @classmethod
    def of_chunks(cls, chunks: Chunks, part: _Part, rank: int, start: int, end: int) -> _Pieces:
        index, group = chunks.index, chunks.index.group[part.rows]
        ranks = np.full(len(part.rows), rank, np.int64)
        low, high = np.maximum(index.t_min[group], start), np.minimum(index.t_max[group], end - 1)
        return cls(index.series[part.rows], low, high, part.end - part.begin, ranks)

    @classmethod
    def of_hot(cls, hot: HotSamples, kept: npt.NDArray[np.intp]) -> _Pieces:
        begin, end = hot.offsets[kept], hot.offsets[kept + 1]
        ranks = np.full(len(kept), hot.rank, np.int64)
        return cls(hot.ids[kept], hot.time[begin], hot.time[end - 1], end - begin, ranks)

    @classmethod
    def joined(cls, parts: Sequence[_Pieces]) -> _Pieces:
        names = ("series", "t_min", "t_max", "count", "rank")
        return cls(*(np.concatenate([getattr(p, n) for p in parts] or [np.empty(0, np.int64)]) for n in names))

    def take(self, order: npt.NDArray[np.intp]) -> _Pieces:
        return _Pieces(self.series[order], self.t_min[order], self.t_max[order], self.count[order], self.rank[order])


def gather(
    segments: Sequence[tuple[int, Chunks]],
    hot: Sequence[HotSamples],
    ids: _Ints,
    size: int,
    start: int,
    end: int,
    damaged: Callable[[str], None],
    names: Callable[[_Ints], list[str]],
) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
    """Return the samples of some series in [start, end), sorted; of equal (series, time) the latest write wins.

    Parameters
    ----------
    segments : sequence of (rank, Chunks)
        `rank` is the write number that decides between repetitions.
    hot : sequence of HotSamples
    ids : ndarray of int64
        Numbers of the wanted series, sorted.
    size : int
        The largest series number there is.
    start, end : int
        Nanoseconds.
    damaged : callable
        Told one sentence per segment with damaged chunks; they are left out when it returns.
    names : callable
        Gives the labels of series numbers, for that sentence.

    Returns
    -------
    series : ndarray of int64, shape (n,)
        Numbers of the series that have samples, increasing.
    offsets : ndarray of int64, shape (n + 1,)
    time, value : ndarray of int64 and float64, shape (m,)
    """
    wanted = np.zeros(size + 1, bool)
    wanted[ids] = True
    rows = [_Part.of(chunks, chunks.index.rows(ids, wanted, start, end), start, end) for _, chunks in segments]
    kept = [np.flatnonzero(wanted[h.ids]) for h in hot]
    while True:
        parts = [_Pieces.of_chunks(c, r, rank, start, end) for (rank, c), r in zip(segments, rows, strict=True)]
        parts += [_Pieces.of_hot(h, k) for h, k in zip(hot, kept, strict=True)]
        pieces = _Pieces.joined(parts)
        order = np.lexsort((pieces.rank, pieces.t_min, pieces.series))
        at = np.empty(len(order), np.int64)
        at[order] = np.cumsum(pieces.count[order]) - pieces.count[order]
        total = int(pieces.count.sum())
        time, value = np.empty(total, np.int64), np.empty(total)
        where = np.split(at, np.cumsum([len(p.series) for p in parts], dtype=np.int64))[: len(parts)]
        sound = True
        for i, ((_, chunks), a) in enumerate(zip(segments, where, strict=False)):
            bad = chunks.fill(rows[i].rows, a, time, value, (rows[i].begin, rows[i].end))
            if len(bad):
                damaged(chunks.damaged(rows[i].rows[bad], names))
                rows[i], sound = rows[i].without(bad), False
        if sound:
            break
    for h, k, a in zip(hot, kept, where[len(segments) :], strict=True):
        n = np.diff(h.offsets)[k]
        inside = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        source, target = np.repeat(h.offsets[k], n) + inside, np.repeat(a, n) + inside
        time[target], value[target] = h.time[source], h.value[source]
    return _finish(pieces.take(order), time, value, start, end)


def _finish(
    pieces: _Pieces, time: _Ints, value: npt.NDArray[np.float64], start: int, end: int
) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
    """Resolve repetitions and cut to the window; only samples that may be concerned are looked at one by one."""
    keep = np.ones(0, bool)
    clash = (np.diff(pieces.series) == 0) & (pieces.t_max[:-1] >= pieces.t_min[1:])
    if clash.any():
        mixed = np.isin(pieces.series, pieces.series[1:][clash])
        keep = _latest(pieces, mixed, time, value)
    if len(pieces.series) and (pieces.t_min.min() < start or pieces.t_max.max() >= end):
        inside = (time >= start) & (time < end)
        keep = keep & inside if len(keep) else inside
    counts = pieces.count
    if len(keep):
        seen = np.concatenate([[0], np.cumsum(keep)])
        edges = np.concatenate([[0], np.cumsum(counts)])
        counts = seen[edges[1:]] - seen[edges[:-1]]
        time, value = time[keep], value[keep]
    series, first = np.unique(pieces.series[counts > 0], return_index=True)
    sums = np.add.reduceat(counts[counts > 0], first) if len(first) else first
    return series, np.concatenate([[0], np.cumsum(sums)]).astype(np.int64), time, value


def _latest(
    pieces: _Pieces, mixed: npt.NDArray[np.bool_], time: _Ints, value: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Sort the samples of `mixed` pieces in place and return which samples stay: of equal instants the last written."""
    at = np.flatnonzero(np.repeat(mixed, pieces.count))
    counts = pieces.count[mixed]
    series, rank = np.repeat(pieces.series[mixed], counts), np.repeat(pieces.rank[mixed], counts)
    order = np.lexsort((rank, time[at], series))
    time[at], value[at] = time[at][order], value[at][order]
    keep = np.ones(len(time), bool)
    keep[at[:-1]] = (np.diff(series) != 0) | (np.diff(time[at]) != 0)
    return keep
