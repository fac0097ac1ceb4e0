"""Native histograms as messages and logs spell them, as flat columns, made into the shape.

Buckets come as spans, each so many buckets at a distance from the last, and as differences (whole numbers) or counts
(floats), those of positive values and those of negative ones apart.

References
----------
Prometheus, "Native Histograms [specification]"; `model/histogram/generic.go`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.signals.histograms import BASE, CUSTOM, Histograms, lay_out

__all__ = ["SIZES", "UNSOUND", "Columns", "built"]

_Ints = npt.NDArray[np.int64]
_Bits = npt.NDArray[np.uint64]
_Bools = npt.NDArray[np.bool_]

UNSOUND = "native histogram whose schema is not known, or whose spans, buckets or bounds do not fit"
"""The reason under which those are counted that are left out."""

SIZES = 6


class Columns(NamedTuple):
    """m histograms.

    Attributes
    ----------
    heads : ndarray of int64, shape (m, 10)
        Series, time in ms, schema, hint, whether counts are floats, spans above and below zero, buckets above and below
        zero, bounds.
    fours : ndarray of uint64, shape (m, 4)
        Zero threshold, zero count, count, sum: bits of floats, or whole numbers where counts are.
    ups, downs : ndarray of int64, shape (s, 2)
        Offset and length of the spans above and below zero.
    highs, lows : ndarray of uint64
        Buckets: bits of floats, or whole numbers.
    bounds : ndarray of uint64
        Bits of custom bounds.
    """

    heads: _Ints
    fours: _Bits
    ups: _Ints
    downs: _Ints
    highs: _Bits
    lows: _Bits
    bounds: _Bits

    @classmethod
    def room(cls, sizes: _Ints | None = None) -> Columns:
        """Return columns to be filled in; of no length without `sizes`."""
        n, ups, downs, highs, lows, bounds = (0,) * SIZES if sizes is None else sizes.tolist()
        spans = np.empty((ups, 2), np.int64), np.empty((downs, 2), np.int64)
        rest = (np.empty(n, np.uint64) for n in (highs, lows, bounds))
        return cls(np.empty((n, 10), np.int64), np.empty((n, 4), np.uint64), *spans, *rest)


def built(columns: Columns) -> tuple[Histograms, _Bools]:
    """Return the histograms that make sense, and which of the m these are."""
    heads = columns.heads
    floats = heads[:, 4] > 0
    schema, hint = heads[:, 2], heads[:, 3]
    custom = schema == CUSTOM
    sound = (custom | ((schema >= -4) & (schema <= 8))) & (hint >= 0) & (hint <= 3)
    sides = [
        _side(columns.ups, heads[:, 5], columns.highs, heads[:, 7], floats),
        _side(columns.downs, heads[:, 6], columns.lows, heads[:, 8], floats),
    ]
    for side in sides:
        sound &= side.sound
    bounds = columns.bounds.view(np.float64)
    sound &= ~custom | ((heads[:, 8] == 0) & _rising(bounds, heads[:, 9]) & (sides[0].last <= heads[:, 9]))
    sound &= (sides[0].last < BASE) & (sides[1].last < BASE)
    sound &= (sides[0].first >= np.where(custom, 0, 1 - BASE)) & (sides[1].first >= 1 - BASE)
    return _made(columns, sides, sound), sound


class _Side(NamedTuple):
    """Buckets of one side: whose, index and number; and per histogram whether all is well, first index and last."""

    owner: _Ints
    at: _Ints
    number: npt.NDArray[np.float64]
    sound: _Bools
    first: _Ints
    last: _Ints


def _side(spans: _Ints, n_spans: _Ints, bits: _Bits, n: _Ints, floats: _Bools) -> _Side:
    m = len(n)
    owner = np.repeat(np.arange(m, dtype=np.int64), n)
    whose = np.repeat(np.arange(m, dtype=np.int64), n_spans)
    later = np.ones(len(whose), bool)
    later[(np.cumsum(n_spans) - n_spans)[n_spans > 0]] = False
    wrong = (np.abs(spans[:, 0]) > 2**31) | (later & (spans[:, 0] < 0))
    length = np.minimum(spans[:, 1], 2**31)
    fits = (np.bincount(whose, length, m).astype(np.int64) == n) & (np.bincount(whose[wrong], minlength=m) == 0)
    # Only spans that fit are laid out, so that no more buckets come of them than there are numbers.
    length = np.where(fits[whose], length, 0)
    begin = _within(spans[:, 0] + length, whose, m) - length
    kept = fits[owner]
    index = np.repeat(begin - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
    owner, words = owner[kept], bits[kept]
    whole = _within(words.view(np.int64), owner, m)
    count = np.where(floats[owner], words.view(np.float64), whole)
    count = np.where(floats[owner], words, count.view(np.uint64)).view(np.float64)  # bit for bit
    fits &= np.bincount(owner[~floats[owner] & (whole < 0)], minlength=m) == 0
    some = np.bincount(owner, minlength=m)
    edges = np.append(0, np.cumsum(some))
    first, last = np.zeros(m, np.int64), np.full(m, -1, np.int64)
    first[some > 0], last[some > 0] = index[edges[:-1][some > 0]], index[edges[1:][some > 0] - 1]
    return _Side(owner, index, count, fits, first, np.where(some > 0, last, 0))


def _within(values: _Ints, owner: _Ints, m: int) -> _Ints:
    """Return running sums that begin anew with every owner; owners come in order."""
    total = np.cumsum(values)
    n = np.bincount(owner, minlength=m)
    before = np.append(0, total)[np.cumsum(n) - n]
    found: _Ints = total - before[owner]
    return found


def _rising(bounds: npt.NDArray[np.float64], n: _Ints) -> _Bools:
    """Return whose bounds rise."""
    owner = np.repeat(np.arange(len(n)), n)
    wrong = np.isnan(bounds)
    wrong[1:] |= (owner[1:] == owner[:-1]) & ~(bounds[1:] > bounds[:-1])
    found: _Bools = np.bincount(owner[wrong], minlength=len(n)) == 0
    return found


def _made(columns: Columns, sides: list[_Side], sound: _Bools) -> Histograms:
    heads, fours = columns.heads[sound], columns.fours[sound]
    number = np.cumsum(sound) - 1
    kept = [sound[side.owner] for side in sides]
    owner = number[np.concatenate([side.owner[k] for side, k in zip(sides, kept, strict=True)])]
    index = [side.at[k] for side, k in zip(sides, kept, strict=True)]
    key = np.append(BASE + index[0], -(BASE + index[1]))
    order = np.lexsort((key, owner))
    count = np.concatenate([side.number[k] for side, k in zip(sides, kept, strict=True)])[order]
    offsets = np.append(0, np.cumsum(np.bincount(owner, minlength=len(heads)))).astype(np.int64)
    floats = heads[:, 4] > 0
    zero, total = (
        np.where(floats, fours[:, i], fours[:, i].astype(np.float64).view(np.uint64)).view(np.float64) for i in (1, 2)
    )
    within = np.repeat(sound, columns.heads[:, 9])
    custom = heads[:, 2] == CUSTOM
    layout, bounds = lay_out(custom, heads[:, 9], columns.bounds.view(np.float64)[within])
    return Histograms(
        heads[:, 2].astype(np.int16), fours[:, 0].copy().view(np.float64), zero, total,
        fours[:, 3].copy().view(np.float64), heads[:, 3].astype(np.int8), layout, offsets, key[order], count, bounds,
    )  # fmt: skip
