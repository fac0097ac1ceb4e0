"""Call trees: many sampled stacks merged into one prefix tree with totals, laid out for drawing.

Stacks are already prefix trees of frames. Here nodes are merged by function and file (one function sampled at different
lines is one node), level by level; totals go up level by level, positions go down level by level. Nothing loops over
samples or nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput, ShapeError
from workbench.signals import Profiles

__all__ = ["Tree", "check_sample_type", "layout", "merge_stacks", "stack_values", "totals"]

Numbers: TypeAlias = npt.NDArray[Any]
"""Widths: int64 where they are counts, float64 where they are shares."""


@dataclass(frozen=True, eq=False)
class Tree:
    """A merged prefix tree of k nodes, parents before children.

    Attributes
    ----------
    parent : ndarray of int64, shape (k,)
        -1 at a root.
    depth : ndarray of int64, shape (k,)
        0 at a root.
    function : ndarray of int64, shape (k,)
        Code of the function: row of `functions`.
    line_frame : ndarray of int64, shape (k,)
        Row of the frames table of the first stack merged into the node; gives its line.
    functions : DataFrame
        `function`, `file`: distinct pairs.
    node_of : ndarray of int64, shape (stacks,)
        Node of each row of the stacks table.
    """

    parent: npt.NDArray[np.int64]
    depth: npt.NDArray[np.int64]
    function: npt.NDArray[np.int64]
    line_frame: npt.NDArray[np.int64]
    functions: pd.DataFrame
    node_of: npt.NDArray[np.int64]

    def levels(self) -> list[npt.NDArray[np.int64]]:
        """Return the nodes of each depth, roots first."""
        return _levels(self.depth)

    def totals(self, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the sum of `own` (k,) over each node and all below it, int64 of shape (k,)."""
        return totals(self.parent, self.depth, own)


def check_sample_type(profiles: Profiles, sample_type: str) -> None:
    """Raise `InvalidInput` when there are samples, but none of this type, and name the types there are."""
    if not isinstance(profiles, Profiles):
        raise ShapeError(f"profiles must be a Profiles shape; got {type(profiles).__name__}: use build_profiles.")
    known = sorted(set(profiles.samples["sample_type"]))
    if known and sample_type not in known:
        raise InvalidInput(f"no profile sample has the type {sample_type!r}: types are {', '.join(known)}.")


def stack_values(profiles: Profiles, sample_type: str) -> npt.NDArray[np.int64]:
    """Return the summed value of the samples that end at each row of the stacks table, int64 of shape (stacks,).

    Samples with an empty stack or a value below 0 (a difference, not a measurement) are left out.
    """
    chosen = profiles.samples[profiles.samples["sample_type"] == sample_type]
    stack, value = chosen["stack"].to_numpy(), chosen["value"].to_numpy()
    keep = (stack >= 0) & (value > 0)
    out = np.zeros(len(profiles.stacks), np.int64)
    np.add.at(out, stack[keep], value[keep])
    return out


def merge_stacks(stacks: pd.DataFrame, frames: pd.DataFrame, used: npt.NDArray[np.bool_]) -> Tree:
    """Return the prefix tree of the stacks that are used, merged by function and file.

    Parameters
    ----------
    stacks : DataFrame
        `parent`, `frame`; parents come before children. Several trees may stand one after another.
    frames : DataFrame
        `function`, `file`, `line`.
    used : ndarray of bool, shape (stacks,)
        Leaves that matter; their ancestors are kept with them.
    """
    parent = stacks["parent"].to_numpy().astype(np.int64)
    frame = stacks["frame"].to_numpy().astype(np.int64)
    if len(parent) and (parent >= np.arange(len(parent))).any():
        raise ShapeError("profiles.stacks hold a parent that does not come before its child: use build_profiles.")
    codes, functions = _function_codes(frames)
    levels = _levels(_stack_depth(parent))
    keep = used.copy()
    for level in reversed(levels[1:]):
        np.logical_or.at(keep, parent[level], keep[level])
    node_of = np.full(len(parent), -1, np.int64)
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], int]] = []
    count = 0
    for depth, level in enumerate(levels):
        rows = level[keep[level]]
        if not len(rows):
            break
        above = np.where(parent[rows] >= 0, node_of[parent[rows]], -1)
        key = (above + 1) * len(functions) + codes[frame[rows]]
        distinct, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        node_of[rows] = inverse + count
        parts.append((above[first], codes[frame[rows[first]]], frame[rows[first]], depth))
        count += len(distinct)
    empty = np.empty(0, np.int64)
    return Tree(
        np.concatenate([empty, *(p[0] for p in parts)]),
        np.concatenate([empty, *(np.full(len(p[0]), p[3]) for p in parts)]),
        np.concatenate([empty, *(p[1] for p in parts)]),
        np.concatenate([empty, *(p[2] for p in parts)]),
        functions,
        node_of,
    )


def _function_codes(frames: pd.DataFrame) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
    names = frames[["function", "file"]]
    codes = names.groupby(["function", "file"], sort=True, dropna=False).ngroup().to_numpy().astype(np.int64)
    return codes, names.drop_duplicates().sort_values(["function", "file"], ignore_index=True)


def _stack_depth(parent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how far each row lies below its root, by pointer doubling."""
    jump = np.where(parent < 0, np.arange(len(parent)), parent)
    depth = (parent >= 0).astype(np.int64)
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            return depth
        depth = depth + depth[jump]
        jump = further


def _levels(depth: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    if not len(depth):
        return []
    order = np.argsort(depth, kind="stable")
    return np.split(order, np.cumsum(np.bincount(depth))[:-1])


def totals(
    parent: npt.NDArray[np.int64], depth: npt.NDArray[np.int64], own: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the sum of `own` over each node and all nodes below it, from the deepest level up, int64 of shape (k,)."""
    total = own.copy()
    for level in reversed(_levels(depth)[1:]):
        np.add.at(total, parent[level], total[level])
    return total


def layout(tree: Tree, width: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Return (preorder of the nodes, left edge of each node): siblings side by side, the widest first.

    Parameters
    ----------
    tree : Tree
        k nodes.
    width : ndarray of number, shape (k,)
        A node is at least as wide as its children together.

    Returns
    -------
    order : ndarray of int64, shape (k,)
        Nodes in preorder: each before its children, children by falling width, then by name.
    left : ndarray, shape (k,)
        Left edge by node (not in preorder), in units of `width`.
    """
    size = tree.totals(np.ones(len(tree.parent), np.int64))
    siblings = np.lexsort((tree.function, -width, tree.parent))
    first = np.ones(len(siblings), bool)
    first[1:] = tree.parent[siblings][1:] != tree.parent[siblings][:-1]
    position = _exclusive_sum(size[siblings], first)
    left = _exclusive_sum(width[siblings], first)
    at, x0 = np.empty_like(position), np.empty_like(left)
    at[siblings], x0[siblings] = position, left
    for level in tree.levels()[1:]:
        at[level] += at[tree.parent[level]] + 1
        x0[level] += x0[tree.parent[level]]
    return np.argsort(at), x0


def _exclusive_sum(values: Numbers, first: npt.NDArray[np.bool_]) -> Numbers:
    """Return the sum of the values before each one within its run; `first` marks where runs begin."""
    before: Numbers = np.cumsum(values) - values
    return before - np.maximum.accumulate(np.where(first, before, 0)) if len(values) else before
