"""Who served what, who called whom, and where failures began."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.diagnose.scene import build_facts
from workbench.signals import build_spans

MS = 1_000_000
START = np.datetime64("2026-03-01T00:00:00", "ns")


def span(
    sid: str, parent: str, service: str, kind: str, begin_ms: float, length_ms: float, status: str = "ok", **more: Any
) -> dict[str, Any]:
    return {
        "time": START + np.timedelta64(int(begin_ms * MS), "ns"),
        "duration_ns": int(length_ms * MS),
        "trace_id": more.pop("trace", "t"),
        "span_id": sid,
        "parent_span_id": parent,
        "name": more.pop("name", f"{service} {kind}"),
        "kind": kind,
        "status": status,
        "service": service,
        "env": "test",
        **more,
    }


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    return build_spans({name: table[name].to_numpy() for name in table.columns})


def answered() -> list[dict[str, Any]]:
    """gateway 100 ms, of which cart 60 ms, of which redis 10 ms and an internal step of 20 ms."""
    return [
        span("1", "", "gateway", "server", 0, 100),
        span("2", "1", "gateway", "client", 10, 70, **{"server.address": "cart"}),
        span("3", "2", "cart", "server", 15, 60),
        span("4", "3", "cart", "internal", 20, 20),
        span("5", "3", "cart", "client", 50, 10, **{"db.system.name": "redis", "server.address": "redis"}),
    ]


def test_time_is_divided_without_remainder() -> None:
    facts = build_facts(frame(answered()))
    own = facts.served.set_index("service")["own_ns"] / MS
    assert own.to_dict() == {"gateway": 30.0, "cart": 50.0}
    waits = facts.calls.set_index("callee")["wait_ns"] / MS
    assert waits.to_dict() == {"cart": 10.0, "redis": 10.0}
    assert own.sum() + waits.sum() == 100.0
    assert facts.served["root"].tolist() == [True, False]


def test_a_failure_is_counted_once_where_it_began() -> None:
    rows = answered()
    for row in rows[:3]:
        row["status"] = "error"
    failures = build_facts(frame(rows)).failures
    assert failures[["service", "reach"]].to_dict("records") == [{"service": "cart", "reach": "own"}]


def test_an_unreachable_callee_is_blamed() -> None:
    seen = answered()
    lost = [
        span("1", "", "gateway", "server", 200, 20, "error", trace="u"),
        span(
            "2",
            "1",
            "gateway",
            "client",
            201,
            10,
            "error",
            trace="u",
            **{"server.address": "cart", "error.type": "ConnectionError"},
        ),
    ]
    failures = build_facts(frame(seen + lost)).failures
    assert failures[["service", "reporter", "reach"]].to_dict("records") == [
        {"service": "cart", "reporter": "gateway", "reach": "unreachable"}
    ]


def test_a_caller_that_gives_up_on_a_working_callee_is_blamed_itself() -> None:
    rows = answered()
    rows[1]["status"] = "error"
    failures = build_facts(frame(rows)).failures
    assert failures[["service", "reporter", "reach"]].to_dict("records") == [
        {"service": "gateway", "reporter": "gateway", "reach": "gave up"}
    ]


def test_a_database_that_refuses_connections_is_blamed_and_a_wrong_statement_is_not() -> None:
    refused, wrong = answered(), answered()
    for row in wrong:
        row["trace_id"] = "w"
    refused[4] |= {"status": "error", "exception.type": "redis.exceptions.ConnectionError"}
    wrong[4] |= {"status": "error", "exception.type": "psycopg.errors.UniqueViolation"}
    failures = build_facts(frame(refused + wrong)).failures
    assert sorted(failures["service"]) == ["cart", "redis"]


def test_a_refused_request_is_not_a_failure_of_the_system() -> None:
    rows = answered()
    rows[1] |= {"status": "error", "http.response.status_code": 409}
    assert build_facts(frame(rows)).failures.empty


def test_empty_and_broken_traces_are_survived() -> None:
    empty = build_spans({"time": np.empty(0, "datetime64[ns]")})
    facts = build_facts(empty)
    assert len(facts.served) == len(facts.calls) == len(facts.failures) == 0
    loop = frame(
        [
            span("1", "2", "a", "server", 0, 5, "error"),
            span("2", "1", "a", "client", 0, 5),
            span("3", "gone", "b", "server", 0, 5),
        ]
    )
    assert set(build_facts(loop).served["service"]) == {"a", "b"}


def test_a_callee_that_became_slow_is_blamed_for_being_given_up_on() -> None:
    rows = [row | {"trace_id": f"usual{i}"} for i in range(9) for row in answered()]
    slow = answered()
    slow[1] |= {"status": "error", "duration_ns": 2000 * MS, "error.type": "ReadTimeout"}
    slow[2] |= {"duration_ns": 2500 * MS}
    failures = build_facts(frame(rows + slow)).failures
    assert failures[["service", "reporter", "reach"]].to_dict("records") == [
        {"service": "cart", "reporter": "gateway", "reach": "too slow"}
    ]


def test_calls_know_the_request_they_were_made_for() -> None:
    facts = build_facts(frame(answered()))
    homes = dict(zip(facts.calls["callee"], facts.calls["home"], strict=True))
    rows = dict(zip(facts.served["service"], facts.served["row"], strict=True))
    assert homes == {"cart": rows["gateway"], "redis": rows["cart"]}
