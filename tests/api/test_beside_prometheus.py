"""Requests as Grafana makes them, to a live Prometheus and to this API: the same JSON."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.live_prometheus import Prometheus
from workbench.api import Serving

END = 1795424883.111
"""Off the steps of the scrapes, because Prometheus 2 has ranges closed at both ends."""

INSTANT = [
    "up",
    'node_cpu_seconds_total{mode="idle"}',
    "node_load1 / node_load5",
    "rate(node_cpu_seconds_total[1m])",
    "sum by (mode) (increase(node_cpu_seconds_total[1m]))",
    "topk(3, prometheus_http_requests_total)",
    "sort_desc(node_memory_MemTotal_bytes - node_memory_MemFree_bytes)",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[2m])))",
    "node_memory_MemTotal_bytes[10s]",
    "scalar(node_load1)",
    "1e30", "vector(1e30)", "vector(1e-7)", "vector(-0)", "vector(NaN)", "-Inf", "vector(1e21)", "vector(123456789.25)",
    '"a <b> & c"',
    'label_replace(up, "x", "a<&>\\"b", "", "")',
    "absent(nothing_of_this_name)",
    "nothing_of_this_name",
    "count({__name__=~'node_.+'})",
    "max_over_time(go_goroutines[1m:5s])",
]  # fmt: skip

RANGES = [
    "up",
    "increase(prometheus_http_requests_total[1m]) > 30",
    "sum by (job) (rate(process_cpu_seconds_total[1m]))",
    "max_over_time(node_load1[30s])",
    "histogram_quantile(0.5, rate(prometheus_http_request_duration_seconds_bucket[1m]))",
    "node_network_receive_bytes_total offset 30s",
    "1 + 2",
    "time()",
    "count by (job) (scrape_samples_scraped > 100)",
    "go_memstats_alloc_bytes",
]

COMPUTED = [
    "rate(node_network_transmit_bytes_total[1m])",
    "avg_over_time(node_load1[30s])",
    "stddev_over_time(node_load5[1m])",
    "sum(rate(node_cpu_seconds_total[1m]))",
]
"""Of which the order of additions, another in Prometheus 3 than in 2, may change the last digits."""

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("query", {"query": "", "time": 1}),
    ("query", {"query": "up", "time": "zz"}),
    ("query_range", {"query": "up", "start": "abc", "end": 1, "step": 1}),
    ("query_range", {"query": "up", "start": 5, "end": 1, "step": 1}),
    ("query_range", {"query": "up", "start": 5, "end": 6, "step": 0}),
    ("query_range", {"query": "up", "start": 5, "end": 6, "step": "x"}),
    ("query_range", {"query": "up", "start": 5, "end": 50_000, "step": "1s"}),
    ("query_range", {"query": "up[1m]", "start": 5, "end": 6, "step": 1}),
    ("query_range", {"query": '"text"', "start": 5, "end": 6, "step": 1}),
    ("series", {}),
    ("label/jo-b/values", {}),
]


def both(client: httpx.Client, real: Prometheus, ours: Serving, path: str, given: Any, **how: Any) -> list[Any]:
    found = []
    for url in (real.url, ours.url):
        method = how.get("method", "GET")
        carried = {"data": given} if method == "POST" else {"params": given}
        answer = client.request(method, f"{url}/api/v1/{path}", **carried)
        assert answer.headers["content-type"].split(";")[0] == "application/json"
        found.append((answer.status_code, answer.json()))
    return found


def sorted_vector(answer: tuple[int, Any]) -> tuple[int, Any]:
    """Prometheus promises no order of instant vectors."""
    data = answer[1]["data"]
    if data["resultType"] == "vector":
        data["result"].sort(key=lambda row: sorted(row["metric"].items()))
    return answer


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("query", INSTANT)
def test_instant_queries(client: httpx.Client, real: Prometheus, ours: Serving, query: str, method: str) -> None:
    theirs, own = both(client, real, ours, "query", {"query": query, "time": END}, method=method)
    assert sorted_vector(own) == sorted_vector(theirs)
    assert own[0] == 200


@pytest.mark.parametrize("query", RANGES)
def test_range_queries(client: httpx.Client, real: Prometheus, ours: Serving, query: str) -> None:
    given = {"query": query, "start": END - 200, "end": END, "step": "7s"}
    theirs, own = both(client, real, ours, "query_range", given, method="POST")
    assert own == theirs
    assert own[1]["data"]["result"]


@pytest.mark.parametrize("query", COMPUTED)
def test_range_queries_up_to_the_last_digits(client: httpx.Client, real: Prometheus, ours: Serving, query: str) -> None:
    given = {"query": query, "start": END - 200, "end": END, "step": "7s"}
    theirs, own = ({_key(row): row["values"] for row in answer[1]["data"]["result"]} for answer in both(
        client, real, ours, "query_range", given))  # fmt: skip
    assert list(own) == list(theirs) != []
    for labels, values in own.items():
        assert [time for time, _ in values] == [time for time, _ in theirs[labels]]
        expected = [float(text) for _, text in theirs[labels]]
        assert [float(text) for _, text in values] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def _key(row: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(row["metric"].items()))


@pytest.mark.parametrize("query", ["topk(3, node_cpu_seconds_total)", "sort(go_goroutines)", "sort_desc(up)"])
def test_an_order_that_is_part_of_the_answer_is_kept(
    client: httpx.Client, real: Prometheus, ours: Serving, query: str
) -> None:
    theirs, own = both(client, real, ours, "query", {"query": query, "time": END})
    values = [[row["value"][1] for row in answer[1]["data"]["result"]] for answer in (theirs, own)]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("series", {"match[]": "up"}),
        ("series", {"match[]": ["up", 'node_cpu_seconds_total{mode=~"idle|user"}'], "start": END - 300, "end": END}),
        ("series", {"match[]": "nothing"}),
        ("labels", {}),
        ("labels", {"start": END - 300, "end": END}),
        ("labels", {"match[]": "up"}),
        ("label/job/values", {}),
        ("label/__name__/values", {}),
        ("label/mode/values", {"match[]": 'node_cpu_seconds_total{cpu="0"}', "start": END - 300, "end": END}),
        ("label/nothing/values", {}),
        ("rules", {}),
        ("query_exemplars", {"query": "up", "start": 1, "end": 2}),
        ("metadata", {}),
    ],
)
def test_what_there_is(client: httpx.Client, real: Prometheus, ours: Serving, path: str, given: Any) -> None:
    theirs, own = both(client, real, ours, path, given)
    assert own == theirs


@pytest.mark.parametrize(("path", "given"), REFUSED)
def test_what_is_refused(client: httpx.Client, real: Prometheus, ours: Serving, path: str, given: Any) -> None:
    theirs, own = both(client, real, ours, path, given)
    assert own == theirs
    assert own[0] == 400


@pytest.mark.parametrize("query", ["up{", "sum(up", "up +", "rate(up)", "{}", "up offset", "foo bar"])
def test_broken_queries_are_refused_alike_but_for_the_words(
    client: httpx.Client, real: Prometheus, ours: Serving, query: str
) -> None:
    theirs, own = both(client, real, ours, "query", {"query": query, "time": 5})
    assert own[0] == theirs[0] == 400
    assert own[1]["errorType"] == theirs[1]["errorType"] == "bad_data"
    assert own[1]["error"].startswith('invalid parameter "query": 1:')


def test_what_fails_while_it_is_evaluated_is_422(client: httpx.Client, real: Prometheus, ours: Serving) -> None:
    theirs, own = both(client, real, ours, "query", {"query": "up + on() up", "time": END})
    assert own[0] == theirs[0] == 422
    assert own[1]["errorType"] == theirs[1]["errorType"] == "execution"


def test_build_information_has_the_same_names(client: httpx.Client, real: Prometheus, ours: Serving) -> None:
    theirs, own = both(client, real, ours, "status/buildinfo", {})
    assert set(theirs[1]["data"]) <= set(own[1]["data"])
