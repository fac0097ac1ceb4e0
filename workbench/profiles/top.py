"""Functions by cost: what runs (self) and what it stands for (total), with recursion counted once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.profiles.flame import diff, flame
from workbench.profiles.tree import totals
from workbench.signals import Profiles

__all__ = ["top", "top_diff"]


def top(profiles: Profiles, sample_type: str) -> pd.DataFrame:
    """Return one row per function, most self first.

    Parameters
    ----------
    profiles : Profiles
    sample_type : str

    Returns
    -------
    DataFrame
        `function`, `file` (str), `self`, `total` (int64, in the unit of the sample type), `self_share`, `total_share`
        (float64, 0-1 of all samples). A function that calls itself counts its outermost call only in `total`.

    Raises
    ------
    InvalidInput
        If no sample has this type.
    """
    nodes = flame(profiles, sample_type)
    table = _by_function(nodes, {"self": "self", "total": "total"})
    everything = max(int(nodes["self"].sum()), 1)
    table = table.assign(self_share=table["self"] / everything, total_share=table["total"] / everything)
    return table.sort_values(["self", "total"], ascending=False, kind="stable", ignore_index=True)


def top_diff(before: Profiles, after: Profiles, sample_type: str) -> pd.DataFrame:
    """Return one row per function of either side with its shares before and after, largest growth of self first.

    Returns
    -------
    DataFrame
        `function`, `file`; values `before_self`, `before_total`, `self`, `total` (int64); shares of their side
        `self_before`, `self_after`, `total_before`, `total_after` (float64, 0-1); `self_delta`, `total_delta` = after
        - before.
    """
    nodes = diff(before, after, sample_type)
    names = ("before_self", "before_total", "self", "total")
    table = _by_function(nodes, {name: name.removeprefix("before_") for name in names})
    sides = (("before", "before_"), ("after", ""))
    for side, prefix in sides:
        everything = max(int(nodes[f"{prefix}self"].sum()), 1)
        for what in ("self", "total"):
            table[f"{what}_{side}"] = table[f"{prefix}{what}"] / everything
    table["self_delta"] = table["self_after"] - table["self_before"]
    table["total_delta"] = table["total_after"] - table["total_before"]
    return table.sort_values(["self_delta", "total_delta"], ascending=False, kind="stable", ignore_index=True)


def _by_function(nodes: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Sum columns of the nodes per function; a column of meaning "total" skips nodes below their own function."""
    group = nodes.groupby(["function", "file"], sort=True).ngroup().to_numpy().astype(np.int64)
    table = nodes[["function", "file"]].drop_duplicates().sort_values(["function", "file"], ignore_index=True)
    outermost = ~_recursive(nodes, group)
    for name, meaning in columns.items():
        values = nodes[name].to_numpy().astype(np.int64)
        summed = np.zeros(len(table), np.int64)
        np.add.at(summed, group, np.where(outermost, values, 0) if meaning == "total" else values)
        table[name] = summed
    return table


def _recursive(nodes: pd.DataFrame, group: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which nodes lie below a node of the same function, by nested intervals of preorder."""
    n = len(nodes)
    if not n:
        return np.zeros(0, bool)
    size = totals(nodes["parent"].to_numpy().astype(np.int64), nodes["depth"].to_numpy(), np.ones(n, np.int64))
    end = np.arange(n) + size
    order = np.argsort(group, kind="stable")
    # Ends reached so far within a group; adding group * (n + 1) keeps one running maximum from crossing groups.
    reached = np.maximum.accumulate(end[order] + group[order] * (n + 1))
    below = np.zeros(n, bool)
    below[order[1:]] = reached[:-1] > order[1:] + group[order[1:]] * (n + 1)
    return below
