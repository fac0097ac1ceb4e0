"""Samples of a scrape target as a matrix: its series share their instants, so buckets are found once for all of them.

What sorting would have to decide (hot rows, chunks of one series that overlap) is left to `gather`, and so are series
that share their instants with few others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.store.hot_samples import HotSamples
from workbench.store.metrics import Chunks
from workbench.store.rollup import Buckets, Columns, reduce, roll

__all__ = ["Matrix", "matrices", "roll_matrix"]

_FEW = 4
"""Series that share their instants, below which gathering them with others is as fast."""

_AT_ONCE = 200_000
"""Samples of a matrix, about: it stays in the processor's cache."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


class Matrix(NamedTuple):
    """Samples of k series at the same n instants.

    Attributes
    ----------
    series : ndarray of int64, shape (k,)
    time : ndarray of int64, shape (n,)
        Nanoseconds, strictly increasing.
    value : ndarray of float64, shape (k, n)
    """

    series: _Ints
    time: _Ints
    value: _Floats


class _Pieces(NamedTuple):
    """Chunks by series and time: which segment, which row of its index, which group of timestamps; shape (p,) each."""

    series: _Ints
    segment: _Ints
    row: _Ints
    group: _Ints
    t_min: _Ints
    t_max: _Ints

    def take(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> _Pieces:
        return _Pieces(*(part[which] for part in self))


def matrices(
    segments: Sequence[Chunks],
    hot: Sequence[HotSamples],
    ids: _Ints,
    size: int,
    span: tuple[int, int],
    damaged: Callable[[Chunks, npt.NDArray[np.intp]], None],
) -> tuple[_Ints, Iterator[Matrix]]:
    """Return the series that have to be gathered, and the samples of the others in `span`, part by part.

    Parameters
    ----------
    segments : sequence of Chunks
    hot : sequence of HotSamples
    ids : ndarray of int64
        Numbers of the wanted series, sorted.
    size : int
        The largest series number there is.
    span : (int, int)
        First instant and end, ns.
    damaged : callable
        Told the chunks (rows of an index) that are damaged; it must raise.
    """
    wanted = np.zeros(size + 1, bool)
    wanted[ids] = True
    alone = np.zeros(size + 1, bool)
    for row in hot:
        alone[row.ids] = True
    pieces = _pieces([chunks.index.rows(ids, wanted, *span) for chunks in segments], segments)
    pieces = pieces.take(np.lexsort((pieces.t_min, pieces.series)))
    clash = (pieces.series[1:] == pieces.series[:-1]) & (pieces.t_max[:-1] >= pieces.t_min[1:])
    alone[pieces.series[1:][clash]] = True
    shared = _shared(pieces.take(~alone[pieces.series]), alone)
    return ids[alone[ids]], _read(segments, shared, span, damaged)


def _pieces(rows: Sequence[npt.NDArray[np.intp]], segments: Sequence[Chunks]) -> _Pieces:
    parts = []
    for i, (chunks, some) in enumerate(zip(segments, rows, strict=True)):
        index, group = chunks.index, chunks.index.group[some].astype(np.int64)
        where = np.full(len(some), i, np.int64)
        parts.append((index.series[some], where, some, group, index.t_min[group], index.t_max[group]))
    nothing = [np.empty(0, np.int64)] * len(_Pieces._fields)
    return _Pieces(*(np.concatenate(part) for part in zip(nothing, *parts, strict=True)))


def _shared(pieces: _Pieces, alone: npt.NDArray[np.bool_]) -> list[_Pieces]:
    """Return the pieces of each set of series that have the same groups of timestamps; mark series with few such."""
    begin = np.flatnonzero(np.diff(pieces.series, prepend=-1))
    length = np.diff(np.append(begin, len(pieces.series)))
    found = []
    for n in np.unique(length).tolist():
        at = begin[length == n][:, None] + np.arange(n)
        key = pieces.segment[at] << 32 | pieces.group[at]
        _, which = np.unique(key, axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        for rows in np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]):
            if len(rows) < _FEW:
                alone[pieces.series[at[rows, 0]]] = True
            else:
                found.append(pieces.take(at[rows].ravel()))
    return found


def _read(
    segments: Sequence[Chunks],
    shared: Sequence[_Pieces],
    span: tuple[int, int],
    damaged: Callable[[Chunks, npt.NDArray[np.intp]], None],
) -> Iterator[Matrix]:
    for pieces in shared:
        series = np.unique(pieces.series)
        parts = [a.reshape(len(series), -1) for a in (pieces.segment, pieces.row, pieces.group)]
        times = [segments[s].times(g) for s, g in zip(parts[0][0].tolist(), parts[2][0].tolist(), strict=True)]
        time = np.concatenate(times)
        begin, end = np.searchsorted(time, span).tolist()
        edges = np.cumsum([0, *map(len, times)])
        at_once = max(1, _AT_ONCE // len(time))
        for a in range(0, len(series) if begin < end else 0, at_once):
            some = slice(a, a + at_once)
            value = np.empty((len(series[some]), len(time)))
            starts = np.arange(len(value))[:, None] * len(time) + edges[:-1]
            for number in np.unique(parts[0][0]).tolist():
                mine = parts[0][0] == number
                rows = parts[1][some][:, mine].ravel()
                bad = segments[number].fill(rows, starts[:, mine].ravel(), None, value.reshape(-1))
                if len(bad):
                    damaged(segments[number], rows[bad])
            yield Matrix(series[some], time[begin:end], value[:, begin:end])


def roll_matrix(given: Matrix, rows: _Ints, step: int, phase: int, columns: Sequence[str]) -> Iterator[Buckets]:
    """Return the buckets of a matrix.

    Parameters
    ----------
    given : Matrix
    rows : ndarray of int64, shape (k,)
        What stands for its series in the buckets.
    step, phase : int
        As for `rollup.roll`.
    columns : sequence of str
        `count` and what else is wanted of sum, min, max, first, last and increase (which needs the two before).
    """
    empty = np.isnan(given.value).any(axis=1)
    if empty.any():
        value = given.value[empty]
        n = value.shape[1]
        yield roll(np.repeat(rows[empty], n), np.tile(given.time, len(value)), value.ravel(), step, phase, columns)
        if empty.all():
            return
        given, rows = Matrix(given.series[~empty], given.time, given.value[~empty]), rows[~empty]
    k, n = given.value.shape
    bucket = -((phase - given.time) // step)
    edge = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    begin = np.arange(k) * n
    head = (begin[:, None] + edge).ravel()
    tail = np.append(head[1:], k * n) - 1
    flat = given.value.ravel()
    source: Columns = {name: flat for name in columns if name not in ("count", "increase")}
    if "increase" in columns:
        source["increase"] = np.where(np.isinf(flat), np.nan, 0.0)
    found = reduce(source, begin, head, tail)
    found["count"] = np.tile(np.diff(edge, append=n), k)
    out = {name: found[name] for name in columns}
    yield Buckets(step, np.repeat(rows, len(edge)), np.tile(bucket[edge], k), out)
