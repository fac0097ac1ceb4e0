"""Depth, roots and self time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import ShapeError
from workbench.signals import build_spans
from workbench.traces import depth, parents, root_of, roots, self_time_ns

START = np.datetime64("2026-01-01", "ns")


def spans(rows: list[tuple[int, int, int]]) -> pd.DataFrame:
    """One trace from (parent row, start, duration); rows must be given by rising start."""
    return build_spans(
        {
            "time": START + np.array([start for _, start, _ in rows], "timedelta64[ns]"),
            "duration_ns": [duration for _, _, duration in rows],
            "trace_id": ["t"] * len(rows),
            "span_id": [str(i) for i in range(len(rows))],
            "parent_span_id": ["" if parent < 0 else str(parent) for parent, _, _ in rows],
            "service": ["s"] * len(rows),
            "kind": ["internal"] * len(rows),
            "status": ["unset"] * len(rows),
        }
    )


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    starts = sorted(draw(st.lists(st.integers(0, 60), max_size=14)))
    return [(draw(st.integers(-1, i - 1)), start, draw(st.integers(0, 60))) for i, start in enumerate(starts)]


@settings(max_examples=50)
@given(trees())
def test_self_time_is_what_no_child_covers(rows: list[tuple[int, int, int]]) -> None:
    frame = spans(rows)
    parent = frame["parent"].tolist()
    start = (frame["time"].to_numpy() - START).astype(int).tolist()
    twin = [naive.span_self_time(start, frame["duration_ns"].tolist(), parent, row) for row in range(len(frame))]
    assert self_time_ns(frame).tolist() == twin


@settings(max_examples=50)
@given(trees())
def test_depth_and_roots_follow_the_parents(rows: list[tuple[int, int, int]]) -> None:
    frame = spans(rows)
    parent = frame["parent"].tolist()
    assert depth(frame).tolist() == [naive.span_depth(parent, row) for row in range(len(frame))]
    assert roots(frame).tolist() == [row for row, above in enumerate(parent) if above < 0]
    assert set(root_of(frame).tolist()) == set(roots(frame).tolist())


def test_parallel_early_and_late_children_are_clipped() -> None:
    # Parent 100-200; children 90-120 (began early), 110-150 (overlaps), 190-260 (ends late).
    frame = build_spans(
        {
            "time": START + np.array([100, 90, 110, 190], "timedelta64[ns]"),
            "duration_ns": [100, 30, 40, 70],
            "trace_id": ["t"] * 4,
            "span_id": ["p", "a", "b", "c"],
            "parent_span_id": ["", "p", "p", "p"],
        }
    )
    own = dict(zip(frame["span_id"], self_time_ns(frame).tolist(), strict=True))
    assert own == {"p": 40, "a": 30, "b": 40, "c": 70}


def test_durations_near_the_largest_integer_do_not_overflow() -> None:
    huge = 2**63 - 1
    assert self_time_ns(spans([(-1, 0, huge), (0, 10, huge), (0, 5, huge)])).tolist() == [5, huge, huge]


def test_a_long_chain_is_walked() -> None:
    rows = [(i - 1, i, 10_000 - 2 * i) for i in range(5000)]
    frame = spans(rows)
    assert np.sort(depth(frame)).tolist() == list(range(5000))


def test_a_cut_frame_is_linked_anew() -> None:
    frame = spans([(-1, 0, 100), (0, 10, 50), (1, 20, 20)])
    assert parents(frame[frame["span_id"] != "0"]).tolist() == [-1, 0]
    assert parents(frame[frame["span_id"] != "0"].reset_index(drop=True).assign(parent=np.int32([0, 7]))).tolist() == [
        -1,
        0,
    ]


def test_a_cycle_in_the_parent_column_is_cut() -> None:
    frame = spans([(-1, 0, 10), (-1, 1, 10)]).assign(parent=np.array([1, 0], np.int32))
    assert depth(frame).tolist() == [0, 0]
    assert self_time_ns(frame).tolist() == [10, 10]


def test_empty_and_wrong_frames() -> None:
    assert len(self_time_ns(spans([]))) == 0
    assert len(depth(spans([]))) == 0
    with pytest.raises(ShapeError, match="use build_spans"):
        self_time_ns(pd.DataFrame({"time": []}))
