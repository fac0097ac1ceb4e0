"""Which series of two vectors belong together, and what the result of an operation between them is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.errors import LimitExceeded, QueryError
from workbench.query.promql.ast import VectorMatching
from workbench.query.promql.values import NAME, Bools, Ints, Labels, Vector, distinct, pooled

__all__ = ["Pairs", "filled", "pair", "result_labels", "seen", "signatures", "stacked"]


class Pairs(NamedTuple):
    """Rows that meet: row `many[i]` of the many side with row `one[i]` of the one side."""

    many: Ints
    one: Ints


def signatures(left: Labels, right: Labels, matching: VectorMatching) -> tuple[Ints, Ints, Labels]:
    """Return the number of the match group of every left and every right series, and the labels of the groups."""
    parts = [_signature(side, matching) for side in (left, right)]
    both = distinct(parts)
    codes, first = both.groups()
    return codes[: left.n], codes[left.n :], both.take(first)


def _signature(labels: Labels, matching: VectorMatching) -> Labels:
    return labels.keep(matching.labels) if matching.on else labels.drop([*matching.labels, NAME])


def seen(present: Bools, group: Ints, groups: int) -> Ints:
    """Return how many series of every match group are present, shape (groups, steps)."""
    out = np.zeros((groups, present.shape[1]), np.int64)
    if len(group):
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        out[group[order][starts]] = np.add.reduceat(present[order].astype(np.int64), starts, axis=0)
    return out


def pair(many: Vector, one: Vector, groups: tuple[Ints, Ints, Labels], side: str, limit: int) -> Pairs:
    """Return every pair of series in the same match group.

    Raises
    ------
    QueryError
        If a match group has two series of the one side (`side`: left or right) at a step where there is anything to
        match.
    """
    many_group, one_group, names = groups
    count = seen(one.present, one_group, names.n)
    twice = (count > 1) & many.present.any(axis=0)
    if twice.any():
        step = int(np.flatnonzero(twice.any(axis=0))[0])
        group = int(np.flatnonzero(twice[:, step])[0])
        first, second = np.flatnonzero((one_group == group) & one.present[:, step])[:2]
        found = ", ".join(one.labels.text(int(row), bare=False) for row in (second, first))
        raise QueryError(
            f"found duplicate series for the match group {names.text(group)} on the {side} hand-side of the operation:"
            f" [{found}];many-to-many matching not allowed: matching labels must be unique on one side"
        )
    order = np.argsort(one_group, kind="stable")
    low = np.searchsorted(one_group[order], many_group, side="left")
    high = np.searchsorted(one_group[order], many_group, side="right")
    counts = high - low
    if int(counts.sum()) * max(many.values.shape[1], 1) > limit:
        raise LimitExceeded(f"the operation pairs {int(counts.sum())} series; narrow the selectors or raise the limit.")
    rows = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    inner = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Pairs(rows, order[low[rows] + inner].astype(np.int64))


def filled(
    many: Vector, one: Vector, groups: tuple[Ints, Ints, Labels], fills: tuple[float | None, float | None]
) -> tuple[Vector, Vector, Ints, Ints]:
    """Return both sides, and their groups, with numbers put in where a group has series on the other side only.

    `fills` holds the number for the many and for the one side. What is put in has the labels of the match group.
    """
    many_group, one_group, names = groups
    has_many, has_one = seen(many.present, many_group, names.n) > 0, seen(one.present, one_group, names.n) > 0
    sides = [(many, many_group, has_one & ~has_many), (one, one_group, has_many & ~has_one)]
    out = []
    for (vector, group, lacks), fill in zip(sides, fills, strict=True):
        if fill is not None and lacks.any():
            made = Vector.build(names, np.full(lacks.shape, float(fill)), lacks)
            vector, group = stacked([vector, made]), np.concatenate([group, np.arange(names.n)])
        out.append((vector, group))
    return out[0][0], out[1][0], out[0][1], out[1][1]


def stacked(parts: Sequence[Vector]) -> Vector:
    """Return vectors one below the other."""
    rows, pool = pooled(parts)
    return Vector(
        distinct([part.labels for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.present for part in parts]),
        np.concatenate([part.drop_name for part in parts]),
        rows=None if rows is None else np.concatenate(rows),
        pool=pool,
    )


def result_labels(many: Labels, one: Labels, matching: VectorMatching) -> Labels:
    """Return the labels of the result of every pair; both tables have one row per pair."""
    if matching.card == "one-to-one":
        names = matching.labels
        return many.keep(names) if matching.on else many.drop(names)
    out = many
    for name in matching.include:
        out = out.with_column(name, one.column(name))
    return out
