"""The database and the cache of the shop: real PostgreSQL and Redis in a temporary folder."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg

from datasets.shop.priority import prefer_session

SCHEMA = """
CREATE UNLOGGED TABLE products AS
  SELECT n AS id, 'SKU-' || lpad(n::text, 5, '0') AS sku, n % 40 AS category, 'Article ' || n AS title,
         (900 + (n * 7919) % 90000) AS price_cents, (n * 104729) % 100003 AS popularity,
         repeat(md5(n::text), 6) AS description
  FROM generate_series(1, 20000) AS n;
ALTER TABLE products ADD PRIMARY KEY (id);
CREATE INDEX products_category ON products (category, popularity DESC);
CREATE UNLOGGED TABLE reviews AS
  SELECT n AS id, 1 + (n * 48271::bigint) % 20000 AS product_id, 1 + n % 5 AS rating, repeat(md5(n::text), 4) AS body
  FROM generate_series(1, {reviews}) AS n;
CREATE INDEX reviews_product ON reviews (product_id);
CREATE UNLOGGED TABLE stock_lots AS
  SELECT n AS id, 'SKU-' || lpad((1 + (n * 48271::bigint) % 20000)::text, 5, '0') AS sku, n % 9 AS warehouse,
         10 + n % 90 AS quantity, repeat(md5(n::text), 4) AS note
  FROM generate_series(1, {lots}) AS n;
CREATE INDEX stock_lots_sku ON stock_lots (sku);
CREATE UNLOGGED TABLE reservations (order_id text, sku text, quantity int, confirmed bool DEFAULT false);
CREATE INDEX reservations_order ON reservations (order_id);
CREATE UNLOGGED TABLE ledger (id bigserial PRIMARY KEY, order_id text, cents bigint, currency text);
CREATE UNLOGGED TABLE orders (id text PRIMARY KEY, shopper text, euro_cents bigint, currency text);
CREATE UNLOGGED TABLE order_lines (order_id text, sku text, quantity int);
"""
ROWS = {"reviews": 1_200_000, "lots": 1_200_000}


class BackingUnavailableError(RuntimeError):
    """PostgreSQL or Redis is not installed or does not start."""


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_programs() -> tuple[str, str]:
    """Paths of PostgreSQL's program folder and of redis-server.

    Raises
    ------
    BackingUnavailableError
        One of them is not installed.
    """
    candidates = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.get_exec_path()]
    postgres = next((folder for folder in candidates if os.access(f"{folder}/initdb", os.X_OK)), None)
    redis_server = shutil.which("redis-server")
    if postgres is None:
        raise BackingUnavailableError("the shop needs PostgreSQL: initdb was not found, install the postgresql package")
    if redis_server is None:
        raise BackingUnavailableError("the shop needs Redis: redis-server was not found, install the redis package")
    return postgres, redis_server


def stop_group(process: subprocess.Popen[bytes], polite: signal.Signals, patience_s: float = 5.0) -> None:
    """End a process and everything it started; politely first."""
    if process.poll() is None:
        process.send_signal(polite)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Postgres:
    """One PostgreSQL server with the shop's tables."""

    def __init__(self, programs: str, folder: Path) -> None:
        self._programs = programs
        self._folder = folder / "postgresql"
        # PostgreSQL refuses to run as root, so root hands it to the account the package created.
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        self.dsn = f"host=postgresql hostaddr=127.0.0.1 port={self.port} user=shop dbname=shop"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Create the cluster, start the server and load the tables."""
        self._folder.mkdir()
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        data = str(self._folder / "data")
        self._run(["initdb", "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
        options = {
            "unix_socket_directories": str(self._folder),
            "listen_addresses": "127.0.0.1",
            "fsync": "off",
            "jit": "off",
            "autovacuum": "off",
            "max_parallel_workers_per_gather": "0",
            "shared_buffers": "512MB",
            "max_connections": "100",
        }
        arguments = [f"{self._programs}/postgres", "-D", data, "-p", str(self.port)]
        for name, value in options.items():
            arguments += ["-c", f"{name}={value}"]
        with (self._folder.parent / "postgresql.log").open("wb") as log:
            self._process = subprocess.Popen(
                arguments, user=self._user, cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        prefer_session(self._process.pid)
        self._await_ready()
        self._load()

    def _run(self, arguments: list[str]) -> None:
        done = subprocess.run(
            [f"{self._programs}/{arguments[0]}", *arguments[1:]], user=self._user, cwd="/", capture_output=True
        )
        if done.returncode:
            raise BackingUnavailableError(f"{arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn.replace("dbname=shop", "dbname=postgres")).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                    raise BackingUnavailableError(f"PostgreSQL does not start: {error}") from error
                time.sleep(0.2)

    def _load(self) -> None:
        admin = self.dsn.replace("dbname=shop", "dbname=postgres")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        self.execute(SCHEMA.format(**ROWS))
        self.execute("VACUUM ANALYZE")

    def execute(self, statement: str) -> None:
        """Run one statement as the operator of the database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            stop_group(self._process, signal.SIGINT)


class Redis:
    """One Redis server that keeps nothing on disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        arguments = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        prefer_session(self._process.pid)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BackingUnavailableError(f"Redis does not start: {error}") from error
                time.sleep(0.1)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            stop_group(self._process, signal.SIGTERM)
