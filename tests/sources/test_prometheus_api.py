"""A live Prometheus read over HTTP, both ways, in pages: the samples of its block, bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import workbench
from tests.live_prometheus import Prometheus
from tests.sources.test_tsdb import STALE, held
from workbench.errors import InvalidInput, SourceError
from workbench.signals import Matcher, check_samples
from workbench.signals.names import to_prometheus
from workbench.sources import read
from workbench.sources.prometheus_api import QUERIED
from workbench.sources.prometheus_client import parse_address
from workbench.sources.selector import parse_selector

START, END = np.datetime64("2026-11-23T09:04:13.460", "ns"), np.datetime64("2026-11-23T09:08:03.814", "ns")


def over_http(address: str, start: np.datetime64, end: np.datetime64, format: str | None = None):
    found, skips, pages = {}, {}, 0
    for _, batch in read(address, format=format, window=(start, end)):
        for reason, count in batch.skips.items():
            skips[reason] = skips.get(reason, 0) + count
        if batch.metrics is None:
            continue
        pages += 1
        check_samples(batch.metrics)
        samples = batch.metrics
        for i in range(len(samples)):
            row = samples.labels.iloc[i]
            labels = tuple(sorted((to_prometheus(str(name)), value) for name, value in row.items() if value))
            for j in range(samples.offsets[i], samples.offsets[i + 1]):
                key = (labels, int(samples.time[j].astype("datetime64[ms]").astype(np.int64)))
                assert key not in found
                found[key] = int(samples.value[j].view(np.uint64))
    return found, skips, pages


@pytest.fixture(scope="module")
def truth(shared_data: Path):
    return held(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot")[0]


def test_remote_read_gives_every_bit(real: Prometheus, truth) -> None:
    found, skips, _ = over_http(f"prometheus://127.0.0.1:{real.port}", START, END)
    assert found == truth
    assert not skips


def test_the_http_api_gives_all_but_stale_markers(real: Prometheus, truth) -> None:
    found, skips, _ = over_http(real.url + "?via=query", START, END, "prometheus-api")
    nan = {key for key, value in truth.items() if value != STALE and np.isnan(np.uint64(value).view(np.float64))}
    assert {k: v for k, v in found.items() if k not in nan} == {
        k: v for k, v in truth.items() if v != STALE and k not in nan
    }
    assert nan <= found.keys()  # JSON says only that they are NaN
    assert not skips


@pytest.mark.parametrize("via", ["read", "query"])
def test_pages_meet_without_gap_or_overlap(real: Prometheus, truth, via: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.sources.prometheus_api._FIRST_MS", 20_000)
    monkeypatch.setattr("workbench.sources.prometheus_api._MOST_MS", 20_000)
    address = f'prometheus://127.0.0.1:{real.port}?via={via}&match=up&match={{__name__=~"node_cpu.%2B",mode="idle"}}'
    start, end = START + np.timedelta64(31_354, "ms"), END - np.timedelta64(20_001, "ms")  # the first is of a sample
    found, _, pages = over_http(address, start, end)
    low, high = (int(t.astype("datetime64[ms]").astype(np.int64)) for t in (start, end))

    def asked(labels: dict[str, str]) -> bool:
        name = labels["__name__"]
        return name == "up" or (name.startswith("node_cpu_") and labels.get("mode") == "idle")

    kept = {key: value for key, value in truth.items() if via == "read" or value != STALE}
    expected = {key: value for key, value in kept.items() if low <= key[1] < high and asked(dict(key[0]))}
    assert found == expected
    assert pages > 10


def test_it_goes_into_the_store_once(real: Prometheus, truth, tmp_path: Path) -> None:
    address = f"prometheus://127.0.0.1:{real.port}?match=up"
    with workbench.open(tmp_path) as bench:
        first = bench.ingest(address, start=START, end=END)
        again = bench.ingest(address, start=START, end=END)
        count = sum(("__name__", "up") in labels for labels, _ in truth)
        assert first.counts["metrics"] == again.counts["metrics"] == count > 200
        assert len(bench.samples("up")) == count  # the same samples merge


class Pretends(BaseHTTPRequestHandler):
    """Answers every path with what `bodies` holds for it."""

    bodies: ClassVar[dict[str, tuple[int, bytes]]] = {}

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.bodies.get(self.path, (404, b"nothing"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def pretender() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pretends) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"prometheus://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


GOOD = b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},"values":[[1795424700.5,"1"]]}]}}'


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ({"/api/v1/read": (500, b"oh\nno")}, "refused /api/v1/read with 500: oh no"),
        ({"/api/v1/read": (200, b"junk")}, "not a snappy block"),
        ({"/api/v1/query": (200, b"<html>")}, "does not answer /api/v1/query as Prometheus does"),
        ({"/api/v1/query": (200, b'{"data":{"result":[{"metric":5}]}}')}, "no matrix of samples"),
        ({"/api/v1/query": (400, b'{"error":"bad thing"}')}, "with 400: bad thing"),
        ({"/api/v1/query": (503, b"busy")}, "with 503: busy"),
        ({"/api/v1/metadata": (200, b"[]"), "/api/v1/query": (401, b"who?")}, "with 401: who"),
    ],
)
def test_servers_that_answer_something_else(
    pretender: str, bodies: dict[str, tuple[int, bytes]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretends, "bodies", bodies)
    with pytest.raises(SourceError, match=message):
        over_http(pretender, START, END)


def test_a_server_without_remote_read_is_queried(pretender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pretends, "bodies", {"/api/v1/query": (200, GOOD)})
    found, skips, _ = over_http(pretender, START, END)
    assert len(found) == 1
    assert skips == {QUERIED: 1}


def test_kinds_are_those_of_the_families(pretender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = b'{"data":{"x_seconds":[{"type":"histogram"}],"y":[{"type":"counter"}],"up":[{"type":"gauge"}]}}'
    rows = ",".join(
        f'{{"metric":{{"__name__":"{name}"}},"values":[[1795424700.5,"1"]]}}'
        for name in ("x_seconds_bucket", "x_seconds_sum", "y_total", "up", "up_sum", "z")
    )
    answer = f'{{"data":{{"result":[{rows}]}}}}'.encode()
    monkeypatch.setattr(Pretends, "bodies", {"/api/v1/metadata": (200, known), "/api/v1/query": (200, answer)})
    (samples,) = [b.metrics for _, b in read(pretender, window=(START, END)) if b.metrics is not None]
    said = dict(zip(samples.labels["metric"], samples.kind, strict=True))
    assert said == {"x_seconds_bucket": "histogram", "x_seconds_sum": "histogram", "y_total": "counter", "up": "gauge",
                    "up_sum": "unknown", "z": "unknown"}  # fmt: skip


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="cannot be asked"):
        over_http("prometheus://127.0.0.1:1", START, END)


def test_a_window_without_a_start_is_refused() -> None:
    with pytest.raises(InvalidInput, match="give its start"):
        list(read("prometheus://127.0.0.1:1"))


@pytest.mark.parametrize(
    "address", ["prometheus://", "prometheus://h:x", "prometheus://u:secret@h?x=1", "prometheus://h?via=x"]
)
def test_addresses_that_are_not_understood(address: str) -> None:
    with pytest.raises(InvalidInput, match="is not understood") as caught:
        parse_address(address)
    assert "secret" not in str(caught.value)


def test_an_address_names_no_password() -> None:
    found = parse_address('prometheus+https://u:secret@h:1/prefix/?match=up&match[]=x{a="b"}')
    assert (found.url, found.login, found.selectors) == ("https://h:1/prefix", ("u", "secret"), ("up", 'x{a="b"}'))
    assert found.name == "h:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", [("metric", "=", "up")]),
        ('up{job="a", b!~"x.*",}', [("metric", "=", "up"), ("job", "=", "a"), ("b", "!~", "x.*")]),
        ('{"a.b", "c.d"=~`e`}', [("metric", "=", "a.b"), ("c.d", "=~", "e")]),
        (r'{__name__="a\"b\n"}', [("metric", "=", 'a"b\n')]),
    ],
)
def test_selectors(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert parse_selector(text) == [Matcher(*each) for each in expected]


@pytest.mark.parametrize("text", ["", "{}", "up{", "up{a}", 'up{a="b" c="d"}', "sum(up)", 'up{a=~"("}', "up[5m]"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(InvalidInput, match="not understood"):
        parse_selector(text)
