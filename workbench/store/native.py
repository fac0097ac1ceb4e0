"""Native histograms on their way into the store: each sample becomes numbers of hidden series beside its own.

The series itself gets `MARK` at the instant, and every number of the histogram goes to a series that has its labels and
one more, `PART`, which says which number it is. They are written, sealed, joined and moved as all series are, and the
mark decides: whatever was written at an instant last replaces it whole, for the first part says how many others count.
`native_join.py` is the way back; FORMAT.md has the table of the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import ShapeError
from workbench.signals import Matcher, Samples
from workbench.signals.histograms import CUSTOM, Histograms

__all__ = [
    "ESCAPED", "FIXED", "HIDDEN", "MARK", "MOST", "PART", "TOO_LARGE", "Shredded", "asked", "has_parts", "shred", "visible",
]  # fmt: skip

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

PART: Final = "__histogram_part__"
"""The label of hidden series; samples that come with it are refused."""

_SHOWN: Final = Matcher(PART, "=", "")

HIDDEN: Final = Matcher(PART, "!=", "")
"""What hidden series satisfy, and no other."""

MARK: Final = np.uint64(0x7FF8686973746F67)
"""The bits of the NaN that stands in a series where a histogram is."""

ESCAPED: Final = -1.0
"""The shape of what is no histogram but a number with the very bits of the mark."""

FIXED: Final = 6
"""Parts that every histogram has: shape, schema and hint, zero threshold, zero count, count, sum."""

MOST: Final = 2**16
"""Most buckets, stretches of keys or bounds of a histogram."""

TOO_LARGE: Final = f"native histogram of more than {MOST} buckets, or with a bucket beyond the largest number"
"""The reason under which those are counted that are not stored."""

_FAMILIES = "hbsc"  # head, buckets, stretches of keys, custom bounds
_WIDTH = 2**17
_LENGTHS = 2**22
_FARTHEST = 2**30


class Shredded(NamedTuple):
    """Samples without histograms: first the series that were given, then their parts.

    Attributes
    ----------
    samples : Samples
    owner : ndarray of int64, shape (n,)
        The series, of those that were given, that each is part of.
    left_out : int
        Histograms that are too large.
    """

    samples: Samples
    owner: _Ints
    left_out: int


def has_parts(samples: Samples) -> bool:
    """Return whether samples cannot be stored as they are: they hold histograms, or numbers that look like the mark.

    Raises
    ------
    ShapeError
        If a series has the label that is kept for parts.
    """
    if PART in samples.labels.columns and (samples.labels[PART] != "").any():
        raise ShapeError(f"samples have the label {PART!r}, which is kept for the store itself: rename or drop it.")
    if samples.row is not None and (samples.row >= 0).any():
        return True
    return bool((samples.value.view(np.uint64) == MARK).any())


def visible(matchers: Sequence[Matcher]) -> list[Matcher]:
    """Return matchers that no hidden series satisfies."""
    return [*matchers, _SHOWN]


def asked(matchers: Sequence[Matcher]) -> list[Matcher]:
    """Return matchers that the series meant satisfy, with all their parts; none does when parts alone are asked for."""
    own = [m for m in matchers if m.name == PART]
    if not own:
        return list(matchers)
    if not all(m.mask(np.array([""], object))[0] for m in own):
        return [_SHOWN, HIDDEN]
    return [m for m in matchers if m.name != PART]


class _Words(NamedTuple):
    """Numbers of histograms: `code` says which number it is, `sample` whose."""

    code: _Ints
    sample: _Ints
    value: _Floats

    @classmethod
    def of(cls, family: int, place: _Ints, sample: _Ints, value: _Floats) -> _Words:
        return cls(family * _LENGTHS + place, sample, value)


def shred(samples: Samples) -> Shredded:
    """Return samples whose histograms have become numbers of hidden series.

    Parameters
    ----------
    samples : Samples
        Checked, and such that `has_parts` is true of them.
    """
    samples, left_out = _fitting(samples)
    row = np.full(samples.n_samples, -1) if samples.row is None else samples.row
    mark = np.flatnonzero((row < 0) & (samples.value.view(np.uint64) == MARK))
    whole = np.flatnonzero(row >= 0)
    words = [_Words.of(0, np.zeros_like(mark), mark, np.full(len(mark), ESCAPED))]
    if samples.histograms is not None and len(whole):
        words += _words(samples.histograms, row[whole], whole)
    code, sample, value = (np.concatenate(parts) for parts in zip(*words, strict=True))
    series = samples.series_of_sample()[sample]
    order = np.lexsort((sample, code, series))
    code, sample, value, series = code[order], sample[order], value[order], series[order]
    first = np.flatnonzero(np.append(True, (np.diff(series) != 0) | (np.diff(code) != 0))) if len(code) else code
    owner, n = series[first], len(samples)
    main = samples.value.copy()
    main.view(np.uint64)[whole] = MARK
    labels = _labels(samples.labels, owner, code[first])
    offsets = np.concatenate([samples.offsets, samples.n_samples + np.append(first[1:], len(code))[: len(first)]])
    out = Samples(
        labels, offsets.astype(np.int64), np.concatenate([samples.time, samples.time[sample]]), np.append(main, value),
        np.append(samples.kind, np.full(len(owner), "unknown", object)),
        np.append(samples.unit, np.full(len(owner), "", object)),
    )  # fmt: skip
    return Shredded(out, np.append(np.arange(n), owner), left_out)


def _fitting(samples: Samples) -> tuple[Samples, int]:
    """Return samples without the histograms that cannot be stored, and how many these are."""
    pool, row = samples.histograms, samples.row
    if pool is None or row is None:
        return samples, 0
    far = np.append(0, np.cumsum(np.abs(pool.key) >= _FARTHEST))[pool.offsets]
    bad = (np.diff(pool.offsets) > MOST) | (np.diff(far) > 0)
    bounds = np.array([len(b) for b in pool.bounds] or [0], np.int64)
    bad |= (pool.layout >= 0) & (bounds[np.maximum(pool.layout, 0)] > MOST)
    if not bad.any():
        return samples, 0
    keep = (row < 0) | ~bad[np.maximum(row, 0)]
    offsets = np.append(0, np.cumsum(keep))[samples.offsets].astype(np.int64)
    start = None if samples.start is None else samples.start[keep]
    kept = replace(
        samples, offsets=offsets, time=samples.time[keep], value=samples.value[keep], row=row[keep], start=start
    )
    return kept.take(np.diff(offsets) > 0), int((~keep).sum())


def _words(pool: Histograms, row: _Ints, sample: _Ints) -> list[_Words]:
    """Return all numbers of some histograms; `sample` says where they are."""
    at, entry = pool.slots(row)
    key, n_buckets = pool.key[at], np.diff(pool.offsets)[row]
    begin = np.flatnonzero(np.append(True, (np.diff(entry) != 0) | (np.diff(key) != 1))) if len(key) else key
    length = np.diff(np.append(begin, len(key)))
    n_spans = np.bincount(entry[begin], minlength=len(row))
    custom = pool.schema[row] == CUSTOM
    sizes = np.array([len(b) for b in pool.bounds] or [0], np.int64)
    layout = np.where(custom, pool.layout[row], -1)
    n_bounds = np.where(layout >= 0, sizes[np.maximum(layout, 0)], 0)
    flat = np.concatenate([np.empty(0), *pool.bounds])
    start = np.concatenate([[0], np.cumsum(sizes)])[np.maximum(layout, 0)]
    whose, inside = _ragged(n_bounds)
    head = (
        n_buckets + _WIDTH * n_spans + _WIDTH * _WIDTH * n_bounds,
        pool.schema[row].astype(np.int64) * 256 + pool.hint[row] + 128,
        pool.zero_threshold[row], pool.zero_count[row], pool.count[row], pool.sum[row],
    )  # fmt: skip
    owners = entry[begin]
    return [
        *(_Words.of(0, np.full(len(row), i), sample, word.astype(np.float64)) for i, word in enumerate(head)),
        _Words.of(1, _ragged(n_buckets)[1], sample[entry], pool.bucket[at]),
        _Words.of(2, _ragged(n_spans)[1], sample[owners], (key[begin] * _LENGTHS + length).astype(np.float64)),
        _Words.of(3, inside, sample[whose], flat[start[whose] + inside]),
    ]


def _ragged(counts: _Ints) -> tuple[_Ints, _Ints]:
    """Return for so many items of each owner: the owner, and the place among its items."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return owner, np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)


def _labels(labels: pd.DataFrame, owner: _Ints, code: _Ints) -> pd.DataFrame:
    """Return the labels of series and of their parts."""
    known, which = np.unique(code, return_inverse=True)
    names = np.array([f"{_FAMILIES[c // _LENGTHS]}{c % _LENGTHS}" for c in known.tolist()], object)
    whole = labels.drop(columns=PART, errors="ignore")
    rows = np.append(np.arange(len(labels)), owner)
    parts = np.append(np.full(len(labels), "", object), names[which] if len(names) else names)
    return whole.iloc[rows].reset_index(drop=True).assign(**{PART: pd.Series(parts, dtype="str")})
