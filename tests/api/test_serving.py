"""Who may ask, how numbers are spelled, how a server starts and stops."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench
from tests.sources.remote_write_schema import older
from workbench.api.guard import Guard, make_token
from workbench.api.numbers import plain, seconds, spelled
from workbench.errors import InvalidInput

T0 = 1_700_000_000_000
TOKEN = "a-token-of-enough-characters"


@given(st.floats())
def test_numbers_read_back_as_they_were(value: float) -> None:
    for text in (spelled([value])[0], plain(value)):
        assert float(text) == value or value != value
        assert text == "NaN" or "+Inf" in text or "-Inf" in text or "n" not in text.lower()
    assert "e" not in plain(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (-0.0, "-0"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-07"),
     (1.5e300, "1.5e+300"), (123456789.25, "123456789.25"), (5e-324, "5e-324"), (float("inf"), "+Inf")],
)  # fmt: skip
def test_numbers_are_spelled_as_prometheus_does(value: float, text: str) -> None:
    assert spelled([value]) == [text]


@given(st.integers(-(2**50), 2**50))
def test_instants_keep_every_millisecond(ms: int) -> None:
    assert Decimal(seconds(ms)) == Decimal(ms) / 1000


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "api.token"
    first = make_token(path)
    assert make_token(path) == first
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short\n")
    with pytest.raises(InvalidInput, match="no token of at least 16"):
        make_token(path)


@pytest.mark.parametrize("path", ["/api/v1/query?query=1", "/api/v1/write", "/-/ready", "/nothing"])
def test_without_the_token_nothing_is_answered(tmp_path: Path, path: str) -> None:
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=TOKEN) as serving:
        for told in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Basic x"}):
            answer = httpx.get(serving.url + path, headers=told)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(serving.url + "/api/v1/query", params={"query": "1"}, headers=good).status_code == 200
        assert TOKEN not in repr(serving)


def test_a_page_that_leads_here_by_its_own_name_is_turned_away(tmp_path: Path) -> None:
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"):
            assert httpx.get(serving.url + "/-/ready", headers={"Host": host}).status_code == 403
        port = serving.url.rpartition(":")[2]
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
            assert httpx.get(serving.url + "/-/ready", headers={"Host": host}).status_code == 200
    assert Guard(None, local=False).host_allowed("metrics.example")


def test_a_server_stops_and_its_port_is_free_again(tmp_path: Path) -> None:
    with workbench.open(tmp_path) as bench:
        serving = workbench.serve(bench, port=0, token=False)
        port = int(serving.url.rpartition(":")[2])
        with pytest.raises(InvalidInput, match=f"port {port} of 127.0.0.1 cannot be had"):
            workbench.serve(bench, port=port, token=False)
        serving.stop()
        assert "stopped" in repr(serving)
        workbench.serve(bench, port=port, token=False).stop()
        bench.metrics("up")  # the store is open still


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with workbench.open(tmp_path) as bench, pytest.raises(InvalidInput, match="at least 16"):
        workbench.serve(bench, port=0, token="short")


@pytest.mark.parametrize("size", [2**20 + 100, 5 * 2**20])
def test_a_form_that_is_too_large_is_refused(tmp_path: Path, size: int) -> None:
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        answer = httpx.post(serving.url + "/api/v1/query", data={"query": "1" * size})
        assert answer.status_code == 413
        many = "&".join(f"a{i}=1" for i in range(2000))
        assert httpx.get(f"{serving.url}/api/v1/query?{many}").status_code == 400


def test_many_ask_at_once(tmp_path: Path) -> None:
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        found: list[int] = []

        def ask() -> None:
            given = {"query": "vector(time())", "start": 0, "end": 1000, "step": 1}
            found.append(httpx.get(serving.url + "/api/v1/query_range", params=given, timeout=60).status_code)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 12


def test_idle_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        port = int(serving.url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        try:
            for one in idle:
                one.sendall(b"POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
            assert httpx.get(serving.url + "/api/v1/query", params={"query": "1"}, timeout=10).status_code == 200
        finally:
            for one in idle:
                one.close()


def test_bodies_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.api.application._BODIES_BYTES", 1000)
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        port = int(serving.url.rpartition(":")[2])
        url = f"{serving.url}/api/v1/query"
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 990\r\n\r\n" + b"x" * 900)
            time.sleep(0.5)
            assert httpx.post(url, data={"query": "1" + " " * 200}).status_code == 503
            assert httpx.get(url, params={"query": "1"}).status_code == 200
        time.sleep(0.5)
        assert httpx.post(url, data={"query": "1" + " " * 200}).status_code == 200


def test_writers_and_readers_at_once(tmp_path: Path) -> None:
    """Every answer is a prefix of what was written: all series of a request, or none."""
    with workbench.open(tmp_path) as bench, workbench.serve(bench, port=0, token=False) as serving:
        wrong: list[object] = []
        done = threading.Event()

        def write(writer: int) -> None:
            for i in range(10):
                at = T0 + 1000 * i
                rows = [
                    ([("__name__", "x"), ("writer", str(writer)), ("n", str(n))], [(at, float(i))]) for n in range(20)
                ]
                body = pa.Codec("snappy").compress(older(rows).SerializeToString(), asbytes=True)
                status = httpx.post(f"{serving.url}/api/v1/write", content=body, timeout=60).status_code
                if status != 204:
                    wrong.append(status)

        def ask() -> None:
            while not done.is_set():
                query = {"query": "count by (writer) (x)", "time": (T0 + 30_000) / 1000}
                answer = httpx.get(f"{serving.url}/api/v1/query", params=query, timeout=60)
                rows = answer.json()["data"]["result"] if answer.status_code == 200 else [answer.text]
                wrong.extend(row for row in rows if row["value"][1] != "20")

        writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        readers = [threading.Thread(target=ask) for _ in range(3)]
        for thread in writers + readers:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
        assert wrong == []
        assert len(bench.samples("x")) == 4 * 10 * 20


def test_the_command_serves_and_stops(tmp_path: Path) -> None:
    home = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "workbench.cli", "agent", "--port", "0", "--store", str(tmp_path / "store")]
    with subprocess.Popen(command, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        told = process.stdout.readline()
        token = (tmp_path / "data" / "workbench" / "api.token").read_text().strip()
        assert token not in told
        assert httpx.get(f"{url}/-/ready").status_code == 401
        assert httpx.get(f"{url}/-/ready", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read().strip() == "stopping"
        assert process.stderr is not None
        assert process.stderr.read() == ""
