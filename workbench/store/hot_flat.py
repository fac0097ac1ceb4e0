"""Many hot rows as flat sorted arrays: rows of one target are transposed, only what overlaps is sorted.

A target's scrapes have equal series numbers and one instant each, so a thousand of them are a matrix, and its transpose
is what a segment or a reader wants: series by series, in order of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from workbench.store.hot_samples import HotSamples

__all__ = ["HotFlat", "hot_flat"]

_Ints = npt.NDArray[np.int64]
_T = TypeVar("_T", np.int64, np.float64)
_TILE = 32  # rows transposed at a time: their lines stay in the cache


class HotFlat(NamedTuple):
    """Samples sorted by series and time, each (series, time) once; arrays of shape (m,)."""

    series: _Ints
    time: _Ints
    value: npt.NDArray[np.float64]
    rank: _Ints


class _Part(NamedTuple):
    """Pieces one after the other; piece `i` is `n[i]` samples of `series[i]`, strictly increasing in time."""

    series: _Ints
    n: _Ints
    time: _Ints
    value: npt.NDArray[np.float64]
    rank: _Ints


def hot_flat(rows: Sequence[HotSamples], wanted: npt.NDArray[np.bool_] | None = None) -> HotFlat:
    """Return the samples of hot rows, sorted; of several at one (series, time) the one of the largest rank is kept.

    Parameters
    ----------
    rows : sequence of HotSamples
        In any order.
    wanted : ndarray of bool, optional
        By series number; all series by default.
    """
    alike: dict[tuple[int, int, bool], list[HotSamples]] = {}
    ragged: list[HotSamples] = []
    for row in sorted(rows, key=lambda row: row.rank):
        if row.each:
            alike.setdefault((id(row.ids), row.each, row.shared), []).append(row)
        else:
            ragged.append(row)
    parts = [_transposed(group, wanted) for group in alike.values()]
    if ragged:
        parts.append(_ragged(ragged, wanted))
    if not parts:
        nothing = np.empty(0, np.int64)
        return HotFlat(nothing, nothing, np.empty(0), nothing)
    part = parts[0] if len(parts) == 1 else _Part(*map(np.concatenate, zip(*parts, strict=True)))
    return _merged(part)


def _transposed(rows: list[HotSamples], wanted: npt.NDArray[np.bool_] | None) -> _Part:
    """Return the pieces of rows that have equal series and as many samples of each: one piece per series."""
    ids, each = rows[0].ids, rows[0].each
    chosen = np.argsort(ids)
    if wanted is not None:
        chosen = chosen[wanted[ids[chosen]]]
    n = len(chosen)
    rank = np.repeat(np.array([row.rank for row in rows], np.int64), each)
    if not rows[0].shared:
        times = _block([row.instants for row in rows], each, chosen)
        if (np.diff(times, axis=1) <= 0).any():
            return _ragged(rows, wanted)
        values = _block([row.value for row in rows], each, chosen)
        return _Part(ids[chosen], np.full(n, len(rank)), times.ravel(), values.ravel(), np.tile(rank, n))
    values = _block([row.value for row in rows], each, chosen)
    time = np.concatenate([row.instants for row in rows])
    if (np.diff(time) <= 0).any():
        order = np.argsort(time, kind="stable")
        order = order[np.append(np.diff(time[order]) > 0, True)]  # the last of equal instants was written last
        time, rank, values = time[order], rank[order], values[:, order]
    return _Part(ids[chosen], np.full(n, len(time)), np.tile(time, n), values.ravel(), np.tile(rank, n))


def _block(arrays: list[npt.NDArray[_T]], each: int, chosen: npt.NDArray[np.intp]) -> npt.NDArray[_T]:
    """Return arrays of (series, each) as one of (chosen series, arrays times each)."""
    n = len(arrays[0]) // each
    every = len(chosen) == n and bool((np.diff(chosen) == 1).all())
    block = np.empty((len(chosen), len(arrays), each), arrays[0].dtype)
    for at in range(0, len(arrays), _TILE):
        tile = np.stack(arrays[at : at + _TILE]).reshape(-1, n, each)
        block[:, at : at + _TILE] = (tile if every else tile[:, chosen]).transpose(1, 0, 2)
    return block.reshape(len(chosen), len(arrays) * each)


def _ragged(rows: list[HotSamples], wanted: npt.NDArray[np.bool_] | None) -> _Part:
    """Return the pieces of other rows: one piece per row and series."""
    series = np.concatenate([row.ids for row in rows])
    count = np.concatenate([np.diff(row.offsets) for row in rows])
    time, value = np.concatenate([row.time for row in rows]), np.concatenate([row.value for row in rows])
    rank = np.repeat(np.array([row.rank for row in rows], np.int64), [len(row.value) for row in rows])
    if wanted is None or wanted[series].all():
        return _Part(series, count, time, value, rank)
    kept = wanted[series]
    inside = np.repeat(kept, count)
    return _Part(series[kept], count[kept], time[inside], value[inside], rank[inside])


def _merged(part: _Part) -> HotFlat:
    """Put the pieces in order; only series whose pieces overlap are sorted sample by sample."""
    end = np.cumsum(part.n)
    begin = end - part.n
    series = np.repeat(part.series, part.n)
    time, value, rank = part.time, part.value, part.rank
    if (np.diff(part.series) <= 0).any():
        order = np.lexsort((time[begin], part.series))
        counts = part.n[order]
        at = np.arange(len(time)) + np.repeat(begin[order] - np.cumsum(counts) + counts, counts)
        series, time, value, rank = series[at], time[at], value[at], rank[at]
        numbers = part.series[order]
        overlaps = (numbers[1:] == numbers[:-1]) & (part.time[end[order][:-1] - 1] >= part.time[begin[order][1:]])
        if overlaps.any():
            mixed = np.isin(series, numbers[1:][overlaps])
            where = np.flatnonzero(mixed)
            order = where[np.lexsort((rank[where], time[where], series[where]))]
            time[where], value[where], rank[where] = time[order], value[order], rank[order]
            last = np.append((np.diff(series) != 0) | (np.diff(time) != 0), True)
            series, time, value, rank = series[last], time[last], value[last], rank[last]
    return HotFlat(series, time, value, rank)
