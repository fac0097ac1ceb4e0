"""Questions over windows, answered from rollups where they are true and from samples for the rest.

Where windows are exactly the buckets of a level, its blobs are decoded straight into the rows of the result; otherwise
buckets and samples become tiles of the query's grid, and windows are joined from tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput, check_one_of
from workbench.store.rollup import LEVELS, Buckets, combine, roll
from workbench.store.rollup_file import RollupFile
from workbench.store.rollup_matrix import Matrix, roll_matrix
from workbench.store.rollup_plan import Piece, RawSpans, RollupSegment, choose, day_of, pieces
from workbench.store.rollup_segment import DAY
from workbench.store.rollup_sketch import Sketches, join_sketches, quantiles, sketch
from workbench.store.rollup_straight import straight
from workbench.store.rollup_tiles import NEEDS, Grid, Tiles, answer

__all__ = ["RollupSource", "read"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_CELLS = 4_000_000
"""Tiles held at once."""

_SAMPLES = 8_000_000
"""Samples read at once, about."""


@dataclass(frozen=True)
class RollupSource:
    """What a query reads from: one snapshot of the catalog, and how to get at what it names.

    Attributes
    ----------
    segments : sequence of RollupSegment
        Live rollups in the order of what they know, as `rollup_plan.load_rollups` gives them.
    raw : RawSpans
        Live samples.
    open : callable
        Returns the `RollupFile` of a segment.
    samples : callable
        `samples(ids, start, end)` returns series numbers, offsets, times (ns) and values of [start, end), sorted and
        without repetitions.
    matrices : callable
        `matrices(ids, start, end)` returns which series are to be asked of `samples`, and the others as matrices.
    """

    segments: Sequence[RollupSegment]
    raw: RawSpans
    open: Callable[[RollupSegment], RollupFile]
    samples: Callable[[_Ints, int, int], tuple[_Ints, _Ints, _Ints, _Floats]]
    matrices: Callable[[_Ints, int, int], tuple[_Ints, Iterable[Matrix]]] = lambda ids, start, end: (ids, ())


def read(
    source: RollupSource,
    ids: _Ints,
    function: str,
    span: tuple[int, int, int],
    window: int | None = None,
    q: float | None = None,
) -> tuple[_Floats, list[dict[str, Any]]]:
    """Return a function of the values in each window (start + k * step - window, start + k * step].

    Parameters
    ----------
    source : RollupSource
    ids : ndarray of int64, shape (n,)
        Series numbers, sorted.
    function : {"avg", "sum", "min", "max", "count", "first", "last", "delta", "increase", "quantile"}
        `delta` is the last value less the first, `increase` knows counter resets; neither extrapolates. `quantile`
        is within 1 % of the values it lies between.
    span : (int, int, int)
        Start, end (included) and step, ns.
    window : int, optional
        Nanoseconds; as long as the step by default.
    q : float, optional
        Which quantile, 0 to 1.

    Returns
    -------
    values : ndarray of float64, shape (n, k)
        NaN where a window holds no number.
    used : list of dict
        `{"from", "to", "step", "series"}` in the order of time: which resolution (ns, 0 for samples) answered for how
        many series in which days (ISO dates, the last one excluded).

    Raises
    ------
    InvalidInput
        If function, quantile or lengths are not allowed.
    StoreError
        If a segment that is needed is damaged; the message names it.
    """
    check_one_of(function, tuple(NEEDS), "function")
    if (function == "quantile") != (q is not None) or not 0 <= (q or 0) <= 1:
        raise InvalidInput(f"quantile {q} with function {function!r}: give q from 0 to 1 with 'quantile', only there.")
    start, end, step = span
    grid = Grid(start, end, step, step if window is None else window)
    query = _Query(source, grid, function, q)
    out = np.full((len(ids), grid.n), np.nan)
    at_once = len(ids) if query.direct else max(1, _CELLS // max(grid.tiles, grid.n))
    for a in range(0, len(ids), max(at_once, 1)):
        query.fill(ids[a : a + at_once], out[a : a + at_once])
    return out, query.told()


class _Query:
    """One question, and what answered it so far."""

    def __init__(self, source: RollupSource, grid: Grid, function: str, q: float | None) -> None:
        self.source, self.grid, self.function, self.q = source, grid, function, q
        levels = [level for level in LEVELS if grid.fits(level)]
        segments = [s for s in source.segments if s.step in levels]
        self.files = [(s, source.open(s)) for s in segments]
        self.days = (day_of(grid.begin + 1), day_of(grid.end) + 1)
        self.direct = grid.window == grid.step and grid.tile in levels and function != "quantile"
        self._used: dict[tuple[int, int, int], int] = {}

    def fill(self, ids: _Ints, out: _Floats) -> None:
        """Answer for some series, into rows of the result."""
        raw, needs = self.source.raw, NEEDS[self.function]
        chosen = choose(self.files, ids, self.days, needs, raw)
        todo = list(pieces(chosen, self.days[0]))
        if self.function == "quantile":
            self._quantiles(ids, todo, out)
        elif self.direct:
            for piece in todo:
                self._straight(ids, piece, out)
        else:
            tiles = Tiles(len(ids), self.grid, needs)
            for piece in todo:
                for buckets in self._buckets(ids, piece):
                    tiles.put(buckets)
            out[:] = answer(self.function, tiles.windows())

    def told(self) -> list[dict[str, Any]]:
        """Return which resolution answered what."""
        dates = {day: str(np.datetime64(day, "D")) for a, b, _ in self._used for day in (a, b)}
        names = ("from", "to", "step", "series")
        return [
            dict(zip(names, (dates[a], dates[b], step, n), strict=True))
            for (a, b, step), n in sorted(self._used.items())
        ]

    def _tell(self, piece: Piece) -> None:
        key = (*piece.days, self.files[piece.position][0].step if piece.position >= 0 else 0)
        self._used[key] = self._used.get(key, 0) + len(piece.series)

    def _span(self, piece: Piece) -> tuple[int, int]:
        """Return the instants of a piece that the question is about, (low, high]."""
        return max(piece.days[0] * DAY, self.grid.begin), min(piece.days[1] * DAY, self.grid.end)

    def _straight(self, ids: _Ints, piece: Piece, out: _Floats) -> None:
        """Decode buckets that are windows into the result; no window is touched by two pieces."""
        file = self.files[piece.position][1] if piece.position >= 0 else None
        if file is None or file.step != self.grid.tile:
            for buckets in self._buckets(ids, piece):
                out[buckets.series, buckets.bucket - self.grid.zero - 1] = answer(self.function, buckets.columns)
            return
        self._tell(piece)
        low, high = (t // file.step for t in self._span(piece))
        straight(file, piece.rows, self.function, out, piece.series, (low, high), self.grid.zero)

    def _buckets(self, ids: _Ints, piece: Piece) -> Iterator[Buckets]:
        """Return the tiles that a piece gives, `series` being positions in `ids`."""
        if piece.position < 0:
            yield from self._raw(ids, piece)
            return
        self._tell(piece)
        file = self.files[piece.position][1]
        low, high = (t // file.step for t in self._span(piece))
        needs = NEEDS[self.function]
        blocks = file.fetch(file.index.block[piece.rows], needs)
        position = np.full(len(file.index.series), -1, np.int64)
        position[piece.rows] = piece.series
        for block in np.unique(file.index.block[piece.rows]).tolist():
            found = blocks.buckets(block, needs)
            owner = position[found.series]
            kept = (owner >= 0) & (found.bucket > low) & (found.bucket <= high)
            found = Buckets(file.step, owner, found.bucket, found.columns).take(kept)
            yield self._tiled(found)

    def _tiled(self, buckets: Buckets) -> Buckets:
        """Return buckets of a level as tiles."""
        shift = self.grid.phase // buckets.step
        moved = Buckets(buckets.step, buckets.series, buckets.bucket - shift, buckets.columns)
        return combine(moved, self.grid.tile) if self.grid.tile != buckets.step else moved

    def _raw(self, ids: _Ints, piece: Piece) -> Iterator[Buckets]:
        """Return the tiles of samples, day by day: targets as matrices, other series some at a time."""
        columns, grid = NEEDS[self.function], self.grid
        for a, b in self._days(piece):
            left, found = self.source.matrices(ids[piece.series], a, b)
            for matrix in found:
                rows = piece.series[np.searchsorted(ids[piece.series], matrix.series)]
                yield from roll_matrix(matrix, rows, grid.tile, grid.phase, columns)
            for at, series, offsets, time, value in self._samples(ids, np.searchsorted(ids, left), a, b):
                row = np.repeat(at[np.searchsorted(ids[at], series)], np.diff(offsets))
                yield roll(row, time, value, grid.tile, grid.phase, columns)

    def _days(self, piece: Piece) -> Iterator[tuple[int, int]]:
        """Return first instant and end of each day of a piece that has samples."""
        low, high = self._span(piece)
        days = np.flatnonzero(self.source.raw.days(*piece.days)) + piece.days[0]
        if len(days):
            self._tell(piece)
        for day in days.tolist():
            yield max(low, day * DAY) + 1, min(high, (day + 1) * DAY) + 1

    def _samples(
        self, ids: _Ints, positions: _Ints, start: int, end: int
    ) -> Iterator[tuple[_Ints, _Ints, _Ints, _Ints, _Floats]]:
        """Return the samples of series (positions in `ids`), some at a time."""
        at, at_once = 0, 256
        while at < len(positions):
            some = positions[at : at + at_once]
            at += at_once
            got = self.source.samples(ids[some], start, end)
            at_once = max(16, min(4 * at_once, _SAMPLES * at_once // max(len(got[2]), 1)))
            if len(got[2]):
                yield (some, *got)

    def _quantiles(self, ids: _Ints, todo: Sequence[Piece], out: _Floats) -> None:
        """Join the sketches of all tiles of each window."""
        grid, parts = self.grid, []
        for piece in todo:
            parts += list(self._sketches(ids, piece))
        if not parts:
            return
        owner, sketches = np.concatenate([p[0] for p in parts]), Sketches.of_parts([p[1] for p in parts])
        row, tile = np.divmod(owner, grid.tiles)
        length, stride = grid.window // grid.tile, grid.step // grid.tile
        # Window k has the tiles from k * stride to k * stride + length - 1.
        first, last = np.maximum(-((length - 1 - tile) // stride), 0), np.minimum(tile // stride, grid.n - 1)
        times = np.maximum(last - first + 1, 0)
        which = np.repeat(np.arange(len(owner)), times)
        window = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
        joined = join_sketches(row[which] * grid.n + window, sketches.take(which), out.size)
        out[:] = quantiles(joined, float(self.q or 0)).reshape(out.shape)

    def _sketches(self, ids: _Ints, piece: Piece) -> Iterator[tuple[_Ints, Sketches]]:
        """Return sketches and the cell (position, tile) that each belongs to."""
        grid = self.grid
        if piece.position < 0:
            for a, b in self._days(piece):
                for at, series, offsets, time, value in self._samples(ids, piece.series, a, b):
                    row = np.repeat(at[np.searchsorted(ids[at], series)], np.diff(offsets))
                    owner = row * grid.tiles + (-((grid.begin - time) // grid.tile) - 1)
                    cells, owner = np.unique(owner, return_inverse=True)
                    yield cells, sketch(owner, value, len(cells))
            return
        self._tell(piece)
        file = self.files[piece.position][1]
        low, high = (t // file.step for t in self._span(piece))
        blocks = file.fetch(file.index.block[piece.rows], ("sketch",))
        position = np.full(len(file.index.series), -1, np.int64)
        position[piece.rows] = piece.series
        for block in np.unique(file.index.block[piece.rows]).tolist():
            found = blocks.buckets(block, ())
            owner = position[found.series]
            kept = np.flatnonzero((owner >= 0) & (found.bucket > low) & (found.bucket <= high))
            tile = -((grid.begin - found.bucket[kept] * file.step) // grid.tile) - 1
            yield owner[kept] * grid.tiles + tile, blocks.sketches(block).take(kept)
