"""Samples on a regular grid, decoded straight into the rows of one array: at each step the last sample within it.

Step k stands for the half-open stretch `(start + (k - 1) step, start + k step]`, labelled at its right end. What a
target's timestamps mean for the grid is worked out once for all its series.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench import codecs
from workbench.errors import StoreError
from workbench.store.hot_samples import HotSamples
from workbench.store.metrics import Chunks

__all__ = ["fill", "of_flat", "steps_of"]

_Ints = npt.NDArray[np.int64]
_Block = npt.NDArray[np.float64]


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
    series = [chunks.index.series[r] for (_, chunks), r in zip(segments, rows, strict=True)]
    found = np.unique(np.concatenate(series)) if series else np.empty(0, np.int64)
    out = np.empty((len(found), n))
    ends = [0] * len(found)  # how far each row is filled: chunks of a series come in order of time
    for i in np.argsort([c.index.t_min.min(initial=0) for _, c in segments], kind="stable").tolist():
        target = np.searchsorted(found, series[i])
        if not _fill_one(segments[i][1], rows[i], target, out, ends, (start, step)):
            return None
    for row, end in enumerate(ends):
        out[row, end:] = np.nan
    used = np.array(ends, np.int64) > 0
    return (found, out) if used.all() else (found[used], out[used])


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


def _fill_one(
    chunks: Chunks,
    rows: npt.NDArray[np.intp],
    target: npt.NDArray[np.intp],
    out: _Block,
    ends: list[int],
    grid: tuple[int, int],
) -> bool:
    """Decode some chunks of one segment into rows of `out`; return False when one is damaged or comes out of order."""
    index, n = chunks.index, out.shape[1]
    group, blob = index.group[rows], index.blob[rows]
    raw, bad = chunks.raw(blob)
    if bad:
        return False
    known: dict[int, _Spot] = {}
    decoded: dict[tuple[int, int, int], _Block] = {}
    scratch = np.empty(int(index.count[group].max(initial=0)))
    decode, counts = codecs.decode_into, index.count.tolist()
    work = zip(blob.tolist(), index.codec[rows].tolist(), group.tolist(), target.tolist(), strict=True)
    try:
        for number, codec, g, i in work:
            if g not in known:
                known[g] = _spot(steps_of(chunks.times(g), *grid), n)
            spot = known[g]
            if spot.begin == spot.end:
                continue
            row, first = out[i], spot.first
            if first < ends[i]:
                if first < ends[i] - 1:
                    return False
                decoded.clear()  # the step both touch is the later chunk's, and a view of the earlier one changes
            row[ends[i] : first] = np.nan
            ends[i] = spot.last + 1
            count = counts[g]
            if spot.at is None and spot.end - spot.begin == count:
                view = row[first : first + count]
                if (number, codec, count) in decoded:
                    view[:] = decoded[number, codec, count]
                else:
                    decode(codec, raw[number], view)
                    decoded[number, codec, count] = view
                continue
            decode(codec, raw[number], scratch[:count])
            if spot.at is None:
                row[first : spot.last + 1] = scratch[spot.begin : spot.end]
            else:
                row[first : spot.last + 1] = np.nan
                row[spot.at] = scratch[spot.begin : spot.end]
    except (StoreError, ValueError):
        return False
    return True


class _Spot(NamedTuple):
    """Where a group's samples lie on the grid: samples `begin` to `end`, steps `first` to `last`.

    `at` has the step of each sample, None when there is one sample for each step.
    """

    begin: int
    end: int
    first: int
    last: int
    at: _Ints | None


def _spot(at: _Ints, n: int) -> _Spot:
    begin, end = np.searchsorted(at, [0, n]).tolist()
    if begin == end:
        return _Spot(begin, end, 0, -1, None)
    inside = at[begin:end]
    first, last = int(inside[0]), int(inside[-1])
    one_each = last - first == end - begin - 1 and bool((np.diff(inside) == 1).all())
    return _Spot(begin, end, first, last, None if one_each else inside)
