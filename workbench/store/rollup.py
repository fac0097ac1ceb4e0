"""Rollup buckets as arrays: samples become buckets, fine buckets become coarse ones, exactly.

A bucket of resolution `step` with number k holds the samples of one series in (k * step - step, k * step], counted from
the Unix epoch, and is labelled by its right end. What it says is about values that are not NaN; stale markers are no
samples, other NaNs are counted apart (`nans`). Rolling up a day at once, or minute by minute and then joining minutes,
gives the same buckets: `min`, `max`, `count`, `first`, `last` bit for bit, `sum` and `increase` but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput
from workbench.signals.samples import is_stale

__all__ = ["COLUMNS", "LEVELS", "Buckets", "combine", "fold", "join", "reduce", "roll"]

LEVELS = (60 * 10**9, 300 * 10**9, 3600 * 10**9)
"""Resolutions that are kept, ns, each a multiple of the one before."""

COLUMNS = ("count", "nans", "sum", "min", "max", "first", "last", "t_first", "t_last", "increase")
"""What a bucket says. `increase` adds every rise, and after a fall (a counter reset) the value itself; NaN where a
value is infinite. Where all values are NaN, `count` is 0, times are -1 and the rest is NaN."""

_INTEGERS = ("count", "nans", "t_first", "t_last")
_EXPONENTS = 10
_PROBE = 32
_AT_ONCE = 200_000

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Buckets:
    """Buckets of many series, sorted by series and bucket, none empty.

    Attributes
    ----------
    step : int
        Resolution, ns.
    series : ndarray of int64, shape (b,)
    bucket : ndarray of int64, shape (b,)
        Number of the bucket: its right end divided by `step`.
    columns : dict of ndarray, shape (b,)
        Some or all of `COLUMNS`; `count` always. int64 for counts and times (ns), float64 for the others.
    """

    step: int
    series: _Ints
    bucket: _Ints
    columns: Columns

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self.series)

    def take(self, rows: npt.NDArray[Any] | slice) -> Buckets:
        """Return the buckets at some rows (indices, a mask or a slice)."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Buckets(self.step, self.series[rows], self.bucket[rows], columns)


def roll(
    series: _Ints, time: _Ints, value: _Floats, step: int, phase: int = 0, columns: Sequence[str] = COLUMNS
) -> Buckets:
    """Return the buckets of samples.

    Parameters
    ----------
    series, time, value : ndarray, shape (m,)
        Sorted by series and time, no instant twice; time in ns.
    step : int
        Resolution, ns.
    phase : int
        Where buckets begin, ns after a multiple of `step` from the epoch; bucket k then ends at k * step + phase.
    columns : sequence of str
        What is wanted of them, `count` among it; `increase` needs `first` and `last`.
    """
    parts = []
    for a, b in _parts(series):
        owner, instants, values = series[a:b], time[a:b], value[a:b]
        fresh = ~is_stale(values)
        if not fresh.all():
            owner, instants, values = owner[fresh], instants[fresh], values[fresh]
        real = ~np.isnan(values)
        given: Columns = {"count": real.astype(np.int64)}
        for name in columns:
            if name == "nans":
                given[name] = (~real).astype(np.int64)
            elif name == "increase":
                given[name] = np.where(np.isinf(values), np.nan, 0.0)
            elif name != "count":
                given[name] = instants if name.startswith("t_") else values
        parts.append(fold(Buckets(step, owner, -((phase - instants) // step), given)))
    if len(parts) == 1:
        return parts[0]
    joined = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    owners, numbers = (np.concatenate([getattr(part, name) for part in parts]) for name in ("series", "bucket"))
    return Buckets(step, owners, numbers, joined)


def _parts(series: _Ints) -> list[tuple[int, int]]:
    """Return where to cut samples so that the arrays made on the way stay in the cache: between series, where possible."""
    if len(series) <= _AT_ONCE:
        return [(0, len(series))]
    begin = np.flatnonzero(np.diff(series, prepend=series[:1] - 1))
    cuts = begin[np.unique(np.searchsorted(begin, np.arange(0, len(series), _AT_ONCE)).clip(max=len(begin) - 1))]
    return list(pairwise([*cuts.tolist(), len(series)]))


def combine(buckets: Buckets, step: int) -> Buckets:
    """Return the same as coarser buckets.

    Raises
    ------
    InvalidInput
        If `step` is no multiple of the buckets' own.
    """
    if step % buckets.step:
        raise InvalidInput(f"buckets of {buckets.step} ns cannot be joined to {step} ns: give a multiple.")
    coarse = -(-buckets.bucket // (step // buckets.step))
    return fold(Buckets(step, buckets.series, coarse, buckets.columns))


def fold(buckets: Buckets) -> Buckets:
    """Return one bucket for each run of rows with the same series and number; `columns` may be any that have `count`.

    `increase` needs `first` and `last` beside it.
    """
    n, columns = len(buckets), buckets.columns
    if n == 0:
        return buckets
    changed = np.ones(n, bool)
    changed[1:] = (buckets.series[1:] != buckets.series[:-1]) | (buckets.bucket[1:] != buckets.bucket[:-1])
    begin = np.flatnonzero(changed)
    series, bucket = buckets.series[begin], buckets.bucket[begin]
    out: Columns = {name: np.add.reduceat(columns[name], begin) for name in ("count", "nans") if name in columns}
    real = columns["count"] > 0
    kept = np.concatenate([[0], np.cumsum(real)])[np.append(begin, n)]
    some = np.flatnonzero(np.diff(kept))
    source = columns if real.all() else {name: column[real] for name, column in columns.items()}
    owner = buckets.series if source is columns else buckets.series[real]
    head, tail = kept[some], kept[some + 1] - 1
    own = np.flatnonzero(np.diff(owner, prepend=owner[:1] - 1))
    found: Columns = {} if not len(some) else reduce(source, own, head, tail)
    for name in columns.keys() - out.keys():
        integer = name in _INTEGERS
        out[name] = np.full(len(begin), -1 if integer else np.nan, np.int64 if integer else np.float64)
        if name in found:
            out[name][some] = found[name]
    return Buckets(buckets.step, series, bucket, {name: out[name] for name in columns})


def reduce(columns: Mapping[str, npt.NDArray[Any]], begin: _Ints, head: _Ints, tail: _Ints) -> Columns:
    """Reduce rows that all hold a number; group i is `head[i]` to `tail[i]`, both included, series begin at `begin`."""
    out: Columns = {}
    for name, take in (("first", head), ("t_first", head), ("last", tail), ("t_last", tail)):
        if name in columns:
            out[name] = columns[name][take]
    for name, reduction in (("min", np.minimum), ("max", np.maximum)):
        if name in columns:
            out[name] = reduction.reduceat(columns[name], head)
    if "sum" in columns:
        out["sum"] = _sums(columns["sum"], begin, head)
    if "increase" in columns:
        out["increase"] = _increase(columns["first"], columns["last"], columns["increase"], head)
    return out


def _increase(first: _Floats, last: _Floats, own: _Floats, head: _Ints) -> _Floats:
    """Join increases: a stretch without a fall is one subtraction, so a steady counter gives `last - first` exactly."""
    n = len(first)
    new = np.zeros(n, bool)
    new[head] = True
    with np.errstate(invalid="ignore", over="ignore"):
        fell = np.zeros(n, bool)
        fell[1:] = first[1:] < last[:-1]
        odd = own != last - first  # falls inside, or an infinity: its own increase counts
        cut = new | fell | odd
        cut[1:] |= odd[:-1]
        run = np.flatnonzero(cut)
        end = last[np.append(run[1:], n) - 1]
        base = np.where(new[run], first[run], np.where(fell[run], 0.0, last[run - 1]))
        part = np.where(odd[run], (first[run] - base) + own[run], end - base)
        total: _Floats = np.add.reduceat(part, np.flatnonzero(new[run]))
    return total


def _sums(value: _Floats, begin: _Ints, head: _Ints) -> _Floats:
    """Add groups. Series whose values are short decimals are added as integers: exact, rounded once, and short too."""
    counts = np.diff(np.append(begin, len(value)))
    most = int(np.diff(np.append(head, len(value))).max())
    limit = min(2.0**53, 2.0**62 / most)
    exponent = _exponents(value, begin, counts, limit)
    with np.errstate(invalid="ignore", over="ignore"):
        sums: _Floats = np.add.reduceat(value, head)
        short = exponent < _EXPONENTS
        if not short.any():
            return sums
        groups = np.diff(np.append(np.searchsorted(head, begin), len(head)))
        mine = slice(None) if short.all() else np.repeat(short, groups)
        if not short.all():
            value, head = value[np.repeat(short, counts)], _moved(begin, head, counts, groups, short)
            counts, groups, exponent = counts[short], groups[short], exponent[short]
        power = 10.0**exponent
        each = np.repeat(power, counts)
        scaled = value * each
        np.rint(scaled, out=scaled)
        exact = scaled / each == value
        largest = max(float(scaled.max()), -float(scaled.min()))
        if not largest <= limit:
            exact &= np.abs(scaled) <= limit
        whole = np.logical_and.reduceat(exact, np.cumsum(counts) - counts)
        if largest * most > 2.0**53:  # else floats are as exact
            integers = np.where(np.repeat(whole, counts), scaled, 0.0).astype(np.int64)
            total = np.add.reduceat(integers, head) / np.repeat(power, groups)
        else:
            total = np.add.reduceat(scaled, head) / np.repeat(power, groups)
        sums[mine] = total if whole.all() else np.where(np.repeat(whole, groups), total, sums[mine])
    return sums


def _moved(begin: _Ints, head: _Ints, counts: _Ints, groups: _Ints, kept: npt.NDArray[np.bool_]) -> _Ints:
    """Return where groups begin when only the samples of some series are kept."""
    start = np.cumsum(counts[kept]) - counts[kept]
    moved: _Ints = head[np.repeat(kept, groups)] + np.repeat(start - begin[kept], groups[kept])
    return moved


def _exponents(value: _Floats, begin: _Ints, counts: _Ints, limit: float) -> _Ints:
    """Return per series the fewest decimals that hold a few of its values, `_EXPONENTS` where there are too many."""
    at = begin[:, None] + (np.linspace(0, 1, _PROBE) * (counts[:, None] - 1)).astype(np.int64)
    probe = value[at]
    found = np.full(len(begin), _EXPONENTS)
    with np.errstate(invalid="ignore", over="ignore"):
        for exponent in range(_EXPONENTS - 1, -1, -1):
            scaled = np.rint(probe * 10.0**exponent)
            held = ((scaled / 10.0**exponent == probe) & (np.abs(scaled) <= limit)).all(axis=1)
            found[held] = exponent
    return found


def join(left: Columns, right: Columns) -> Columns:
    """Return adjoining buckets joined, element by element: `right` follows `left` in time.

    Parameters
    ----------
    left, right : dict of ndarray, of one shape
        The same columns, `count` among them; where it is 0 the others are ignored.
    """
    here, there = left["count"] > 0, right["count"] > 0
    both = here & there
    out: Columns = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for name, a in left.items():
            b = right[name]
            alone = np.where(here, a, b)
            if name in ("count", "nans"):
                out[name] = a + b
            elif name in ("first", "t_first"):
                out[name] = alone
            elif name in ("last", "t_last"):
                out[name] = np.where(there, b, a)
            elif name == "increase":
                low, high = left["last"], right["first"]
                gain = np.where(high < low, high, high - low)
                out[name] = np.where(both, (a + b) + gain, alone)
            else:
                joined = a + b if name == "sum" else (np.minimum if name == "min" else np.maximum)(a, b)
                out[name] = np.where(both, joined, alone)
    return out
