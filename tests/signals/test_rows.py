"""Logs, spans and events: what is built passes its check, what is broken is named."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import naive
from workbench.errors import ShapeError
from workbench.signals import build_events, build_logs, build_spans, check_events, check_logs, check_spans
from workbench.signals.rows import EVENT_COLUMNS, LOG_COLUMNS, SPAN_COLUMNS, SPAN_KINDS, SPAN_STATUS, link_parents

INSTANTS = st.integers(0, 4 * 10**18)
IDS = st.sampled_from(["", "a", "b", "c", "d"])
SPANS = st.lists(st.tuples(st.sampled_from(["t1", "t2"]), IDS, IDS), max_size=12)


@given(SPANS)
@example([("t", "a", "b"), ("t", "b", "a"), ("t", "c", "a")])  # a cycle with a span hanging off it
@example([("t1", "a", ""), ("t2", "b", "a")])  # the parent is in another trace
@example([("t", "a", "a"), ("t", "a", "a")])  # its own parent, and the same id twice
def test_link_parents_agrees_with_its_twin(rows: list[tuple[str, str, str]]) -> None:
    trace, span, parent = (pd.Series([row[i] for row in rows], dtype="str") for i in range(3))
    linked = link_parents(trace, span, parent)
    assert linked.dtype == np.int32
    assert linked.tolist() == naive.link_parents(trace.tolist(), span.tolist(), parent.tolist())


def test_link_parents_of_a_deep_chain_and_a_long_ring() -> None:
    n = 20_000
    ids = pd.Series(np.arange(n).astype(str), dtype="str")
    trace = pd.Series(["t"] * n, dtype="str")
    chain = pd.Series(["", *ids[:-1]], dtype="str")
    assert link_parents(trace, ids, chain).tolist() == list(range(-1, n - 1))
    ring = pd.Series([ids.iloc[-1], *ids[:-1]], dtype="str")
    assert set(link_parents(trace, ids, ring)) == {-1}


@given(st.lists(st.tuples(INSTANTS, st.integers(0, 24), st.text(max_size=5)), max_size=8))
def test_logs_are_sorted_checked_and_rebuilt_alike(rows: list[tuple[int, int, str]]) -> None:
    time, severity, body = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    frame = check_logs(build_logs({"time": time, "severity": severity, "body": body, "k": body}))
    assert list(frame.columns) == [*LOG_COLUMNS, "k"]
    assert frame["time"].astype("int64").tolist() == sorted(time)
    assert sorted(zip(time, severity, body, strict=True)) == sorted(
        zip(frame["time"].astype("int64"), frame["severity"], frame["body"], strict=True)
    )
    pd.testing.assert_frame_equal(build_logs(dict(frame.items())), frame)


@given(st.lists(st.tuples(INSTANTS, *[IDS] * 3, st.integers(0, 10**12), st.sampled_from(SPAN_KINDS)), max_size=8))
def test_spans_are_sorted_linked_checked_and_rebuilt_alike(rows: list[tuple[int, str, str, str, int, str]]) -> None:
    names = ("time", "trace_id", "span_id", "parent_span_id", "duration_ns", "kind")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {"time": []}
    frame = check_spans(build_spans({**columns, "status": SPAN_STATUS[0], "parent": 99}))
    assert list(frame.columns) == list(SPAN_COLUMNS)
    keys = list(zip(frame["trace_id"], frame["time"], strict=True))
    assert keys == sorted(keys)
    pd.testing.assert_frame_equal(build_spans(dict(frame.items())), frame)


def test_events_default_to_instants() -> None:
    frame = check_events(
        build_events({"time": [2, 1], "kind": ["deploy", "note"], "title": ["b", "a"], "score": [0.5, 1]})
    )
    assert list(frame.columns) == [*EVENT_COLUMNS, "score"]
    assert frame["title"].tolist() == ["a", "b"]
    assert frame["end"].isna().all()
    pd.testing.assert_frame_equal(build_events(dict(frame.items())), frame)


@pytest.mark.parametrize("build", [build_logs, build_spans, build_events])
def test_no_rows_are_a_shape_too(build: object) -> None:
    check = {build_logs: check_logs, build_spans: check_spans, build_events: check_events}[build]
    assert len(check(build({"time": []}))) == 0


@pytest.mark.parametrize(
    "time",
    [
        [1_704_067_200_000_000_000],
        ["2024-01-01"],
        ["2024-01-01T02:00:00+02:00"],
        [dt.datetime(2024, 1, 1)],
        [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        np.array(["2024-01-01"], "datetime64[s]"),
        pd.Series(pd.to_datetime(["2024-01-01"])).dt.as_unit("us"),
        pd.to_datetime(["2024-01-01T02:00:00+02:00"]),
    ],
)
def test_any_time_becomes_naive_utc_nanoseconds(time: object) -> None:
    frame = check_logs(build_logs({"time": time}))
    assert frame["time"].tolist() == [pd.Timestamp("2024-01-01")]


def test_columns_are_taken_by_position_and_left_alone() -> None:
    given_column = pd.Series(["x", "y"], index=[7, 9])
    frame = build_logs(
        {"time": pd.Series([5, 3], index=[1, 0]), "body": given_column, "extra": given_column, "env": "p"}
    )
    assert frame["body"].tolist() == frame["extra"].tolist() == ["y", "x"]
    assert frame["env"].tolist() == ["p", "p"]
    assert given_column.index.tolist() == [7, 9]


def test_missing_text_is_empty_and_a_missing_attribute_stays_missing() -> None:
    frame = build_logs({"time": [1, 2], "body": [None, "b"], "extra": pd.Series([None, "b"], dtype="str")})
    assert frame["body"].tolist() == ["", "b"]
    assert frame["extra"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"body": ["a"]}, r"logs need a 'time' column; got \['body'\]"),
        ({"time": [1, 2], "body": ["a"]}, "'body' has 1 rows; 'time' has 2"),
        ({"time": [1], "severity": [300]}, "'severity' cannot be int8: 300"),
        ({"time": [1], "severity": [np.nan]}, "'severity' cannot be int8: nan"),
        ({"time": [1], "severity": ["high"]}, "'severity' cannot be int8"),
        ({"time": ["soon"]}, "'time' cannot be time"),
        ({"time": [1.5]}, "'time' cannot be time"),
        ({"time": np.array(["3000-01-01"], "datetime64[s]")}, "'time' cannot be time: Out of bounds"),
    ],
)
def test_columns_that_cannot_be_logs_are_named(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        build_logs(columns)


def spans() -> pd.DataFrame:
    ids = {"trace_id": ["t", "t", "u"], "span_id": ["a", "b", "c"], "parent_span_id": ["", "a", ""]}
    return build_spans({"time": [1, 2, 3], **ids, "kind": "server", "status": "ok"})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (spans().drop(columns="name"), r"lack the columns \['name'\]"),
        (spans().assign(duration_ns=1.5), "'duration_ns' has dtype float64; it must be int64"),
        (spans().assign(duration_ns=np.int64(-1)), "negative duration_ns"),
        (spans().assign(kind=pd.Series(["srv"] * 3, dtype="str")), "'kind' holds 'srv'; allowed are unspecified"),
        (spans().assign(status=pd.Series(["bad"] * 3, dtype="str")), "'status' holds 'bad'"),
        (spans().iloc[::-1], "not sorted by trace_id, time"),
        (spans().assign(parent=np.int32(7)), "'parent' holds 7; allowed are -1 to 2"),
        (spans().iloc[1:], "row 0 has a parent row that is not its parent span"),
        (spans().assign(time=spans()["time"].astype("datetime64[us]")), r"dtype datetime64\[us\]"),
        (spans().assign(time=np.datetime64("NaT", "ns")), "3 instants outside 1970-2261 or missing"),
        (spans().assign(time=np.datetime64("1969-12-31", "ns")), "3 instants outside 1970-2261"),
        (spans().assign(time=np.datetime64("2262-01-02", "ns")), "3 instants outside 1970-2261"),
    ],
)
def test_the_first_offence_of_spans_is_named(broken: pd.DataFrame, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        check_spans(broken)


def test_offences_of_logs_and_events_are_named() -> None:
    with pytest.raises(ShapeError, match="'severity' holds 25; allowed are 0 to 24"):
        check_logs(build_logs({"time": [1], "severity": [25]}))
    with pytest.raises(ShapeError, match="'kind' holds 'party'; allowed are deploy"):
        check_events(build_events({"time": [1], "kind": ["party"]}))
    with pytest.raises(ShapeError, match="not sorted by time"):
        check_logs(build_logs({"time": [1, 2]}).iloc[::-1])
