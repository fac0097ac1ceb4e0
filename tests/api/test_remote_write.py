"""Remote write: a live Prometheus sends its samples, and each is there once and equal; what is wrong is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

import workbench
from tests.benchmarks.serving import free_port
from tests.live_prometheus import Prometheus
from tests.sources.remote_write_schema import newer, older
from workbench.api import Serving
from workbench.session import Bench

OLDER = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
NEWER = OLDER | {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
T0 = 1_700_000_000_000
TOKEN = "a-token-of-enough-characters"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with workbench.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def serving(bench: Bench) -> Iterator[Serving]:
    with workbench.serve(bench, port=0, token=TOKEN) as running:
        yield running


def post(serving: Serving, plain: bytes, headers: dict[str, str], *, packed: bool = True) -> httpx.Response:
    body = pa.Codec("snappy").compress(plain, asbytes=True) if packed else plain
    told = {**headers, "Authorization": f"Bearer {TOKEN}"}
    return httpx.post(f"{serving.url}/api/v1/write", content=body, headers=told, timeout=30)


def test_both_versions_are_stored(serving: Serving, bench: Bench) -> None:
    first = older([([("__name__", "up"), ("job", "a")], [(T0, 1.0), (T0 + 5, float("nan"))])])
    second = newer([([("__name__", "x_seconds_total"), ("job", "b")], [(T0, 2.5)])], kind=1, unit="s")
    answers = [
        post(serving, first.SerializeToString(), OLDER),
        post(serving, first.SerializeToString(), OLDER),  # sent again: the same samples
        post(serving, second.SerializeToString(), NEWER),
    ]
    assert [answer.status_code for answer in answers] == [204, 204, 204]
    assert answers[2].headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"
    assert "X-Prometheus-Remote-Write-Samples-Written" not in answers[0].headers
    assert bench.samples("up")["value"].tolist() == pytest.approx([1.0, float("nan")], nan_ok=True)
    assert bench.samples("x_seconds_total")["value"].tolist() == [2.5]
    assert bench.store.series().set_index("metric").loc["x_seconds_total", ["kind", "unit"]].tolist() == [
        "counter",
        "s",
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not snappy", OLDER, 400),
        (b"\xff\xff\xff\xff\x07" + b"x" * 50, OLDER, 400),
        (pa.Codec("snappy").compress(bytes(30 * 2**20), asbytes=True), OLDER, 413),
        (bytes(21 * 2**20), OLDER, 413),
        (pa.Codec("snappy").compress(b"\x0a\xff", asbytes=True), OLDER, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"x", OLDER | {"Content-Encoding": "gzip"}, 415),
        (b"x", OLDER | {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, 415),
    ],
)
def test_what_is_no_request_is_refused(
    serving: Serving, bench: Bench, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(serving, body, headers, packed=False)
    assert answer.status_code == status
    assert answer.json()["status"] == "error"
    assert bench.store.extent() is None


def test_of_a_request_that_is_partly_wrong_the_rest_is_stored(serving: Serving, bench: Bench) -> None:
    request = older([([("job", "x")], [(T0, 1.0)]), ([("__name__", "good")], [(T0, 3.0), (-5, 1.0)])])
    answer = post(serving, request.SerializeToString(), OLDER)
    assert answer.status_code == 400
    assert "1 samples were stored, not all" in answer.json()["error"]
    assert "1 x sample outside 1970-2261" in answer.json()["error"]
    assert bench.samples("good")["value"].tolist() == [3.0]
    assert sum(serving.skips.values()) == 2


def test_a_live_prometheus_writes_every_sample_once(
    debian: None, serving: Serving, bench: Bench, tmp_path: Path
) -> None:
    config = {
        "global": {"scrape_interval": "500ms"},
        "scrape_configs": [{"job_name": "self", "static_configs": [{"targets": ["PORT"]}]}],
        "remote_write": [
            {
                "url": f"{serving.url}/api/v1/write",
                "authorization": {"credentials": TOKEN},
                "queue_config": {"batch_send_deadline": "200ms", "max_samples_per_send": 300},
                "metadata_config": {"send": True, "send_interval": "1s"},
            }
        ],
    }
    text = json.dumps(config)  # JSON is YAML
    port = free_port()
    told = text.replace("PORT", f"127.0.0.1:{port}")
    server = Prometheus(tmp_path / "data", told, port=port)
    try:
        rows: list[Any] = []
        wait = time.monotonic() + 40
        while time.monotonic() < wait and sum(len(row["values"]) for row in rows) < 2000:
            time.sleep(1)
            end = time.time() - 1.5
            asked = {"query": '{__name__=~".+"}[1h]', "time": end}
            rows = httpx.get(f"{server.url}/api/v1/query", params=asked).json()["data"]["result"]
        while time.monotonic() < wait:
            extent = bench.store.extent()
            if extent is not None and extent[1] > np.datetime64(int((end + 0.6) * 1000), "ms"):
                break
            time.sleep(0.2)
    finally:
        server.stop()
    truth = {
        (tuple(sorted(row["metric"].items())), round(stamp * 1000)): float(value)
        for row in rows
        for stamp, value in row["values"]
    }
    assert len(truth) > 1000
    frame = bench.samples('{__name__=~".+"}', end=np.datetime64(int(end * 1000) + 1, "ms"))
    labels = [name for name in frame.columns if name not in ("time", "value")]
    found: dict[object, float] = {}
    for row in frame.to_dict("records"):
        own = {("__name__" if name == "metric" else name): row[name] for name in labels if row[name]}
        key = (tuple(sorted(own.items())), int(row["time"].value // 10**6))
        assert key not in found
        found[key] = row["value"]
    assert {key: value for key, value in found.items() if key in truth} == pytest.approx(
        truth, rel=0, abs=0, nan_ok=True
    )
    stale = {key for key, value in found.items() if np.isnan(value)}
    assert found.keys() - truth.keys() - stale == set()
