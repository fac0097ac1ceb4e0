"""Debian's Prometheus and this API beside each other, over the same samples."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import workbench
from tests.benchmarks.serving import Server, free_port
from workbench.api import Serving


class Prometheus:
    """A live Prometheus on loopback."""

    def __init__(self, folder: Path, config: str = "", *flags: str, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder.parent / f"{folder.name}.yml"
        settings.write_text(config)
        self.port = free_port() if port is None else port
        share = "/usr/share/prometheus"
        command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=100y"]
        command += [f"--web.console.templates={share}/consoles", f"--web.console.libraries={share}/console_libraries"]
        self.folder = folder
        self._server = Server([*command, *flags], self.port, "/-/ready", folder.parent / f"{folder.name}.log")
        self.url = f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it without warning."""
        os.kill(self._server.pid, signal.SIGKILL)

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def debian() -> None:
    """Skip where Debian's Prometheus is not installed."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("Debian's prometheus is not installed")


@pytest.fixture(scope="module")
def real(debian: None, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus over the real block of the shared data."""
    folder = tmp_path_factory.mktemp("real") / "data"
    shutil.copytree(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot", folder)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    server = Prometheus(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ours(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """This API over the same block."""
    with workbench.open(tmp_path_factory.mktemp("ours")) as bench:
        bench.ingest(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot")
        with workbench.serve(bench, port=0, token=False) as serving:
            yield serving


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as made:
        yield made
