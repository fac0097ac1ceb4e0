"""The way back of `native.py`: series and their hidden parts become samples with native histograms."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import StoreError, WorkbenchWarning
from workbench.signals import Samples
from workbench.signals.histograms import CUSTOM, Histograms, lay_out
from workbench.store.native import ESCAPED, FIXED, MARK, MOST, PART

__all__ = ["join"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_HEAD: Final = 0
_WIDTH = 2**17
_LENGTHS = 2**22
_SHAPE_MOST = float(_WIDTH**3)


def join(samples: Samples) -> Samples:
    """Return samples whose hidden series have become histograms of the series that they are parts of.

    A histogram that lacks a part (a segment was lost, or is in a place that is not in reach) is left out whole, with a
    warning.

    Parameters
    ----------
    samples : Samples
        As they lie in the store, hidden series among them.

    Raises
    ------
    StoreError
        If parts contradict each other.
    """
    part = samples.labels[PART].to_numpy(object)
    hidden = part != ""
    labels = samples.labels.drop(columns=PART)
    owner = _owners(labels, hidden)
    mains = samples.take(~hidden)
    return _Join(samples, part, owner, mains).made(labels[~hidden].reset_index(drop=True))


def _owners(labels: pd.DataFrame, hidden: npt.NDArray[np.bool_]) -> _Ints:
    """Return for every series its number among those that are not hidden, -1 where it is part of none."""
    columns = list(labels.columns)
    group = labels.groupby(columns, sort=False).ngroup().to_numpy()
    number = np.full(int(group.max(initial=-1)) + 1, -1, np.int64)
    number[group[~hidden]] = np.arange(int((~hidden).sum()))
    found: _Ints = number[group]
    return found


class _Join:
    """Hidden series under way: `edges`, `instants` are the marks of the series they are parts of."""

    def __init__(self, samples: Samples, part: npt.NDArray[np.object_], owner: _Ints, mains: Samples) -> None:
        self.mains = mains
        self.marked = mains.value.view(np.uint64) == MARK
        # A mark in a series that has no part at all is a number, written before there were histograms.
        with_parts = np.zeros(len(mains), bool)
        with_parts[owner[(part != "") & (owner >= 0)]] = True
        self.marked &= np.repeat(with_parts, np.diff(mains.offsets))
        self.edges = np.append(0, np.cumsum(self.marked))[mains.offsets].astype(np.int64)
        self.instants = mains.time.view(np.int64)[self.marked]
        rows = np.flatnonzero((part != "") & (owner >= 0))
        codes, names = pd.factorize(part[rows])
        known = np.array([_parsed(name) for name in names.tolist()], np.int64).reshape(-1, 2)[codes]
        series, source = _slices(samples.offsets[rows], samples.offsets[rows + 1])
        at = self._located(owner[rows], samples.time.view(np.int64)[source], series, source)
        some = at >= 0
        self.at, self.value = at[some], samples.value[source[some]]
        self.family, self.place = known[series[some]].T

    def _located(self, owner: _Ints, time: _Ints, series: _Ints, source: _Ints) -> _Ints:
        """Return for every number the mark at its series and instant, -1 where there is none."""
        if not len(self.instants) or not len(series):
            return np.full(len(series), -1, np.int64)
        # Most parts are there from some mark on to the last; where that is not so, they are looked for.
        own = owner[series]
        left = np.bincount(series, minlength=len(owner))[series] - _place_within(series)
        guess = self.edges[own + 1] - left
        guess[(guess < self.edges[own])] = -1
        guess[self.instants[guess] != time] = -1
        rest = np.flatnonzero(guess < 0)
        if len(rest):
            moments = np.unique(self.instants)
            marks = np.repeat(np.arange(len(self.edges) - 1), np.diff(self.edges)) * len(moments)
            marks += np.searchsorted(moments, self.instants)
            moment = np.minimum(np.searchsorted(moments, time[rest]), len(moments) - 1)
            wanted = own[rest] * len(moments) + moment
            found = np.minimum(np.searchsorted(marks, wanted), len(marks) - 1)
            guess[rest] = np.where((marks[found] == wanted) & (moments[moment] == time[rest]), found, -1)
        return guess

    def made(self, labels: pd.DataFrame) -> Samples:
        """Return the samples of the series that are not hidden, with their histograms."""
        k = len(self.instants)
        head, need = np.full((k, FIXED), np.nan), np.zeros((k, 4), np.int64)
        mine = (self.family == _HEAD) & (self.place < FIXED)
        head[self.at[mine], self.place[mine]] = self.value[mine]
        escaped = head[:, 0] == ESCAPED
        shape = np.where((head[:, 0] >= 0) & (head[:, 0] < _SHAPE_MOST), head[:, 0], 0).astype(np.int64)
        need[:, 0], need[:, 1] = FIXED, shape % _WIDTH
        need[:, 2], need[:, 3] = shape // _WIDTH % _WIDTH, shape // _WIDTH**2
        cell = self.at * 4 + self.family
        counts = self.place < need.ravel()[cell]  # what lies beyond is of an older histogram at the same instant
        have = np.bincount(cell[counts], minlength=4 * k).reshape(k, 4)
        whole = (have == need).all(axis=1) & ~escaped
        sizes = np.where(whole[:, None], need, 0)
        sizes[:, _HEAD] = 0
        start = np.cumsum(sizes.T.ravel()).reshape(4, k).T - sizes
        kept = counts & (self.family > _HEAD) & whole[self.at]
        out = np.empty(int(sizes.sum()))
        out[start.ravel()[cell[kept]] + self.place[kept]] = self.value[kept]
        parts = np.split(out, np.cumsum(sizes.sum(axis=0))[1:3])
        return self._samples(labels, whole, escaped, _pool(head[whole], sizes[whole, 1:], *parts))

    def _samples(
        self, labels: pd.DataFrame, whole: npt.NDArray[np.bool_], escaped: npt.NDArray[np.bool_], pool: Histograms
    ) -> Samples:
        mains, at = self.mains, np.flatnonzero(self.marked)
        row = np.full(mains.n_samples, -1, np.int64)
        row[at[whole]] = np.arange(len(pool))
        value = mains.value.copy()
        value[at[whole]] = 0.0
        keep = np.ones(mains.n_samples, bool)
        keep[at[~whole & ~escaped]] = False
        found = Samples(
            labels, mains.offsets, mains.time, value, mains.kind, mains.unit,
            row if len(pool) else None, pool if len(pool) else None,
        )  # fmt: skip
        return found if keep.all() else _without(found, keep)


def _without(samples: Samples, keep: npt.NDArray[np.bool_]) -> Samples:
    """Return the samples to be kept, and warn of the others."""
    at = int(np.argmin(keep))
    labels = samples.labels.iloc[int(np.searchsorted(samples.offsets, at, "right")) - 1]
    named = {name: text[:100] for name, text in labels.items() if text}
    warnings.warn(
        f"{int((~keep).sum())} native histograms lack some of their numbers and are left out, the first at"
        f" {samples.time[at]} of {named}: restore the segments that held them.",
        WorkbenchWarning,
        stacklevel=2,
    )
    offsets = np.append(0, np.cumsum(keep))[samples.offsets].astype(np.int64)
    row = None if samples.row is None else samples.row[keep]
    less = Samples(
        samples.labels, offsets, samples.time[keep], samples.value[keep], samples.kind, samples.unit, row,
        samples.histograms,
    )  # fmt: skip
    return less.take(np.diff(offsets) > 0)


def _slices(begin: _Ints, end: _Ints) -> tuple[_Ints, _Ints]:
    """Return for the samples of some slices which slice each is of, and where it lies."""
    n = end - begin
    series = np.repeat(np.arange(len(n), dtype=np.int64), n)
    return series, np.arange(len(series)) + np.repeat(begin - (np.cumsum(n) - n), n)


def _place_within(series: _Ints) -> _Ints:
    """Return the place of every sample in its slice; slices come one after the other."""
    n = np.bincount(series)
    return np.arange(len(series)) - np.repeat(np.cumsum(n) - n, n)


def _parsed(name: str) -> tuple[int, int]:
    """Return family and place that the value of the label says; of another value a place that no histogram has."""
    family, place = "hbsc".find(name[:1]), name[1:]
    if family < 0 or not (place.isascii() and place.isdigit()) or len(place) > 6:
        return 1, 2 * MOST
    return family, int(place)


def _pool(head: _Floats, sizes: _Ints, bucket: _Floats, spans: _Floats, bounds: _Floats) -> Histograms:
    """Return histograms of their numbers, laid one after the other by family; `sizes` has shape (k, 3)."""
    stretch = spans.astype(np.int64)
    length = stretch % _LENGTHS
    first = stretch // _LENGTHS
    offsets = np.append(0, np.cumsum(sizes[:, 0])).astype(np.int64)
    held = np.append(0, np.cumsum(length))[np.append(0, np.cumsum(sizes[:, 1]))]
    if not np.array_equal(held, offsets):
        raise StoreError("native histograms contradict themselves: verify the store, and restore it from a copy.")
    key = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(len(bucket))
    said = head[:, 1].astype(np.int64)
    schema = said // 256
    layout, table = lay_out(schema == CUSTOM, sizes[:, 2], bounds)
    return Histograms(
        schema.astype(np.int16), head[:, 2].copy(), head[:, 3].copy(), head[:, 4].copy(), head[:, 5].copy(),
        (said % 256 - 128).astype(np.int8), layout, offsets, key, bucket.copy(), table,
    )  # fmt: skip
