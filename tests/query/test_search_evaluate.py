"""What a search matches: examples of every form, and the row-by-row twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from tests import naive
from tests.query.search_queries import frames, nodes
from workbench.query.search import equalities, mask, parse
from workbench.signals import build_events, build_logs, build_spans


@pytest.fixture(scope="module")
def logs():
    return build_logs(
        {
            "time": [1, 2, 3, 4],
            "severity": [17, 9, 0, 13],
            "body": ["Connection  reset by peer", "ok GET /api/x", "ünicode", "50% off"],
            "service": ["checkout", "cart", "cart", "pay"],
            "http.response.status_code": [500, 200, np.nan, 404],
            "size": ["500", "abc", None, "7"],
            "cached": [True, False, True, False],
        }
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3]),
        ("service:cart", [1, 2]),
        ("@service.name:cart", [1, 2]),
        ("service:Cart", []),
        ("service:c*", [0, 1, 2]),
        ("service:c?rt", [1, 2]),
        ("service:car", []),
        ("connection", [0]),
        ("ONNECT", [0]),
        ('"connection reset"', [0]),
        ('"reset connection"', []),
        ("conn*on", [0]),
        ("conn*reset", []),
        ("Ünicode", [2]),
        ('"50%"', [3]),
        ("status:error", [0]),
        ("severity:ERROR", [0]),
        ("severity:err", [0]),
        ("severity:17", [0]),
        ("severity:e*", [0]),
        ("severity:>=warn", [0, 3]),
        ("severity:>warn", [0]),
        ("severity:<warn", [1]),
        ("severity:[info TO warn]", [1, 3]),
        ("severity:*", [0, 1, 3]),
        ("severity:nonsense", []),
        ("@http.response.status_code:>=404", [0, 3]),
        ("@http.response.status_code:500", [0]),
        ("@http.response.status_code:[200 TO 404}", [1]),
        ("@http.response.status_code:5*", [0]),
        ("@http.response.status_code:>x", []),
        ("_missing_:http.response.status_code", [2]),
        ("@size:>6", [0, 3]),
        ("@size:>a", [1]),
        ("@size:500", [0]),
        ("@cached:true", [0, 2]),
        ("@cached:t*", [0, 2]),
        ("@nope:1", []),
        ("-@nope:1", [0, 1, 2, 3]),
        ("NOT reset", [1, 2, 3]),
        ("service:(cart OR pay) -off", [1, 2]),
        ("*:500", [0]),
        ("*:pay", [3]),
        ("time:<1970-01-02", [0, 1, 2, 3]),
        ("time:[2000 TO *]", []),
    ],
)
def test_logs(logs, text, rows):
    assert np.flatnonzero(mask(parse(text), logs)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@duration:>1s", ["slow"]),
        ("duration:1s", ["GET /"]),
        ("duration:[500ms TO 1.5s]", ["GET /"]),
        ("duration:>=1000000000", ["GET /", "slow"]),
        ("status:error", ["slow"]),
        ("kind:server GET", ["GET /"]),
        ("trace_id:b", ["slow"]),
    ],
)
def test_spans(text, names):
    spans = build_spans(
        {
            "time": [1, 2, 3],
            "duration_ns": [10**9, 2 * 10**9, 5],
            "status": ["ok", "error", "unset"],
            "kind": ["server", "client", "internal"],
            "trace_id": ["a", "b", "c"],
            "name": ["GET /", "slow", "other"],
        }
    )
    assert spans["name"][mask(parse(text), spans)].tolist() == names


def test_events_search_their_titles():
    events = build_events({"time": [1, 2], "kind": ["deploy", "note"], "title": ["Deploy cart v2", "hello"]})
    assert mask(parse("kind:deploy v2"), events).tolist() == [True, False]
    assert mask(parse("HELLO"), events).tolist() == [False, True]


def test_an_attribute_wins_over_the_reserved_meaning_with_an_at_sign():
    logs = build_logs({"time": [1, 2], "severity": [17, 9], "body": ["", ""], "status": ["paid", "open"]})
    assert mask(parse("@status:paid"), logs).tolist() == [True, False]
    assert mask(parse("status:error"), logs).tolist() == [True, False]


@pytest.mark.parametrize(
    "text", ["a*" * 32 + "b", "body:" + "*a" * 32 + "b", "?" * 32 + "b", '"' + "a " * 5_000 + 'b"']
)
def test_hostile_patterns_stay_linear(text):
    frame = pd.DataFrame({"body": pd.Series(["a" * 50_000, "a " * 25_000], dtype="str")})
    assert mask(parse(text), frame).tolist() == [False, False]


def test_text_from_outside_is_never_a_pattern():
    frame = pd.DataFrame({"body": pd.Series(["a.c(d", "abc(d"], dtype="str")})
    assert mask(parse('"a.c(d"'), frame).tolist() == [True, False]
    assert mask(parse(r"body:a.c\(?"), frame).tolist() == [True, False]


@settings(max_examples=150)
@given(nodes(), frames())
def test_twin(node, frame):
    texts = [c for c in frame.columns if c in ("body", "service", "text", "kindred")]
    rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in frame.to_dict("records")]
    want = [naive.search(node, row, texts) for row in rows]
    got = mask(node, frame)
    assert got.dtype == bool
    assert got.tolist() == want


@given(nodes(), frames())
def test_equalities_hold_for_every_match(node, frame):
    matching = frame[mask(node, frame)]
    for column, values in equalities(node).items():
        if column in frame.columns:
            assert set(matching[column]) <= set(values)
