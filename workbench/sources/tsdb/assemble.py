"""Samples of many series, as a file had them, made into the shape: checked, sorted where they are not, none altered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.signals import Histograms, Samples, build_samples
from workbench.signals.time import MAX_NS
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.labels import LabelTable, ragged

__all__ = ["Ragged", "assemble", "group"]

_Ints = npt.NDArray[np.int64]

_MAX_MS = MAX_NS // 10**6


@dataclass(frozen=True)
class Ragged:
    """Samples of some series of a label table: `rows[i]` owns samples `offsets[i]` to `offsets[i + 1]`.

    Where there are histograms, `held` says which of `pool` each sample is, -1 where it is a number.
    """

    rows: _Ints
    offsets: _Ints
    time_ms: _Ints
    value: npt.NDArray[np.float64]
    held: _Ints | None = None
    pool: Histograms | None = None

    def keep(self, mask: npt.NDArray[np.bool_]) -> Ragged:
        """Return the samples under a mask of shape (m,), series without any left out."""
        if mask.all():
            return self.filled()
        offsets = np.concatenate([[0], np.cumsum(mask)])[self.offsets].astype(np.int64)
        held = None if self.held is None else self.held[mask]
        return Ragged(self.rows, offsets, self.time_ms[mask], self.value[mask], held, self.pool).filled()

    def filled(self) -> Ragged:
        """Return this without the series that have no samples."""
        filled = np.diff(self.offsets) > 0
        if filled.all():
            return self
        return replace(self, rows=self.rows[filled], offsets=self.offsets[np.append(True, filled)])

    def part(self, low: int, high: int) -> Ragged:
        """Return some of the series."""
        a, b = self.offsets[low], self.offsets[high]
        held, offsets = None if self.held is None else self.held[a:b], self.offsets[low : high + 1] - a
        return Ragged(self.rows[low:high], offsets, self.time_ms[a:b], self.value[a:b], held, self.pool)


def group(rows: _Ints, time_ms: _Ints, value: npt.NDArray[np.float64], pool: Histograms | None = None) -> Ragged:
    """Return samples in any order by series, in the order given within each.

    Parameters
    ----------
    rows, time_ms : ndarray of int64, shape (m,)
    value : ndarray of float64, shape (m,)
    pool : Histograms, optional
        What all of the samples are, if they are no numbers.
    """
    order = np.argsort(rows, kind="stable")
    used, first = np.unique(rows[order], return_index=True)
    offsets = np.concatenate([first, [len(rows)]]).astype(np.int64)
    return Ragged(used, offsets, time_ms[order], value[order], None if pool is None else order, pool)


def assemble(
    table: LabelTable,
    given: Ragged,
    options: ReadOptions,
    skips: Counter[str],
    said: tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]] | None = None,
) -> Iterator[Samples]:
    """Yield the samples as the shape, in as few pieces as `intake.max_columns` allows.

    Of several samples of a series at one instant the first is kept, as Prometheus does; they are counted in `skips`,
    and so are instants outside 1970 to 2261.

    Parameters
    ----------
    table : LabelTable
    given : Ragged
    options : ReadOptions
    skips : Counter
    said : kind and unit of every series of the table, optional
    """
    pending = [_inside(given, skips)]
    while pending:
        part = pending.pop()
        n = len(part.rows)
        if n == 0:
            continue
        where, _ = ragged(table.offsets, part.rows)
        if n > 1 and len(np.unique(table.name[where])) > options.max_columns:
            pending += [part.part(n // 2, n), part.part(0, n // 2)]
            continue
        yield _shape(table, part, options, skips, said)


def _inside(given: Ragged, skips: Counter[str]) -> Ragged:
    time = given.time_ms
    if len(time) and time.min() >= 0 and time.max() < _MAX_MS:
        return given.filled()
    inside = (time >= 0) & (time < _MAX_MS)
    if not inside.all():
        skips["sample outside 1970-2261"] += int((~inside).sum())
    return given.keep(inside)


def _shape(
    table: LabelTable,
    part: Ragged,
    options: ReadOptions,
    skips: Counter[str],
    said: tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]] | None,
) -> Samples:
    labels, equal = table.frame(part.rows, options.max_columns)
    time = (part.time_ms * 10**6).view("datetime64[ns]")
    n = len(part.rows)
    kind = np.full(n, "unknown", object) if said is None else said[0][part.rows]
    unit = np.full(n, "", object) if said is None else said[1][part.rows]
    rising = part.time_ms[1:] > part.time_ms[:-1]
    rising[part.offsets[1:-1] - 1] = True
    if rising.all() and not equal:
        return Samples(labels, part.offsets, time, part.value, kind, unit, part.held, part.pool)
    series = np.repeat(np.arange(n), np.diff(part.offsets))
    # the last of equal instants is kept there, the first here: so all go in backwards
    held = None if part.held is None else part.held[::-1]
    built = build_samples(
        labels, series[::-1], time[::-1], part.value[::-1], kind.tolist(), unit.tolist(), row=held, histograms=part.pool
    )
    if built.n_samples < len(time):
        skips["sample of an instant that its series has already"] += len(time) - built.n_samples
    return built
