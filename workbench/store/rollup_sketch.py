"""A sketch of the values of each bucket, from which quantiles within 1 % come: counts on a logarithmic grid.

Sketches of adjoining buckets are joined by adding counts, so a sketch over a month is as exact as one over a minute.

References
----------
C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees",
VLDB 2019; here without the limit on the number of cells, which buckets of real telemetry do not reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ERROR", "Sketches", "join_sketches", "quantiles", "sketch"]

ERROR = 0.01
"""Largest relative error of a value that a sketch gives back."""

_GAMMA = (1 + ERROR) / (1 - ERROR)
_SHIFT = 40_000
"""Makes the exponents of the smallest float64 positive."""

_INFINITE = 100_000

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sketches:
    """Sketches of b buckets: bucket i owns `offsets[i]` to `offsets[i + 1]` of the cells.

    Attributes
    ----------
    offsets : ndarray of int64, shape (b + 1,)
    key : ndarray of int64
        Cell, ascending within a bucket as its values do: 0 holds 0, negative cells negative values.
    count : ndarray of int64
        Values in the cell.
    """

    offsets: _Ints
    key: _Ints
    count: _Ints

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self.offsets) - 1

    def take(self, rows: _Ints) -> Sketches:
        """Return the sketches at some rows, in that order."""
        counts = np.diff(self.offsets)[rows]
        offsets = np.append(0, np.cumsum(counts))
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)
        return Sketches(offsets, self.key[at], self.count[at])

    @classmethod
    def empty(cls, n: int) -> Sketches:
        """Return n empty sketches."""
        return cls(np.zeros(n + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def of_parts(cls, parts: Sequence[Sketches]) -> Sketches:
        """Return the sketches of all parts, one after the other."""
        if not parts:
            return cls.empty(0)
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        key, count = (np.concatenate([getattr(part, name) for part in parts]) for name in ("key", "count"))
        return cls(np.append(0, np.cumsum(counts)), key, count)


def _keys(value: _Floats) -> _Ints:
    with np.errstate(divide="ignore"):
        cell = np.ceil(np.log(np.abs(value)) / np.log(_GAMMA)) + _SHIFT
    cell = np.where(value == 0, 0, np.where(np.isinf(value), _INFINITE, cell))
    return (np.sign(value) * cell).astype(np.int64)


def _values(key: _Ints) -> _Floats:
    """Return the value that a cell stands for: within `ERROR` of every value in it."""
    with np.errstate(over="ignore"):
        exponent = np.clip(np.abs(key) - _SHIFT, -_SHIFT, _SHIFT).astype(np.float64)
        value = np.exp((exponent - 1) * np.log(_GAMMA)) * (2 * _GAMMA / (1 + _GAMMA))
    return np.where(key == 0, 0.0, np.sign(key) * np.where(np.abs(key) == _INFINITE, np.inf, value))


def sketch(owner: _Ints, value: _Floats, n: int) -> Sketches:
    """Return the sketches of n buckets.

    Parameters
    ----------
    owner : ndarray of int64, shape (m,)
        Bucket of each value, 0 to n - 1, in any order.
    value : ndarray of float64, shape (m,)
        NaN is left out.
    n : int
    """
    real = ~np.isnan(value)
    return _counted(owner[real], _keys(value[real]), np.ones(int(real.sum()), np.int64), n)


def join_sketches(owner: _Ints, sketches: Sketches, n: int) -> Sketches:
    """Return n sketches, each of the given ones that it owns; `owner` has one entry per given sketch."""
    return _counted(np.repeat(owner, np.diff(sketches.offsets)), sketches.key, sketches.count, n)


def _counted(owner: _Ints, key: _Ints, count: _Ints, n: int) -> Sketches:
    """Add the counts of equal (owner, key)."""
    if not len(key):
        return Sketches(np.zeros(n + 1, np.int64), key, count)
    wide = owner * (2 * _INFINITE + 1) + (key + _INFINITE)
    order = np.argsort(wide, kind="stable")
    wide = wide[order]
    head = np.flatnonzero(np.diff(wide, prepend=wide[0] - 1))
    rows = owner[order][head]
    offsets = np.searchsorted(rows, np.arange(n + 1)).astype(np.int64)
    return Sketches(offsets, key[order][head], np.add.reduceat(count[order], head))


def quantiles(sketches: Sketches, q: float) -> _Floats:
    """Return one quantile of each sketch, NaN for an empty one; shape (b,).

    Between two ranks the values are weighted linearly, as PromQL's `quantile_over_time` and numpy do; each of the two
    is within `ERROR` of the true one.
    """
    total = np.append(0, np.cumsum(sketches.count))
    n = total[sketches.offsets[1:]] - total[sketches.offsets[:-1]]
    out = np.full(len(sketches), np.nan)
    some = np.flatnonzero(n)
    rank = q * (n[some] - 1)
    values = []
    for wanted in (np.floor(rank), np.ceil(rank)):
        before = total[sketches.offsets[:-1][some]] + wanted.astype(np.int64)
        values.append(_values(sketches.key[np.searchsorted(total, before, side="right") - 1]))
    low, high = values
    weight = rank - np.floor(rank)
    with np.errstate(invalid="ignore"):
        out[some] = np.where((low == high) | (weight == 0), low, low * (1 - weight) + high * weight)
    return out
