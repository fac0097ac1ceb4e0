"""A server of a peer as a child process: started on a free port, waited for, asked over HTTP, stopped."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Server:
    """A child process that answers HTTP; its CPU time is read by its process number, `pid`."""

    def __init__(self, command: list[str], port: int, ready: str, log: Path) -> None:
        self.port = port
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self.pid = self._process.pid
        for _ in range(600):
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", ready)[0] == 200:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{command[0]} did not start; the end of its log: {log.read_text()[-500:]}")

    def ask(self, method: str, path: str, body: bytes | None = None, **given: Any) -> tuple[int, bytes]:
        """Return status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path + ("?" + urlencode(given) if given else ""), body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the process in order and wait for it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def finite(value: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the values with 0 in place of those JSON cannot say, and a remark when there were any."""
    held = np.isfinite(value)
    if held.all():
        return value, []
    return np.where(held, value, 0.0), [f"{int((~held).sum()):,} non-finite values replaced by 0"]
