from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from workbench.panels.layout import layered

NAMES = [f"s{i}" for i in range(9)]
GRAPHS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=25)


@given(GRAPHS)
def test_every_node_has_a_place_of_its_own_and_every_edge_a_path(edges: list[tuple[str, str]]):
    placed = layered(NAMES, edges)
    assert set(placed.at) == set(NAMES)
    for column in {x for x, _ in placed.at.values()}:
        heights = sorted(y for x, y in placed.at.values() if x == column)
        assert all(b - a >= 0.99 for a, b in itertools.pairwise(heights))
    for a, b in edges:
        path = placed.paths[(a, b)]
        assert path[0] == placed.at[a]
        assert path[-1] == placed.at[b]


@given(GRAPHS, st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(edges: list[tuple[str, str]], random):
    shuffled = random.sample(edges, len(edges))
    one, two = layered(NAMES, edges), layered(NAMES[::-1], shuffled)
    assert one.at == two.at
    assert one.paths == two.paths


def test_callers_stand_left_of_callees_and_long_edges_bend():
    placed = layered(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    assert [placed.at[n][0] for n in "abc"] == [0, 1, 2]
    assert len(placed.paths[("a", "c")]) == 3
    assert placed.paths[("a", "c")][1][1] != placed.at["b"][1]


def test_a_cycle_and_a_self_call_are_drawn_too():
    placed = layered(["a", "b"], [("a", "b"), ("b", "a"), ("a", "a")])
    assert placed.at["a"][0] < placed.at["b"][0]
    assert placed.paths[("b", "a")] == placed.paths[("a", "b")][::-1]
    assert placed.paths[("a", "a")] == (placed.at["a"],)
    assert layered([], []).columns == 1


def test_hostile_names_are_only_names():
    assert layered(["\0" + "0.1", "b"], [("\0" + "0.1", "b")]).at["b"][0] == 1
