"""Calls, edges and nodes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput
from workbench.signals import build_spans
from workbench.traces import calls, entries, service_map

START = np.datetime64("2026-01-01", "ns")


def spans(*rows: dict[str, Any]) -> pd.DataFrame:
    """Spans of one trace; each row has id, up, kind, service, at and took (milliseconds), attributes."""
    extra = {k for row in rows for k in row} - {"id", "up", "kind", "service", "at", "took", "status", "trace"}
    return build_spans(
        {
            "time": START + np.array([int(row["at"] * 1e6) for row in rows], "timedelta64[ns]"),
            "duration_ns": [int(row["took"] * 1e6) for row in rows],
            "trace_id": [row.get("trace", "t") for row in rows],
            "span_id": [row["id"] for row in rows],
            "parent_span_id": [row.get("up", "") for row in rows],
            "kind": [row["kind"] for row in rows],
            "service": [row["service"] for row in rows],
            "status": [row.get("status", "unset") for row in rows],
            **{name: pd.Series([row.get(name) for row in rows], dtype="str") for name in sorted(extra)},
        }
    )


def edges(frame: pd.DataFrame) -> dict[tuple[str, str, str], tuple[int, int]]:
    table = service_map(frame).edges
    return {(row.caller, row.callee, row.connection): (row.calls, row.errors) for row in table.itertuples(index=False)}


GATEWAY = {"id": "a", "kind": "server", "service": "gateway", "at": 0, "took": 100}


def test_client_and_server_make_an_edge_with_both_latencies() -> None:
    frame = spans(
        GATEWAY,
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 10, "took": 50},
        {"id": "c", "up": "b", "kind": "server", "service": "cart", "at": 15, "took": 40, "status": "error"},
    )
    found = service_map(frame, seconds=10)
    edge = found.edges[found.edges["callee"] == "cart"].iloc[0]
    assert (edge.caller, edge.connection, edge.calls, edge.errors) == ("gateway", "", 1, 1)
    assert (edge.p50_ns, edge.server_p50_ns, edge.rate) == (50e6, 40e6, 0.1)
    assert edges(frame)[("user", "gateway", "virtual")] == (1, 0)


def test_internal_spans_are_walked_through_on_both_sides() -> None:
    frame = spans(
        GATEWAY,
        {"id": "i", "up": "a", "kind": "internal", "service": "gateway", "at": 5, "took": 80},
        {"id": "b", "up": "i", "kind": "client", "service": "gateway", "at": 10, "took": 50},
        {"id": "j", "up": "b", "kind": "internal", "service": "cart", "at": 12, "took": 46},
        {"id": "c", "up": "j", "kind": "server", "service": "cart", "at": 15, "took": 40},
    )
    assert edges(frame) == {("gateway", "cart", ""): (1, 0), ("user", "gateway", "virtual"): (1, 0)}
    assert calls(frame).set_index("callee").loc["cart", "duration_ns"] == 50e6


def test_databases_and_caches_become_nodes_named_by_system() -> None:
    frame = spans(
        GATEWAY,
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 1, "took": 2,
         "db.system.name": "postgresql", "server.address": "10.0.0.5"},
        {"id": "c", "up": "a", "kind": "client", "service": "gateway", "at": 5, "took": 3, "db.system": "redis"},
        {"id": "d", "up": "a", "kind": "client", "service": "gateway", "at": 9, "took": 3, "db.system": "mysql",
         "peer.service": "orders-db", "status": "error"},
    )  # fmt: skip
    found = edges(frame)
    assert found[("gateway", "postgresql", "database")] == (1, 0)
    assert found[("gateway", "redis", "database")] == (1, 0)
    assert found[("gateway", "orders-db", "database")] == (1, 1)
    nodes = service_map(frame).nodes.set_index("service")
    assert nodes["kind"].to_dict() == {
        "gateway": "service", "orders-db": "database", "postgresql": "database", "redis": "database", "user": "user",
    }  # fmt: skip
    assert nodes.loc["postgresql", "p50_ns"] == 2e6
    assert nodes.loc["orders-db", "errors"] == 1


def test_a_call_that_nobody_answered_still_points_to_the_service() -> None:
    answered = [
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 1, "took": 5, "url.full": "http://c:80/x"},
        {"id": "c", "up": "b", "kind": "server", "service": "cart", "at": 2, "took": 3},
    ]
    refused = {"id": "d", "up": "a", "kind": "client", "service": "gateway", "at": 9, "took": 1, "status": "error"}
    by_book = spans(GATEWAY, *answered, {**refused, "url.full": "http://c:80/y?z=1"})
    by_name = spans(GATEWAY, *answered, {**refused, "server.address": "cart.prod.svc", "server.port": "8080"})
    for frame in (by_book, by_name):
        assert edges(frame)[("gateway", "cart", "")] == (2, 1)
    elsewhere = spans(GATEWAY, *answered, {**refused, "url.full": "https://api.bank.example/pay"})
    assert edges(elsewhere)[("gateway", "api.bank.example", "virtual")] == (1, 1)


def test_an_address_that_leads_to_two_services_is_not_trusted() -> None:
    frame = spans(
        GATEWAY,
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 1, "took": 5, "server.address": "lb"},
        {"id": "c", "up": "b", "kind": "server", "service": "cart", "at": 2, "took": 3},
        {"id": "d", "up": "a", "kind": "client", "service": "gateway", "at": 6, "took": 5, "server.address": "lb"},
        {"id": "e", "up": "d", "kind": "server", "service": "stock", "at": 7, "took": 3},
        {"id": "f", "up": "a", "kind": "client", "service": "gateway", "at": 12, "took": 1, "server.address": "lb"},
    )
    assert edges(frame)[("gateway", "lb", "virtual")] == (1, 0)


def test_a_wrapping_client_span_is_not_a_second_call() -> None:
    frame = spans(
        GATEWAY,
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 1, "took": 9, "server.address": "cart"},
        {"id": "c", "up": "b", "kind": "client", "service": "gateway", "at": 2, "took": 7, "server.address": "cart"},
        {"id": "d", "up": "c", "kind": "server", "service": "cart", "at": 3, "took": 5},
    )
    assert edges(frame)[("gateway", "cart", "")] == (1, 0)
    assert calls(frame).set_index("callee").loc["cart", "duration_ns"] == 7e6


def test_messages_wait_between_sending_and_receiving() -> None:
    send = {"id": "b", "up": "a", "kind": "producer", "service": "gateway", "at": 10, "took": 2}
    receive = {"id": "c", "up": "b", "kind": "consumer", "service": "worker", "took": 30}
    late, early = spans(GATEWAY, send, {**receive, "at": 20}), spans(GATEWAY, send, {**receive, "at": 11})
    for frame, wait in ((late, 8e6), (early, 0)):
        found = calls(frame).set_index("callee").loc["worker"]
        assert (found["connection"], found["duration_ns"], found["server_ns"]) == ("messaging", wait, 30e6)


def test_unanswered_producer_and_lone_consumer_meet_at_the_broker() -> None:
    frame = spans(
        GATEWAY,
        {
            "id": "b",
            "up": "a",
            "kind": "producer",
            "service": "gateway",
            "at": 1,
            "took": 2,
            "messaging.system": "kafka",
        },
        {
            "id": "c",
            "kind": "consumer",
            "service": "worker",
            "at": 9,
            "took": 2,
            "messaging.system": "kafka",
            "trace": "u",
        },
    )
    found = edges(frame)
    assert found[("gateway", "kafka", "messaging")] == (1, 0)
    assert found[("kafka", "worker", "messaging")] == (1, 0)
    assert service_map(frame).nodes.set_index("service").loc["kafka", "kind"] == "messaging"


def test_a_server_whose_parent_is_missing_has_no_invented_caller() -> None:
    frame = spans({**GATEWAY, "up": "gone"})
    assert edges(frame) == {}
    assert entries(frame).tolist() == [True]


def test_graph_has_the_columns_as_attributes() -> None:
    frame = spans(
        GATEWAY,
        {"id": "b", "up": "a", "kind": "client", "service": "gateway", "at": 1, "took": 2, "db.system": "redis"},
    )
    found = service_map(frame)
    assert found.graph.edges["gateway", "redis"]["calls"] == 1
    assert found.graph.nodes["redis"]["kind"] == "database"
    assert (found.callees("gateway"), found.callers("gateway")) == (["redis"], ["user"])


def test_empty_spans_give_an_empty_map() -> None:
    found = service_map(spans())
    assert (len(found.edges), len(found.nodes), found.seconds) == (0, 0, 0.0)
    assert found.edges["calls"].dtype == np.int64
    assert len(found.graph) == 0
    with pytest.raises(InvalidInput, match="positive number of seconds"):
        service_map(spans(), seconds=0)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10),
            st.sampled_from(["internal", "server", "client", "producer", "consumer", "unspecified"]),
            st.sampled_from("abc"),
        ),
        max_size=20,
    )
)
def test_recorded_pairs_are_those_found_by_walking_up(rows: list[tuple[int, str, str]]) -> None:
    frame = spans(
        *(
            {"id": f"{i:02}", "up": f"{i - up:02}" if 0 < up <= i else "", "kind": kind, "service": service, "at": i,
             "took": 1}
            for i, (up, kind, service) in enumerate(rows)
        )
    )  # fmt: skip
    parent = frame["parent"].tolist()
    twin = naive.call_pairs(parent, frame["kind"].tolist(), frame["service"].tolist())
    found = calls(frame)
    paired = found[
        (found["server"] >= 0) & ~((found["client"] < 0) & (frame["parent"].to_numpy()[found["server"]] < 0))
    ]
    assert Counter(zip(paired["client"], paired["server"], strict=True)) == Counter(twin)


def test_nezha_traces_have_their_documented_services(shared_data: Path) -> None:
    path = sorted((shared_data / "traces" / "nezha" / "2022-08-22").glob("*_trace.csv.gz"))[0]
    raw = pd.read_csv(path)
    frame = build_spans(
        {
            "time": raw["StartTimeUnixNano"].to_numpy(np.int64),
            "duration_ns": (raw["EndTimeUnixNano"] - raw["StartTimeUnixNano"]).to_numpy(np.int64),
            "trace_id": raw["TraceID"],
            "span_id": raw["SpanID"],
            "parent_span_id": raw["ParentID"].replace("root", ""),
            "name": raw["OperationName"],
            "kind": ["unspecified"] * len(raw),
            "status": ["unset"] * len(raw),
            "service": raw["PodName"].str.rsplit("-", n=2).str[0],
        }
    )
    found = service_map(frame)
    assert ("frontend", "productcatalogservice") in set(zip(found.edges["caller"], found.edges["callee"], strict=True))
    assert set(found.nodes["kind"]) == {"service"}
