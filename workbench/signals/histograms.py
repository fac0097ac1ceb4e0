"""Native histograms, many at once: counts of observations in buckets that each histogram lays out for itself.

One `Histograms` holds k histograms as flat arrays: histogram i owns the slice `offsets[i]:offsets[i + 1]` of `key` and
`bucket`. A key is the place of a bucket on the axis of values, so keys rise within a histogram: `BASE + index` for a
bucket of positive values, `-(BASE + index)` for one of negative values. With an exponential schema s the bucket of index
i holds `(2**((i - 1) / 2**s), 2**(i / 2**s)]`; with custom buckets index i holds `(bounds[i - 1], bounds[i]]`, the first
open below, the last above. Empty buckets need not be there.

References
----------
Prometheus, "Native Histograms [specification]"; `model/histogram/float_histogram.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from workbench.errors import ShapeError

__all__ = [
    "BASE", "CUSTOM", "GAUGE", "NOT_RESET", "RESET", "UNKNOWN", "Histogram", "Histograms", "check_histograms",
    "concat_histograms", "lay_out", "pack_histograms",
]  # fmt: skip

BASE: Final = 1 << 20
"""Distance of the keys from 0, larger than any index (2**18 + 1 at the finest schema)."""

CUSTOM: Final = -53
"""The schema number of histograms with custom buckets."""

UNKNOWN, RESET, NOT_RESET, GAUGE = 0, 1, 2, 3
"""Counter-reset hints: nothing known, a reset happened before, none did, the histogram is a gauge."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """One histogram, for the edges; `positive` and `negative` map the index of a bucket to its count."""

    count: float = 0.0
    sum: float = 0.0
    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: dict[int, float] = field(default_factory=dict)
    negative: dict[int, float] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    hint: int = UNKNOWN


@dataclass(frozen=True, eq=False)
class Histograms:
    """k histograms with b buckets in all.

    Attributes
    ----------
    schema : ndarray of int16, shape (k,)
        -4 to 8, or `CUSTOM`.
    zero_threshold, zero_count, count, sum : ndarray of float64, shape (k,)
        A stale histogram has a stale `sum`.
    hint : ndarray of int8, shape (k,)
        `UNKNOWN`, `RESET`, `NOT_RESET` or `GAUGE`.
    layout : ndarray of int32, shape (k,)
        Row of `bounds`, -1 without custom buckets.
    offsets : ndarray of int64, shape (k + 1,)
    key : ndarray of int64, shape (b,)
        Rising within a histogram.
    bucket : ndarray of float64, shape (b,)
        Observations per bucket, not cumulative.
    bounds : tuple of ndarray of float64
        Upper bounds of custom buckets without the last, +Inf; no two rows are equal.
    """

    schema: npt.NDArray[np.int16]
    zero_threshold: Floats
    zero_count: Floats
    count: Floats
    sum: Floats
    hint: npt.NDArray[np.int8]
    layout: npt.NDArray[np.int32]
    offsets: Ints
    key: Ints
    bucket: Floats
    bounds: tuple[Floats, ...] = ()

    def __len__(self) -> int:
        """Return the number of histograms."""
        return len(self.schema)

    @property
    def custom(self) -> npt.NDArray[np.bool_]:
        """Which histograms have custom buckets, shape (k,)."""
        found: npt.NDArray[np.bool_] = self.schema == CUSTOM
        return found

    def owner(self) -> Ints:
        """Return the histogram of every bucket, shape (b,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    def slots(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return, for histograms in any order and number, the place of every bucket and the entry of `rows` it is of."""
        counts = np.diff(self.offsets)[rows]
        entry = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
        shift = self.offsets[:-1][rows] - (np.cumsum(counts) - counts)
        return np.arange(len(entry), dtype=np.int64) + shift[entry], entry

    def take(self, rows: Ints) -> Histograms:
        """Return the histograms at `rows`, in that order; a row may come more than once."""
        at, _ = self.slots(rows)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]).astype(np.int64)
        return replace(
            self, schema=self.schema[rows], zero_threshold=self.zero_threshold[rows], zero_count=self.zero_count[rows],
            count=self.count[rows], sum=self.sum[rows], hint=self.hint[rows], layout=self.layout[rows],
            offsets=offsets, key=self.key[at], bucket=self.bucket[at],
        )  # fmt: skip

    def compact(self) -> Histograms:
        """Return the histograms without empty buckets."""
        keep = self.bucket != 0
        if keep.all():
            return self
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets].astype(np.int64)
        return replace(self, offsets=offsets, key=self.key[keep], bucket=self.bucket[keep])

    def unpack(self, row: int) -> Histogram:
        """Return one histogram."""
        own = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        pairs = list(zip(self.key[own].tolist(), self.bucket[own].tolist(), strict=True))
        custom = bool(self.custom[row])
        return Histogram(
            float(self.count[row]), float(self.sum[row]), int(self.schema[row]), float(self.zero_threshold[row]),
            float(self.zero_count[row]), {k - BASE: v for k, v in pairs if k > 0},
            {-k - BASE: v for k, v in reversed(pairs) if k < 0},
            tuple(self.bounds[self.layout[row]].tolist()) if custom else (), int(self.hint[row]),
        )  # fmt: skip


def pack_histograms(histograms: Sequence[Histogram]) -> Histograms:
    """Return single histograms as flat arrays.

    Raises
    ------
    ShapeError
        If a schema is not known, custom bounds do not rise, or a custom bucket lies beyond them.
    """
    table: dict[tuple[float, ...], int] = {}
    keys: list[int] = []
    buckets: list[float] = []
    offsets = [0]
    layout: list[int] = []
    for h in histograms:
        _check(h)
        pairs = sorted([(BASE + i, v) for i, v in h.positive.items()] + [(-BASE - i, v) for i, v in h.negative.items()])
        keys += [k for k, _ in pairs]
        buckets += [v for _, v in pairs]
        offsets.append(len(keys))
        layout.append(table.setdefault(h.bounds, len(table)) if h.schema == CUSTOM else -1)

    def column(name: str) -> Floats:
        return np.array([getattr(h, name) for h in histograms], np.float64)

    return Histograms(
        np.array([h.schema for h in histograms], np.int16), column("zero_threshold"), column("zero_count"),
        column("count"), column("sum"), np.array([h.hint for h in histograms], np.int8), np.array(layout, np.int32),
        np.array(offsets, np.int64), np.array(keys, np.int64), np.array(buckets, np.float64),
        tuple(np.array(bounds, np.float64) for bounds in table),
    )  # fmt: skip


def check_histograms(pool: Histograms) -> Histograms:
    """Return the histograms unchanged if their arrays fit together, else raise `ShapeError` that names the first offence."""
    k = len(pool)
    columns = (pool.zero_threshold, pool.zero_count, pool.count, pool.sum, pool.hint, pool.layout)
    if any(column.shape != (k,) for column in columns) or pool.key.shape != pool.bucket.shape:
        raise ShapeError(f"the columns of {k} histograms differ in length: use pack_histograms.")
    if pool.offsets.shape != (k + 1,) or pool.offsets[0] != 0 or pool.offsets[-1] != len(pool.key):
        raise ShapeError(f"the offsets of {k} histograms do not run from 0 to {len(pool.key)}: use pack_histograms.")
    if (np.diff(pool.offsets) < 0).any():
        raise ShapeError("histograms have decreasing offsets: use pack_histograms.")
    falls = np.flatnonzero(np.diff(pool.key) <= 0) + 1
    if not np.isin(falls, pool.offsets).all():
        raise ShapeError("the keys of a histogram's buckets do not rise: use pack_histograms.")
    unknown = pool.schema[~pool.custom & ((pool.schema < -4) | (pool.schema > 8))]
    if len(unknown):
        raise ShapeError(f"a histogram has the schema {unknown[0]}; known are -4 to 8 and {CUSTOM} (custom buckets).")
    layout = pool.layout[pool.custom]
    if len(layout) and not 0 <= layout.min() <= layout.max() < len(pool.bounds):
        raise ShapeError(
            f"histograms refer to row {layout.max()} of {len(pool.bounds)} custom bounds: use pack_histograms."
        )
    return pool


def lay_out(
    custom: npt.NDArray[np.bool_], sizes: Ints, bounds: Floats
) -> tuple[npt.NDArray[np.int32], tuple[Floats, ...]]:
    """Return `layout` and `bounds` of k histograms whose custom bounds are given one after the other.

    Parameters
    ----------
    custom : ndarray of bool, shape (k,)
        Which have custom buckets.
    sizes : ndarray of int64, shape (k,)
        How many bounds each has, 0 without custom buckets.
    bounds : ndarray of float64
        Compared bit for bit.
    """
    layout = np.full(len(custom), -1, np.int32)
    table: list[Floats] = []
    start = np.cumsum(sizes) - sizes
    for n in np.unique(sizes[custom]).tolist():
        rows = np.flatnonzero(custom & (sizes == n))
        if n == 0:
            layout[rows] = len(table)
            table.append(np.empty(0))
            continue
        block = bounds[start[rows][:, None] + np.arange(n)]
        bits = block.view(np.uint64)
        new = np.append(True, (bits[1:] != bits[:-1]).any(axis=1))  # most have those of the one before
        _, first, which = np.unique(bits[new], axis=0, return_index=True, return_inverse=True)
        layout[rows] = len(table) + which.ravel()[np.cumsum(new) - 1]
        table += [block[new][i].copy() for i in first.tolist()]
    return layout, tuple(table)


def _check(h: Histogram) -> None:
    if h.schema == CUSTOM:
        if any(not a < b for a, b in zip(h.bounds, h.bounds[1:], strict=False)):
            raise ShapeError(f"a histogram has the custom bounds {list(h.bounds)[:8]}: they must rise.")
        beyond = [i for i in h.positive if not 0 <= i <= len(h.bounds)]
        if beyond or h.negative:
            raise ShapeError(f"a histogram with {len(h.bounds)} custom bounds has buckets outside them: {beyond[:3]}.")
    elif not -4 <= h.schema <= 8:
        raise ShapeError(f"a histogram has the schema {h.schema}; known are -4 to 8 and {CUSTOM} (custom buckets).")
    elif any(abs(i) >= BASE for i in [*h.positive, *h.negative]):
        raise ShapeError(f"a histogram of schema {h.schema} has a bucket beyond the largest number.")


def concat_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Return all parts as one, in order; equal custom bounds become one row of `bounds`."""
    if len(parts) == 1:
        return parts[0]
    table: dict[tuple[float, ...], int] = {}
    layouts = []
    for part in parts:
        rows = np.array([table.setdefault(tuple(b.tolist()), len(table)) for b in part.bounds] or [0], np.int32)
        layouts.append(np.where(part.layout >= 0, rows[np.maximum(part.layout, 0)], -1).astype(np.int32))
    shift = np.cumsum([0, *(len(part.key) for part in parts)])

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    offsets = [part.offsets[1:] + s for part, s in zip(parts, shift[:-1], strict=True)]
    return Histograms(
        joined("schema"), joined("zero_threshold"), joined("zero_count"), joined("count"), joined("sum"), joined("hint"),
        np.concatenate(layouts), np.concatenate([np.zeros(1, np.int64), *offsets]), joined("key"), joined("bucket"),
        tuple(np.array(bounds, np.float64) for bounds in table),
    )  # fmt: skip
