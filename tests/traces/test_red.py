"""Rate, errors, duration over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput
from workbench.signals import build_spans
from workbench.traces import red

START = np.datetime64("2026-01-01", "ns")


def ns(value: int) -> np.timedelta64:
    return np.timedelta64(value, "ns")


def spans(rows: list[tuple[str, int, int, bool]]) -> pd.DataFrame:
    return build_spans(
        {
            "time": START + np.array([at for _, at, _, _ in rows], "timedelta64[ns]"),
            "duration_ns": [took for _, _, took, _ in rows],
            "service": [service for service, _, _, _ in rows],
            "status": ["error" if failed else "ok" for _, _, _, failed in rows],
            "trace_id": ["t"] * len(rows),
        }
    )


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-5, 45), st.integers(0, 99), st.booleans()), max_size=40)


@settings(max_examples=40)
@given(ROWS, st.integers(1, 50))
def test_each_cell_counts_its_own_spans(rows: list[tuple[str, int, int, bool]], step: int) -> None:
    table = red(spans(rows), START, START + ns(40), ns(step))
    for g, group in enumerate(table.groups["service"]):
        for b in range(len(table.time)):
            begin = int((table.time[b] - START).astype(int))
            calls, errors, p50, p95 = naive.red_cell(rows, group, begin, min(begin + step, 40))
            assert (table.calls[g, b], table.errors[g, b]) == (calls, errors)
            np.testing.assert_allclose([table.p50_ns[g, b], table.p95_ns[g, b]], [p50, p95])


def test_groups_by_several_columns_with_missing_values() -> None:
    frame = spans([("a", 0, 5, False), ("a", 1, 7, True), ("b", 2, 9, False)])
    frame["http.route"] = pd.Series(["/x", None, "/x"], dtype="str")
    table = red(frame, START, START + ns(10), ns(10), by=("service", "http.route"))
    assert table.groups.to_numpy().tolist() == [["a", ""], ["a", "/x"], ["b", "/x"]]
    assert table.errors.tolist() == [[1.0], [0.0], [0.0]]
    assert table.error_share.tolist() == [[1.0], [0.0], [0.0]]
    assert table.rate[0, 0] == pytest.approx(1e8)


def test_no_spans_give_no_groups_but_all_bins() -> None:
    table = red(spans([]), START, START + ns(10), ns(4))
    assert table.calls.shape == (0, 3)
    assert len(table.groups) == 0


@pytest.mark.parametrize(
    ("end", "step", "by"),
    [(0, 5, ("service",)), (10, 0, ("service",)), (10, 1, ("nope",)), (10, 1, ()), (10**12, 1, ("service",))],
)
def test_bad_input_is_named(end: int, step: int, by: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        red(spans([("a", 0, 5, False)]), START, START + ns(end), ns(step), by=by)
