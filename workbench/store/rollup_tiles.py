"""Windows over a regular grid of buckets: adjoining tiles are joined by doubling, never by subtracting running sums.

A tile is as long as the greatest length that divides both step and window; tile t of a query ends at the first window's
beginning plus (t + 1) tiles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput
from workbench.store.rollup import Buckets, Columns, join

__all__ = ["NEEDS", "Grid", "Tiles", "answer"]

NEEDS = {
    "avg": ("count", "sum"),
    "sum": ("count", "sum"),
    "min": ("count", "min"),
    "max": ("count", "max"),
    "count": ("count",),
    "first": ("count", "first"),
    "last": ("count", "last"),
    "delta": ("count", "first", "last"),
    "increase": ("count", "first", "last", "increase"),
    "quantile": ("count", "sketch"),
}
"""Columns that each function is made of."""


class Grid:
    """The windows of one query: the k-th is (start + k * step - window, start + k * step].

    Parameters
    ----------
    start, end, step, window : int
        Nanoseconds; the last window ends at or before `end`.

    Raises
    ------
    InvalidInput
        If step or window are not positive, or no window ends in [start, end].
    """

    def __init__(self, start: int, end: int, step: int, window: int) -> None:
        if step <= 0 or window <= 0 or end < start:
            raise InvalidInput(
                f"a window of {window} ns every {step} ns from {start} to {end} is none: give positive lengths and a"
                " start that is not after the end."
            )
        self.start, self.step, self.window = start, step, window
        self.n = (end - start) // step + 1
        self.tile = math.gcd(step, window)
        self.begin = start - window
        self.tiles = ((self.n - 1) * step + window) // self.tile

    @property
    def end(self) -> int:
        """Right end of the last window, ns."""
        return self.start + (self.n - 1) * self.step

    @property
    def phase(self) -> int:
        """How far tiles lie off the multiples of their length, ns."""
        return self.begin % self.tile

    @property
    def zero(self) -> int:
        """Number of the tile before the first, counted as `rollup.roll` counts with this phase."""
        return (self.begin - self.phase) // self.tile

    def fits(self, level: int) -> bool:
        """Return whether the buckets of a level make up tiles exactly."""
        return self.tile % level == 0 and self.begin % level == 0


class Tiles:
    """Columns of some series over all tiles, filled piece by piece in the order of time."""

    def __init__(self, series: int, grid: Grid, names: tuple[str, ...]) -> None:
        self._shape = (series, grid.tiles)
        self._grid = grid
        self._columns: Columns = {
            name: np.zeros(series * grid.tiles, np.int64 if name in ("count", "nans", "t_first", "t_last") else float)
            for name in names
        }

    def put(self, buckets: Buckets) -> None:
        """Add buckets of the grid's tiles, no two with the same series (row) and tile, none before what is there."""
        tile = buckets.bucket - self._grid.zero - 1
        inside = (tile >= 0) & (tile < self._shape[1]) & (buckets.columns["count"] > 0)
        if not inside.all():
            buckets, tile = buckets.take(inside), tile[inside]
        at = buckets.series * self._shape[1] + tile
        new = {name: buckets.columns[name] for name in self._columns}
        if self._columns["count"][at].any():
            new = join({name: column[at] for name, column in self._columns.items()}, new)
        for name, column in new.items():
            self._columns[name][at] = column

    def windows(self) -> Columns:
        """Return each column over all windows, shape (series, n); where `count` is 0 the others mean nothing."""
        columns = {name: column.reshape(self._shape) for name, column in self._columns.items()}
        length, stride = self._grid.window // self._grid.tile, self._grid.step // self._grid.tile
        if length == 1:
            return {name: column[:, ::stride] for name, column in columns.items()}
        at, found, size = np.arange(self._grid.n) * stride, None, 1
        while True:
            if length & size:
                part = {name: column[:, at] for name, column in columns.items()}
                found = part if found is None else join(found, part)
                at = at + size
            size *= 2
            if size > length:
                return found or {}
            columns = join(_cut(columns, slice(None, -(size // 2))), _cut(columns, slice(size // 2, None)))


def _cut(columns: Columns, which: slice) -> Columns:
    return {name: column[:, which] for name, column in columns.items()}


def answer(function: str, columns: Columns) -> npt.NDArray[np.float64]:
    """Return what a function makes of the windows' columns, NaN where a window holds no number."""
    count = columns["count"]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if function == "avg":
            value: npt.NDArray[Any] = columns["sum"] / count
        elif function == "delta":
            value = columns["last"] - columns["first"]
        else:
            value = columns[function]
    return np.where(count > 0, value, np.nan)
