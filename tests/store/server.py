"""A real PostgreSQL server for tests: in a temporary folder, on a socket there, ended with the test session."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3].split(".")[0]))
    return found[-1].parent if found else None


class Server:
    """One server; `url()` names a schema of its own each time."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="wbpg-"))
        self.user: list[str] = []
        if os.getuid() == 0:  # the server refuses to run as root; it also ends when this process does
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            self.user = ["setpriv", *ids, "--pdeathsig=INT"]
        options = ["--no-sync", "--auth=trust", "--username=workbench", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._run("initdb", "-D", str(self.folder / "data"), *options)
        with (self.folder / "data" / "postgresql.conf").open("a") as stream:
            stream.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n")
            stream.write("max_connections = 60\nshared_buffers = 32MB\nmax_prepared_transactions = 0\n")
        self.start()

    def _run(self, name: str, *arguments: str) -> None:
        command = [*self.user, str(self.binaries / name), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def start(self) -> None:
        command = [*self.user, str(self.binaries / "postgres"), "-D", str(self.folder / "data")]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        log.close()
        until = time.monotonic() + 60
        ready = [str(self.binaries / "pg_isready"), "-q", "-h", str(self.folder), "-U", "workbench", "-d", "postgres"]
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.05)

    def stop(self, how: str = "fast") -> None:
        """End the server: `fast` breaks connections, `immediate` is as if it had crashed."""
        self._run("pg_ctl", "stop", "-w", "-D", str(self.folder / "data"), "-m", how)
        self.process.wait(60)

    def url(self, schema: str | None = None) -> str:
        name = schema or f"s_{uuid.uuid4().hex[:12]}"
        return f"postgresql://workbench@/postgres?host={self.folder}&schema={name}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def start() -> Server:
    """Return the server of this process, or skip the test where there can be none."""
    pytest.importorskip("psycopg", reason="the catalog on a server needs psycopg (extra `scale`)")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: Debian's package postgresql has it")
    server = Server(binaries)
    atexit.register(server.close)
    return server
