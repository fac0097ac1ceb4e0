"""Native histograms sent to a live Prometheus and to this API: both answer with the same JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest

import workbench
from tests.live_prometheus import Prometheus
from tests.sources.native_messages import add, observed
from tests.sources.remote_write_schema import CLASSES, newer
from workbench.api import Serving

NOW = int(time.time() * 1000) // 60_000 * 60_000 - 3_600_000
INSTANT = [
    "h1", "h4", "h0[10s]", '{__name__=~"h.|x"}', "x", "x[30s]", "histogram_count(h1)", "histogram_sum(h3)", "sum(h4)",
    "histogram_count(h1) + x",
]  # fmt: skip
RANGES = ["h0", "h5", "x", '{__name__=~"h.|x"}']


def body() -> bytes:
    """Return a request: six histograms of 200 samples, and a series that is a number first and a histogram then."""
    made = CLASSES["WriteRequest"]()
    for seed in range(6):
        series = made.timeseries.add()
        series.labels.add(name="__name__", value=f"h{seed}")
        for i, sample in enumerate(observed(seed, 200, whole=seed < 3)):
            add(series, NOW + 1000 * i, sample, whole=seed < 3)
    series = made.timeseries.add()
    series.labels.add(name="__name__", value="x")
    for i in range(90):
        series.samples.add(timestamp=NOW + 1000 * i, value=i / 8)
    for i, sample in enumerate(observed(9, 60, whole=True)):
        add(series, NOW + 1000 * (90 + i), sample, whole=True)
    return pa.Codec("snappy").compress(made.SerializeToString(), asbytes=True)


@pytest.fixture(scope="module")
def servers(debian: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Serving]]:
    flags = ["--enable-feature=native-histograms", "--web.enable-remote-write-receiver"]
    real = Prometheus(tmp_path_factory.mktemp("real") / "data", "", *flags)
    with workbench.open(tmp_path_factory.mktemp("ours")) as bench, workbench.serve(bench, port=0, token=False) as ours:
        for url in (real.url, ours.url):
            answer = httpx.post(f"{url}/api/v1/write", content=body(), timeout=60)
            assert answer.status_code == 204, answer.text
        bench.store.seal()
        yield real.url, ours
    real.stop()


def answers(servers: tuple[str, Serving], path: str, **asked: Any) -> tuple[Any, Any]:
    """Return what both say, the series of a vector by their names: Prometheus 2 leaves their order open."""
    found = []
    for url in (servers[0], servers[1].url):
        said = httpx.get(f"{url}/api/v1/{path}", params=asked, timeout=30).json()
        said["data"]["result"].sort(key=lambda row: str(row["metric"]))
        said.pop("infos", None)  # Prometheus 2 has none
        found.append(shortened(said))
    return found[0], found[1]


def shortened(said: Any) -> Any:
    """Return an answer with bounds of buckets to 14 digits: those of Prometheus are a table that is rounded otherwise."""
    if isinstance(said, dict):
        return {name: shortened(value) for name, value in said.items()}
    if isinstance(said, list):
        if len(said) == 4 and isinstance(said[0], int) and isinstance(said[1], str):
            return [said[0], *(f"{float(bound):.14g}" for bound in said[1:3]), said[3]]
        return [shortened(value) for value in said]
    return said


@pytest.mark.parametrize("expr", INSTANT)
@pytest.mark.parametrize("at", [NOW / 1000 + 60.5, NOW / 1000 + 120.5, NOW / 1000 + 300])
def test_an_instant(servers: tuple[str, Serving], expr: str, at: float) -> None:
    real, ours = answers(servers, "query", query=expr, time=at)
    assert ours == real


@pytest.mark.parametrize("expr", RANGES)
def test_a_range(servers: tuple[str, Serving], expr: str) -> None:
    real, ours = answers(servers, "query_range", query=expr, start=NOW / 1000 + 0.5, end=NOW / 1000 + 260.5, step=7)
    assert ours == real
    assert ours["data"]["result"]


def test_version_2_is_told_how_many(servers: tuple[str, Serving]) -> None:
    made = newer([([("__name__", "later")], [(NOW, 1.0)])])
    add(made.timeseries[0], NOW + 1, observed(0, 3, whole=True)[2], whole=True)
    headers = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
    packed = pa.Codec("snappy").compress(made.SerializeToString(), asbytes=True)
    answer = httpx.post(f"{servers[1].url}/api/v1/write", content=packed, headers=headers, timeout=60)
    assert answer.status_code == 204
    written = {what: answer.headers[f"X-Prometheus-Remote-Write-{what}-Written"] for what in ("Samples", "Histograms")}
    assert written == {"Samples": "1", "Histograms": "1"}
    names = httpx.get(f"{servers[1].url}/api/v1/labels", timeout=60).json()["data"]
    assert names == ["__name__"]


def test_the_label_of_parts_is_refused(servers: tuple[str, Serving]) -> None:
    made = newer([([("__name__", "later"), ("__histogram_part__", "h0")], [(NOW, 1.0)])])
    headers = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
    packed = pa.Codec("snappy").compress(made.SerializeToString(), asbytes=True)
    answer = httpx.post(f"{servers[1].url}/api/v1/write", content=packed, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert "kept for the store itself" in answer.json()["error"]
