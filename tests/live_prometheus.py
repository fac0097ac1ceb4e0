"""Debian's Prometheus as a child process, for tests that hold it beside ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.benchmarks.serving import Server, free_port


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
