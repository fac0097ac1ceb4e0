"""Starting, listening to and killing the processes under test."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import workbench

__all__ = ["ROOT", "Nursery", "Process"]

ROOT = Path(workbench.__file__).resolve().parents[1]


class Nursery:
    """A warm interpreter that forks the programs under test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._cache = tempfile.TemporaryDirectory(prefix="workbench-cache-")
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.faults.program", str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, **single, "XDG_CACHE_HOME": self._cache.name},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._socket = ours
        self._lock = threading.Lock()
        assert ours.recv(1 << 16) == b"{}", "the nursery did not start"

    def start(self, function: str, *arguments: Any, **environment: str) -> Process:
        """Fork a process that runs `tests.faults.<module>:<function>` and return it."""
        out, theirs = os.pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - the process object closes it
        text = [str(a) if isinstance(a, Path) else a for a in arguments]
        request = {"function": f"tests.faults.{function}", "arguments": text, "environment": environment}
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [theirs, errors.fileno()])
            pid = json.loads(self._socket.recv(1 << 16))["pid"]
        os.close(theirs)
        return Process(self, pid, out, errors)

    def run(self, function: str, *arguments: Any, **environment: str) -> list[str]:
        """Run a program to its end and return its lines; it must succeed."""
        process = self.start(function, *arguments, **environment)
        lines, status = process.finish()
        assert status == 0, process.errors()
        return lines

    def wait(self, pid: int) -> int:
        """Return the exit status of a process that is ending."""
        with self._lock:
            self._socket.send(json.dumps({"wait": pid}).encode())
            return int(json.loads(self._socket.recv(1 << 16))["status"])

    def close(self) -> None:
        """End the nursery, and with it whatever still runs."""
        self._socket.close()
        self._process.wait(timeout=60)
        self._cache.cleanup()


class Process:
    """One process under test; lines it has said are kept, also after it was killed."""

    def __init__(self, nursery: Nursery, pid: int, out: int, errors: Any) -> None:
        self.pid = pid
        self.lines: list[str] = []
        self.status: int | None = None
        self._text = ""
        self._nursery, self._out, self._errors, self._rest, self._open = nursery, out, errors, b"", True

    def _pump(self, seconds: float) -> bool:
        """Take what it has said; return False when nothing came in time."""
        if not self._open or not select.select([self._out], [], [], seconds)[0]:
            return False
        data = os.read(self._out, 1 << 16)
        if not data:
            os.close(self._out)
            self._open = False
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode() for line in whole]
        return True

    def until(self, word: str, count: int = 1, seconds: float = 120) -> None:
        """Wait until it has said `count` more lines that begin with `word`."""
        wanted = self.said(word) + count
        end = time.monotonic() + seconds
        while self.said(word) < wanted:
            came = self._pump(max(end - time.monotonic(), 0))
            assert self._open or self.said(word) >= wanted, f"it ended after {self.lines[-3:]}: {self.errors()}"
            assert came or time.monotonic() < end, f"no {word!r} within {seconds} s: {self.lines[-3:]}"

    def said(self, word: str) -> int:
        """Return how many lines so far begin with a word."""
        return sum(line.startswith(word) for line in self.lines)

    def kill(self) -> None:
        """Send SIGKILL and collect what it had said."""
        os.kill(self.pid, signal.SIGKILL)
        self.finish()

    def finish(self, seconds: float = 600) -> tuple[list[str], int]:
        """Wait for its end; return its lines and its exit status, negative for a signal."""
        end = time.monotonic() + seconds
        while self._open:
            if not self._pump(max(end - time.monotonic(), 0)):
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it did not end within {seconds} s: {self.lines[-3:]}")
        if self.status is None:
            self.status = self._nursery.wait(self.pid)
            self._text = self.errors()
            self._errors.close()
        return self.lines, self.status

    def errors(self) -> str:
        """Return what it wrote to standard error."""
        if self._errors.closed:
            return self._text
        self._errors.seek(0)
        return str(self._errors.read().decode(errors="replace"))[-4000:]
