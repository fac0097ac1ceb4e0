"""Flame graphs as frames: one row per node of the merged call tree, with self, total and position.

References
----------
Brendan Gregg, "The Flame Graph", ACM Queue 14(2), 2016; differential flame graphs, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput
from workbench.profiles.tree import Tree, check_sample_type, layout, merge_stacks, stack_values
from workbench.signals import Profiles

__all__ = ["diff", "flame", "hot_path"]


def flame(profiles: Profiles, sample_type: str) -> pd.DataFrame:
    """Return the call tree of all samples of one type.

    Parameters
    ----------
    profiles : Profiles
        Select a service, a thread or a time before, with `profiles.select(mask)`.
    sample_type : str
        As in `profiles.samples["sample_type"]`.

    Returns
    -------
    DataFrame
        One row per node in preorder: `parent` (int32 row, -1 at a root), `depth` (int32), `function`, `file` (str),
        `line` (int32, where the node was first seen), `self`, `total` (int64, in the unit of the sample type), `x0`,
        `x1` (int64, same unit; children lie side by side inside their parent, the widest first).

    Raises
    ------
    InvalidInput
        If no sample has this type.
    """
    check_sample_type(profiles, sample_type)
    values = stack_values(profiles, sample_type)
    tree = merge_stacks(profiles.stacks, profiles.frames, values > 0)
    own = _per_node(tree, values)
    total = tree.totals(own)
    order, left = layout(tree, total)
    return _frame(tree, order, profiles.frames, {"self": own, "total": total, "x0": left, "x1": left + total})


def diff(before: Profiles, after: Profiles, sample_type: str) -> pd.DataFrame:
    """Return the union of two call trees with the share of each node before and after.

    Shares are of the total of their own side, so two windows of different length or load compare.

    Parameters
    ----------
    before, after : Profiles
        They need not share tables.
    sample_type : str

    Returns
    -------
    DataFrame
        As `flame`, where `self` and `total` are those of `after`, and further `before_self`, `before_total` (int64),
        `before_share`, `after_share` (float64, 0-1 of the total of that side; 0 for a side without samples), `delta` =
        after_share - before_share, `self_delta` (the same of self). `x0`, `x1` run from 0 to at most 1 and give each
        node the mean of its two shares, so that what vanished is seen as well as what came.

    Raises
    ------
    InvalidInput
        If a side has samples, but none of this type.
    """
    check_sample_type(before, sample_type)
    check_sample_type(after, sample_type)
    values_before, values_after = stack_values(before, sample_type), stack_values(after, sample_type)
    stacks, frames = _side_by_side(before, after)
    none_before, none_after = np.zeros(len(values_before), np.int64), np.zeros(len(values_after), np.int64)
    values_before = np.concatenate([values_before, none_after])
    values_after = np.concatenate([none_before, values_after])
    tree = merge_stacks(stacks, frames, (values_before > 0) | (values_after > 0))
    own_before, own_after = _per_node(tree, values_before), _per_node(tree, values_after)
    total_before, total_after = tree.totals(own_before), tree.totals(own_after)
    sum_before, sum_after = max(int(values_before.sum()), 1), max(int(values_after.sum()), 1)
    share_before, share_after = total_before / sum_before, total_after / sum_after
    width = (share_before + share_after) / 2
    order, left = layout(tree, width)
    columns = {
        "self": own_after, "total": total_after, "x0": left, "x1": left + width,
        "before_self": own_before, "before_total": total_before,
        "before_share": share_before, "after_share": share_after, "delta": share_after - share_before,
        "self_delta": own_after / sum_after - own_before / sum_before,
    }  # fmt: skip
    return _frame(tree, order, frames, columns)


def hot_path(nodes: pd.DataFrame, least: float = 0.5) -> pd.DataFrame:
    """Return the nodes from the widest root down to where the call tree branches out.

    Parameters
    ----------
    nodes : DataFrame
        What `flame` returned.
    least : float, optional
        The path goes on to the widest child as long as that holds at least this share of its parent.

    Returns
    -------
    DataFrame
        Rows of `nodes`, root first, with their row numbers as index; empty when `nodes` is.
    """
    if not 0 <= least <= 1:
        raise InvalidInput(f"hot_path was given least={least}: a share lies between 0 and 1.")
    parent, total = nodes["parent"].to_numpy(), nodes["total"].to_numpy()
    # In preorder the widest child of a node is the row right behind it.
    path: list[int] = [0] if len(nodes) else []
    while path and path[-1] + 1 < len(nodes):
        child = path[-1] + 1
        if parent[child] != path[-1] or total[child] < least * total[path[-1]]:
            break
        path.append(child)
    return nodes.iloc[path]


def _side_by_side(before: Profiles, after: Profiles) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return stacks and frames of both, those of `after` behind those of `before`."""
    base, shift = len(before.stacks), len(before.frames)
    parent = after.stacks["parent"].to_numpy().astype(np.int64)
    moved = pd.DataFrame(
        {"parent": np.where(parent >= 0, parent + base, -1), "frame": after.stacks["frame"].to_numpy() + shift}
    )
    stacks = pd.concat([before.stacks.astype(np.int64), moved.astype(np.int64)], ignore_index=True)
    return stacks, pd.concat([before.frames, after.frames], ignore_index=True)


def _per_node(tree: Tree, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    own = np.zeros(len(tree.parent), np.int64)
    kept = tree.node_of >= 0
    np.add.at(own, tree.node_of[kept], values[kept])
    return own


def _frame(
    tree: Tree, order: npt.NDArray[np.int64], frames: pd.DataFrame, columns: Mapping[str, npt.NDArray[Any]]
) -> pd.DataFrame:
    """Return the nodes in preorder, with further columns given by node."""
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    above = tree.parent[order]
    names = tree.functions.iloc[tree.function[order]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "parent": np.where(above >= 0, row[above], -1).astype(np.int32) if len(order) else np.empty(0, np.int32),
            "depth": tree.depth[order].astype(np.int32),
            "function": names["function"].astype("str"),
            "file": names["file"].astype("str"),
            "line": frames["line"].to_numpy()[tree.line_frame[order]].astype(np.int32),
            **{name: values[order] for name, values in columns.items()},
        }
    )
