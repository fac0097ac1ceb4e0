"""Samples on a regular grid, decoded straight into the rows of one array: at each step the last sample within it.

Step k stands for the half-open stretch `(start + (k - 1) step, start + k step]`, labelled at its right end. What a
target's timestamps mean for the grid is worked out once for all its series.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.hot_samples import HotSamples
from workbench.store.metrics import Chunks

__all__ = ["fill", "of_flat", "steps_of"]

_Ints = npt.NDArray[np.int64]
_Block = npt.NDArray[np.float64]
_AT_ONCE = 4_000_000


def steps_of(time: _Ints, start: int, step: int) -> _Ints:
    """Return the step that each instant falls in, negative before the first."""
    return -((start - time) // step)


def of_flat(offsets: _Ints, time: _Ints, value: _Block, start: int, step: int, n: int) -> _Block:
    """Return sorted samples of k series as a (k, n) array, NaN where a step has none."""
    out = np.full((len(offsets) - 1, n), np.nan)
    at = steps_of(time, start, step)
    row = np.repeat(np.arange(len(out)), np.diff(offsets))
    inside = (at >= 0) & (at < n)
    out[row[inside], at[inside]] = value[inside]  # of several the last is kept: they come in order of time
    return out


def fill(
    segments: Sequence[tuple[int, Chunks]],
    hot: Sequence[HotSamples],
    ids: _Ints,
    size: int,
    start: int,
    step: int,
    n: int,
) -> tuple[_Ints, _Block] | None:
    """Return the series with samples and their grid, or None when this needs sorting: hot rows, overlaps, damage.

    Parameters
    ----------
    segments : sequence of (rank, Chunks)
    hot : sequence of HotSamples
    ids : ndarray of int64
        Wanted series, sorted.
    size : int
        The largest series number there is.
    start, step, n : int
        First step's right end in ns, length of a step in ns, number of steps.

    Returns
    -------
    series : ndarray of int64, shape (k,)
    values : ndarray of float64, shape (k, n)
    """
    wanted = np.zeros(size + 1, bool)
    wanted[ids] = True
    if any(wanted[h.ids].any() for h in hot):
        return None
    low, high = start - step + 1, start + (n - 1) * step + 1
    rows = [chunks.index.rows(ids, wanted, low, high) for _, chunks in segments]
    if _overlap(segments, rows):
        return None
    try:
        parts = [_pieces(chunks, r, (start, step, n)) for (_, chunks), r in zip(segments, rows, strict=True)]
    except StoreError:
        return None
    found = np.unique(np.concatenate([part.series for part in parts])) if parts else np.empty(0, np.int64)
    out = np.empty((len(found), n))
    cut = _blank(parts, found, out)
    if cut is None:
        return None
    where = np.split(cut, np.cumsum([len(part.series) for part in parts]))
    for (_, chunks), part, dropped in zip(segments, parts, where, strict=False):
        if not _fill_one(chunks, part, dropped, found, out):
            return None
    return found, out


class _Pieces(NamedTuple):
    """Chunks that have samples on the grid.

    Attributes
    ----------
    row : ndarray of int
        Which chunk of the segment.
    series : ndarray of int64
    spot : ndarray of int
        Which of `spots` tells where the samples lie on the grid.
    begin, end, first, last : ndarray of int64
        Samples `begin` to `end` are in steps `first` to `last`.
    spots : list of _Steps or None
        Which samples are the last of their steps, None when there is one for each step.
    """

    row: npt.NDArray[np.intp]
    series: _Ints
    spot: npt.NDArray[np.intp]
    begin: _Ints
    end: _Ints
    first: _Ints
    last: _Ints
    spots: list[_Steps | None]


def _pieces(chunks: Chunks, rows: npt.NDArray[np.intp], grid: tuple[int, int, int]) -> _Pieces:
    """Return where the chunks of one segment lie on the grid; timestamps are looked at once for all that share them."""
    groups, of = np.unique(chunks.index.group[rows], return_inverse=True)
    spots = [_spot(steps_of(chunks.times(g), *grid[:2]), grid[2]) for g in groups.tolist()]
    begin, end, first, last = np.array([spot[:4] for spot in spots], np.int64).reshape(-1, 4)[of].T.copy()
    kept = np.flatnonzero(begin < end)
    series, steps = chunks.index.series[rows[kept]], [spot.steps for spot in spots]
    return _Pieces(rows[kept], series, of[kept], begin[kept], end[kept], first[kept], last[kept], steps)


def _blank(parts: Sequence[_Pieces], found: _Ints, out: _Block) -> npt.NDArray[np.bool_] | None:
    """Write NaN wherever no chunk has a sample; return which chunks give up their last step to the next chunk.

    None when chunks of one series come in another order than their samples.
    """
    row = np.searchsorted(found, np.concatenate([np.empty(0, np.int64), *(part.series for part in parts)]))
    first, last = (np.concatenate([np.empty(0, np.int64), *(getattr(p, k) for p in parts)]) for k in ("first", "last"))
    order = np.lexsort((last, first, row))
    row, first, last = row[order], first[order], last[order]
    same = row[1:] == row[:-1]
    if (same & (first[1:] < last[:-1])).any():
        return None
    cut = np.zeros(len(order), bool)
    cut[order[:-1][same & (first[1:] == last[:-1])]] = True
    flat, n = out.reshape(-1), out.shape[1]
    ends = np.concatenate([[0], row * n + last + 1])  # NaN goes from the end of each chunk to where the next one begins
    begins = np.append(row * n + first, out.size)
    for i in np.flatnonzero(begins > ends).tolist():
        flat[ends[i] : begins[i]] = np.nan
    return cut


def _fill_one(chunks: Chunks, part: _Pieces, cut: npt.NDArray[np.bool_], found: _Ints, out: _Block) -> bool:
    """Decode the chunks of one segment into rows of `out`; return False when one is damaged."""
    flat, n = out.reshape(-1), out.shape[1]
    base = np.searchsorted(found, part.series) * n
    even = np.array([at is None for at in part.spots], bool)[part.spot]
    some = np.flatnonzero(even)
    begin, end, target = part.begin[some], part.end[some] - cut[some], (base + part.first)[some]
    if len(chunks.unpack(part.row[some], begin, end, target, flat)):
        return False
    uneven = np.flatnonzero(~even)
    batch = np.cumsum((part.end - part.begin)[uneven]) // _AT_ONCE
    return all(_fill_uneven(chunks, part, cut, uneven[batch == i], base, flat) for i in np.unique(batch).tolist())


def _fill_uneven(
    chunks: Chunks, part: _Pieces, cut: npt.NDArray[np.bool_], some: npt.NDArray[np.intp], base: _Ints, flat: _Block
) -> bool:
    """Decode chunks whose samples are not one for each step, and write the last one of each; False when damaged."""
    count = (part.end - part.begin)[some]
    at = np.cumsum(count) - count
    values = np.empty(int(count.sum()))
    if len(chunks.unpack(part.row[some], part.begin[some], part.end[some], at, values)):
        return False
    for i, a in zip(some.tolist(), at.tolist(), strict=True):
        steps, drop = part.spots[part.spot[i]], int(cut[i])
        assert steps is not None
        row = flat[base[i] + part.first[i] : base[i] + part.last[i] + 1 - drop]
        kept = slice(len(steps.at) - drop)
        row[:] = np.nan
        row[steps.at[kept]] = values[a + steps.sample[kept]]
    return True


class _Steps(NamedTuple):
    """Which sample is the last one of which step; both counted from the first."""

    at: _Ints
    sample: npt.NDArray[np.intp]


class _Spot(NamedTuple):
    """Where a group's samples lie on the grid: samples `begin` to `end`, steps `first` to `last`.

    `steps` is None when there is one sample for each step.
    """

    begin: int
    end: int
    first: int
    last: int
    steps: _Steps | None


def _spot(at: _Ints, n: int) -> _Spot:
    begin, end = np.searchsorted(at, [0, n]).tolist()
    if begin == end:
        return _Spot(0, 0, 0, -1, None)
    inside = at[begin:end]
    first, last = int(inside[0]), int(inside[-1])
    changes = np.diff(inside)
    if last - first == end - begin - 1 and bool((changes == 1).all()):
        return _Spot(begin, end, first, last, None)
    sample = np.append(np.flatnonzero(changes), len(inside) - 1)
    return _Spot(begin, end, first, last, _Steps(inside[sample] - first, sample))


def _overlap(segments: Sequence[tuple[int, Chunks]], rows: Sequence[npt.NDArray[np.intp]]) -> bool:
    """Return whether two chunks of one series overlap in time, so that a sample could be there twice."""
    if len(segments) < 2:  # within a segment repetitions are gone
        return False
    parts = [(c.index, r) for (_, c), r in zip(segments, rows, strict=True)]
    series = np.concatenate([index.series[r] for index, r in parts])
    t_min, t_max = (np.concatenate([getattr(i, name)[i.group[r]] for i, r in parts]) for name in ("t_min", "t_max"))
    order = np.lexsort((t_min, series))
    series, t_min, t_max = series[order], t_min[order], t_max[order]
    return bool(((series[1:] == series[:-1]) & (t_max[:-1] >= t_min[1:])).any())
