"""Call trees, functions by cost, and their differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput, ShapeError
from workbench.profiles import diff, flame, hot_path, top, top_diff
from workbench.signals import Profiles, build_profiles

Samples = Sequence[tuple[Sequence[str], int]]


def profiles(samples: Samples, line: int = 1) -> Profiles:
    """CPU samples from (functions from root to leaf, value)."""
    stacks = [[(function, "app.py", line + depth) for depth, function in enumerate(stack)] for stack, _ in samples]
    n = len(samples)
    return build_profiles(
        {
            "time": np.zeros(n, "datetime64[ns]"),
            "service": ["s"] * n,
            "sample_type": ["cpu"] * n,
            "stack": np.arange(n),
            "value": [value for _, value in samples],
        },
        stacks,
        {"cpu": "nanoseconds"},
    )


def paths(nodes: pd.DataFrame) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for parent, function in zip(nodes["parent"], nodes["function"], strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), function))
    return found


SAMPLES = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=7), st.integers(1, 99)), min_size=1, max_size=25
)


@settings(max_examples=40)
@given(SAMPLES)
def test_totals_per_path(samples: Samples) -> None:
    nodes = flame(profiles(samples), "cpu")
    own_and_total = zip(nodes["self"], nodes["total"], strict=True)
    assert dict(zip(paths(nodes), own_and_total, strict=True)) == naive.flame_totals(samples)


@settings(max_examples=40)
@given(SAMPLES)
def test_layout_nests_children_side_by_side(samples: Samples) -> None:
    nodes = flame(profiles(samples), "cpu")
    parent = nodes["parent"].to_numpy()
    assert (parent < np.arange(len(nodes))).all()
    assert (nodes["x1"] - nodes["x0"] == nodes["total"]).all()
    for row, children in nodes[parent >= 0].groupby("parent"):
        assert children["x0"].iloc[0] == nodes["x0"][row]
        assert (children["x0"].to_numpy()[1:] == children["x1"].to_numpy()[:-1]).all()
        assert children["x1"].iloc[-1] <= nodes["x1"][row]
        assert children["total"].is_monotonic_decreasing
    roots = nodes[parent < 0]
    assert roots["x1"].iloc[-1] == nodes["self"].sum()
    # Preorder: the parent of a row is the latest row above it that is one level higher.
    for row in np.flatnonzero(parent >= 0):
        above = np.flatnonzero(nodes["depth"].to_numpy()[:row] == nodes["depth"][row] - 1)
        assert above[-1] == parent[row]


@settings(max_examples=40)
@given(SAMPLES)
def test_functions_count_recursion_once(samples: Samples) -> None:
    table = top(profiles(samples), "cpu")
    found = {row.function: (row[3], row[4]) for row in table.itertuples(name="Row")}
    assert found == naive.function_totals(samples)
    assert table["self_share"].sum() == pytest.approx(1)


@settings(max_examples=25)
@given(SAMPLES, SAMPLES)
def test_diff_holds_both_trees(before: Samples, after: Samples) -> None:
    # Different line numbers: the sides share no frame row, only functions.
    nodes = diff(profiles(before), profiles(after, line=50), "cpu")
    whole_before, whole_after = naive.flame_totals(before), naive.flame_totals(after)
    sums = sum(v for _, v in before), sum(v for _, v in after)
    for path, row in zip(paths(nodes), nodes.to_dict("records"), strict=True):
        assert (row["before_self"], row["before_total"]) == whole_before.get(path, (0, 0))
        assert (row["self"], row["total"]) == whole_after.get(path, (0, 0))
        assert row["delta"] == pytest.approx(row["total"] / sums[1] - row["before_total"] / sums[0])
        assert row["x1"] - row["x0"] == pytest.approx((row["before_share"] + row["after_share"]) / 2)
    assert set(paths(nodes)) == set(whole_before) | set(whole_after)
    shares = top_diff(profiles(before), profiles(after), "cpu")
    assert shares["self_delta"].sum() == pytest.approx(0, abs=1e-9)
    assert shares["self_delta"].is_monotonic_decreasing


def test_golden_tree() -> None:
    nodes = flame(profiles([(["main", "parse"], 5), (["main", "render"], 9), (["main"], 1), (["idle"], 2)]), "cpu")
    assert nodes.drop(columns=["file", "line"]).to_numpy().tolist() == [
        [-1, 0, "main", 1, 15, 0, 15],
        [0, 1, "render", 9, 9, 0, 9],
        [0, 1, "parse", 5, 5, 9, 14],
        [-1, 0, "idle", 2, 2, 15, 17],
    ]


def test_one_function_at_several_lines_is_one_node() -> None:
    stacks = [[("f", "a.py", 3)], [("f", "a.py", 9)], [("f", "b.py", 3)]]
    data = {"time": np.zeros(3, "datetime64[ns]"), "sample_type": ["cpu"] * 3, "stack": [0, 1, 2], "value": [1, 2, 4]}
    nodes = flame(build_profiles(data, stacks), "cpu")
    assert nodes[["file", "total"]].to_numpy().tolist() == [["b.py", 4], ["a.py", 3]]


def test_hot_path_stops_where_the_tree_branches() -> None:
    nodes = flame(profiles([(["main", "a", "x"], 6), (["main", "a", "y"], 5), (["main", "b"], 1)]), "cpu")
    assert hot_path(nodes)["function"].tolist() == ["main", "a", "x"]
    assert hot_path(nodes, least=0.6)["function"].tolist() == ["main", "a"]
    assert hot_path(nodes[:0]).empty
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        hot_path(nodes, least=2)


def test_deep_recursion() -> None:
    stack = ["f"] * 3000
    table = top(profiles([(stack, 7), (stack[:5], 1)]), "cpu")
    assert table[["self", "total"]].to_numpy().tolist() == [[8, 8]]


def test_empty_stacks_and_negative_values_are_left_out() -> None:
    nodes = flame(profiles([([], 5), (["a"], -3), (["b"], 2)]), "cpu")
    assert nodes["function"].tolist() == ["b"]


def test_nothing_recorded_and_unknown_types() -> None:
    empty = profiles([])
    assert flame(empty, "cpu").empty
    assert top(empty, "cpu").empty
    assert diff(empty, empty, "cpu").empty
    one = diff(empty, profiles([(["a"], 3)]), "cpu")
    assert one[["before_share", "after_share", "delta"]].to_numpy().tolist() == [[0, 1, 1]]
    with pytest.raises(InvalidInput, match="types are cpu"):
        flame(profiles([(["a"], 3)]), "wall")
    with pytest.raises(ShapeError, match="build_profiles"):
        flame(pd.DataFrame(), "cpu")  # type: ignore[arg-type]
