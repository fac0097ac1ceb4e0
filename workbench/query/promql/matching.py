"""Which series of two vectors belong together, and what the result of an operation between them is called."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.errors import LimitExceeded, QueryError
from workbench.query.promql.ast import VectorMatching
from workbench.query.promql.values import NAME, Bools, Ints, Labels, Vector, distinct

__all__ = ["Pairs", "pair", "result_labels", "seen", "signatures"]


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
        If a match group has two series of the one side (`side`: left or right) at one step.
    """
    many_group, one_group, names = groups
    count = seen(one.present, one_group, names.n)
    if (count > 1).any():
        group = int(np.flatnonzero((count > 1).any(axis=1))[0])
        rows = np.flatnonzero(one_group == group)[:2]
        found = ", ".join(one.labels.text(int(row)) for row in rows)
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


def result_labels(many: Labels, one: Labels, matching: VectorMatching) -> Labels:
    """Return the labels of the result of every pair; both tables have one row per pair."""
    if matching.card == "one-to-one":
        names = matching.labels
        return many.keep(names) if matching.on else many.drop(names)
    out = many
    for name in matching.include:
        out = out.with_column(name, one.column(name))
    return out
