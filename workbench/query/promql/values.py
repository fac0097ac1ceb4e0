"""What flows between the nodes of an expression: label tables, instant vectors and ragged ranges.

An instant vector is one block for all steps: `values` and `present`, both (series, steps). A value may be NaN and
present; an absent one is NaN in the result. Where some values are native histograms, `rows` beside it says which row of
`pool` each is. Labels have their Prometheus names here (`__name__`); an absent label is "".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import QueryError
from workbench.signals import Histograms, Samples, concat_histograms
from workbench.signals.names import from_prometheus, to_prometheus

__all__ = [
    "METADATA",
    "NAME",
    "Bools",
    "Floats",
    "Ints",
    "Labels",
    "Scalar",
    "Text",
    "Vector",
    "any_step",
    "distinct",
    "places",
    "pooled",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

NAME = "__name__"

METADATA = (NAME, "__type__", "__unit__")
"""Labels that say what a metric is: what changes its meaning takes them away."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Label table of n series: `columns` maps a name to str objects of shape (n,)."""

    n: int
    columns: Mapping[str, npt.NDArray[np.object_]]

    @classmethod
    def of_samples(cls, samples: Samples) -> Labels:
        """Return the labels of selected samples, without columns that are empty everywhere."""
        columns = {to_prometheus(str(c)): samples.labels[c].to_numpy(dtype=object) for c in samples.labels.columns}
        return cls(len(samples), {name: values for name, values in columns.items() if (values != "").any()})

    def column(self, name: str) -> npt.NDArray[np.object_]:
        """Return one label of every series."""
        found = self.columns.get(name)
        return np.full(self.n, "", object) if found is None else found

    def take(self, rows: Ints) -> Labels:
        """Return the labels of the series at `rows`."""
        return Labels(len(rows), {name: values[rows] for name, values in self.columns.items()})

    def keep(self, names: Sequence[str]) -> Labels:
        """Return only the named labels."""
        return Labels(self.n, {name: self.columns[name] for name in names if name in self.columns})

    def drop(self, names: Sequence[str]) -> Labels:
        """Return all but the named labels."""
        return Labels(self.n, {name: values for name, values in self.columns.items() if name not in names})

    def with_column(self, name: str, values: npt.NDArray[np.object_]) -> Labels:
        """Return the labels with one column set."""
        return Labels(self.n, {**self.columns, name: values})

    def groups(self) -> tuple[Ints, Ints]:
        """Return the group of every series by all its labels, and the first series of every group."""
        codes = np.zeros(self.n, np.int64)
        for values in self.columns.values():
            own, names = pd.factorize(values)
            codes = pd.factorize(codes * (len(names) + 1) + own)[0].astype(np.int64)
        first = np.unique(codes, return_index=True)[1].astype(np.int64)
        return codes, first

    def text(self, row: int, *, bare: bool = True) -> str:
        """Return one series as Prometheus writes it: `name{label="value"}`, or with the name as a label in the braces."""
        pairs = {name: values[row] for name, values in sorted(self.columns.items()) if values[row] != ""}
        name = pairs.pop(NAME, "") if bare else ""
        inner = ", ".join(f'{label}="{value}"' for label, value in pairs.items())
        return f"{name}{{{inner}}}"

    def order(self) -> Ints:
        """Return the rows sorted by labels: by metric name first, then label after label by name."""
        names = sorted(self.columns)
        if not names or self.n < 2:
            return np.arange(self.n)
        keys = [np.unique(self.columns[name].astype(str), return_inverse=True)[1] for name in reversed(names)]
        return np.lexsort(keys).astype(np.int64)

    def frame(self) -> pd.DataFrame:
        """Return the labels under the names arrays use, sorted by name, the metric's first."""
        names = sorted(self.columns, key=lambda name: (name != NAME, name))
        return pd.DataFrame({from_prometheus(n): self.columns[n] for n in names}, index=range(self.n), dtype=object)


def distinct(parts: Sequence[Labels]) -> Labels:
    """Return the label tables one below the other."""
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return Labels(sum(p.n for p in parts), {n: np.concatenate([p.column(n) for p in parts]) for n in names})


@dataclass(frozen=True, eq=False)
class Vector:
    """An instant vector at every step.

    Attributes
    ----------
    labels : Labels
    values : ndarray of float64, shape (n, t)
    present : ndarray of bool, shape (n, t)
    drop_name : ndarray of bool, shape (n,)
        Series whose metric name goes at the end of the evaluation.
    ordered : bool
        Whether the order of the rows is part of the result.
    rows : ndarray of int64, shape (n, t), optional
        Row of `pool` of a value that is a histogram, -1 for a number; absent when all are numbers.
    pool : Histograms, optional
    """

    labels: Labels
    values: Floats
    present: Bools
    drop_name: Bools
    ordered: bool = False
    rows: Ints | None = None
    pool: Histograms | None = None

    @classmethod
    def build(cls, labels: Labels, values: Floats, present: Bools) -> Vector:
        """Return a vector that keeps its names."""
        return cls(labels, values, present, np.zeros(labels.n, bool))

    @property
    def histogram(self) -> Bools:
        """Which values are histograms, shape (n, t)."""
        return np.zeros(self.present.shape, bool) if self.rows is None else self.present & (self.rows >= 0)

    def cells(self) -> tuple[Ints, Ints, Ints, Histograms]:
        """Return series, step and row of every histogram, series by series, and the histograms."""
        if self.rows is None or self.pool is None:
            raise QueryError("the vector holds no histogram.")
        series, step = np.nonzero(self.histogram)
        return series.astype(np.int64), step.astype(np.int64), self.rows[series, step], self.pool

    def with_cells(self, series: Ints, step: Ints, pool: Histograms | None) -> Vector:
        """Return the vector with the histograms of `pool` at these places and nowhere else."""
        if pool is None or not len(pool):
            return replace(self, rows=None, pool=None)
        rows = np.full(self.present.shape, -1, np.int64)
        rows[series, step] = np.arange(len(pool), dtype=np.int64)
        present = self.present.copy()
        present[series, step] = True
        values = self.values.copy()
        values[series, step] = 0.0
        return replace(self, values=values, present=present, rows=rows, pool=pool)

    def numbers(self) -> Vector:
        """Return the vector without its histograms."""
        return (
            self if self.rows is None else replace(self, present=self.present & (self.rows < 0), rows=None, pool=None)
        )

    def masked(self, present: Bools) -> Vector:
        """Return the vector with fewer values present."""
        return replace(self, present=self.present & present, ordered=False)

    def take(self, rows: Ints) -> Vector:
        """Return the series at `rows`, in that order."""
        return replace(
            self,
            labels=self.labels.take(rows),
            values=self.values[rows],
            present=self.present[rows],
            drop_name=self.drop_name[rows],
            rows=None if self.rows is None else self.rows[rows],
        )

    def compact(self) -> Vector:
        """Return the vector without series that are absent at every step."""
        some = self.present.any(axis=1)
        return self if some.all() else self.take(np.flatnonzero(some))

    def mapped(self, values: Floats) -> Vector:
        """Return the vector with new values, all numbers, its names to be dropped."""
        out = self.numbers()
        return replace(out, values=values, drop_name=np.ones(self.labels.n, bool), ordered=False)

    def finished(self) -> Vector:
        """Return the vector after names are dropped and series with equal labels are one.

        Raises
        ------
        QueryError
            If two series with equal labels are present at one step.
        """
        out = self.compact()
        for name in METADATA if out.drop_name.any() else ():
            if name in out.labels.columns:
                kept = np.where(out.drop_name, "", out.labels.columns[name]).astype(object)
                out = replace(out, labels=out.labels.with_column(name, kept))
        return out.merged()

    def merged(self) -> Vector:
        """Return the vector with series of equal labels made one, which is an error where both are present."""
        codes, first = self.labels.groups()
        if len(first) == self.labels.n:
            return self
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        count = np.add.reduceat(self.present[order].astype(np.int64), starts, axis=0)
        if (count > 1).any():
            row = int(first[np.flatnonzero((count > 1).any(axis=1))[0]])
            raise QueryError(
                f"vector cannot contain metrics with the same labelset: {self.labels.text(row)} is there twice."
            )
        values = np.add.reduceat(np.where(self.present, self.values, 0.0)[order], starts, axis=0)
        rows = self.rows
        if rows is not None:
            rows = np.maximum.reduceat(np.where(self.present, rows, -1)[order], starts, axis=0)
        return replace(
            self, labels=self.labels.take(first), values=values, present=count > 0, drop_name=self.drop_name[first],
            rows=rows,
        )  # fmt: skip


def any_step(flags: Bools) -> Bools:
    """Return for which series something holds at any step."""
    return np.asarray(flags.any(axis=1))


def places(flags: Bools) -> tuple[Ints, Ints]:
    """Return series and step of every cell where something holds, series by series."""
    series, step = np.nonzero(flags)
    return series.astype(np.int64), step.astype(np.int64)


def pooled(parts: Sequence[Vector]) -> tuple[list[Ints] | None, Histograms | None]:
    """Return the rows of every vector in one pool, or None twice when all values are numbers."""
    pools = [part.pool for part in parts if part.pool is not None]
    if not pools:
        return None, None
    rows, shift = [], 0
    for part in parts:
        own = np.full(part.present.shape, -1, np.int64) if part.rows is None else part.rows
        rows.append(np.where(own >= 0, own + shift, -1))
        shift += 0 if part.pool is None else len(part.pool)
    return rows, concat_histograms(pools)


@dataclass(frozen=True, eq=False)
class Scalar:
    """One number per step, shape (t,)."""

    values: Floats


@dataclass(frozen=True)
class Text:
    """A string."""

    value: str
