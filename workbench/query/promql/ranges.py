"""Range vectors: ragged samples and, per series and step, the slice of them that lies in the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from workbench.query.promql.values import Bools, Floats, Ints, Labels, Scalar, Text, Vector
from workbench.query.promql.windows import positions
from workbench.signals import Histograms

__all__ = ["Ranges", "Value"]


@dataclass(frozen=True, eq=False)
class Ranges:
    """A range vector at every step.

    Attributes
    ----------
    labels : Labels
    time : ndarray of int64, shape (m,)
        Nanoseconds; no stale markers.
    value : ndarray of float64, shape (m,)
    offsets : ndarray of int64, shape (n + 1,)
    begin, end : ndarray of int64, shape (t,)
        The window `(begin, end]`, nanoseconds; `[begin, end]` when `closed`.
    steps : ndarray of int64, shape (t,)
        The steps of the query, before `offset` and `@`.
    drop_name : ndarray of bool, shape (n,)
    row : ndarray of int64, shape (m,), optional
        Row of `pool` of a sample that is a histogram, -1 for a number; absent when all are numbers.
    pool : Histograms, optional
    start : ndarray of int64, shape (m,), optional
        When the counter of a sample began, nanoseconds; 0 where not known.
    mode : str
        "anchored", "smoothed" or "": whether and how samples around the window count.
    lookback : int
        How far around, nanoseconds.
    closed : bool
    """

    labels: Labels
    time: Ints
    value: Floats
    offsets: Ints
    begin: Ints
    end: Ints
    steps: Ints
    drop_name: Bools
    row: Ints | None = None
    pool: Histograms | None = None
    start: Ints | None = None
    mode: str = ""
    lookback: int = 0
    closed: bool = False

    @cached_property
    def low(self) -> Ints:
        """First sample of every window, shape (n, t)."""
        return positions(self.time, self.offsets, self.begin - self.closed)

    @cached_property
    def high(self) -> Ints:
        """Sample behind the last of every window, shape (n, t)."""
        return positions(self.time, self.offsets, self.end)

    @cached_property
    def wide(self) -> tuple[Ints, Ints]:
        """First sample and sample behind the last of every window with what `mode` adds around it, shape (n, t)."""
        after = self.lookback if self.mode == "smoothed" else 0
        low = positions(self.time, self.offsets, self.begin - self.lookback)
        return low, positions(self.time, self.offsets, self.end + after)

    def only(self, keep: Bools) -> Ranges:
        """Return the range vector with only some of its samples, shape of `keep` (m,)."""
        place = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return replace(
            self, time=self.time[keep], value=self.value[keep], offsets=place[self.offsets],
            row=None if self.row is None else self.row[keep],
            start=None if self.start is None else self.start[keep],
        )  # fmt: skip

    def numbers(self) -> Ranges:
        """Return the samples that are numbers."""
        return self if self.row is None else replace(self.only(self.row < 0), row=None, pool=None)

    def histograms(self) -> Ranges:
        """Return the samples that are histograms."""
        return self.only(np.zeros(len(self.time), bool) if self.row is None else self.row >= 0)

    @property
    def seconds(self) -> float:
        """Length of the window, seconds."""
        return float(self.end[0] - self.begin[0]) / 1e9

    def previous_differs(self, differs: Bools) -> Ints:
        """Return running counts of samples that differ from the one before in the same series, shape (m,)."""
        counted = np.concatenate([[False], differs]) if len(self.value) else np.zeros(0, bool)
        firsts = self.offsets[:-1]
        counted[firsts[firsts < len(self.value)]] = False
        return np.cumsum(counted, dtype=np.int64)


Value = Vector | Scalar | Text | Ranges
"""What a node evaluates to."""
