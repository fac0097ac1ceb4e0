"""The catalog: one SQLite database that says what the store holds, shared by any number of processes.

Every change is one `BEGIN IMMEDIATE` transaction, durable when it returns (WAL, synchronous=FULL). Readers take one
short snapshot and let go; they never block a writer, nor a writer them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import StoreError, WorkbenchError
from workbench.store.place import CATALOG, FORMAT

__all__ = ["Catalog", "next_seq"]

_inherited: list[sqlite3.Connection] = []  # a child must never close what it inherited over a fork

_APPLICATION = 0x574B4231  # "WKB1"
_PATIENCE = 60.0

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, labels TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL,
    crc32 INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS postings (
    pair INTEGER NOT NULL, first INTEGER NOT NULL, series BLOB NOT NULL, crc32 INTEGER NOT NULL,
    PRIMARY KEY (pair, first)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS postings_by_first ON postings (first);
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, tier TEXT NOT NULL, seq_min INTEGER NOT NULL,
    seq_max INTEGER NOT NULL, t_min INTEGER NOT NULL, t_max INTEGER NOT NULL, series_min INTEGER, series_max INTEGER,
    rows INTEGER NOT NULL, bytes INTEGER NOT NULL, replaces TEXT NOT NULL DEFAULT '[]', made INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, retired INTEGER);
CREATE TABLE IF NOT EXISTS files (
    segment INTEGER NOT NULL, role TEXT NOT NULL, path TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, PRIMARY KEY (segment, role)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hot (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, seq INTEGER NOT NULL, t_min INTEGER NOT NULL,
    t_max INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS hot_by_signal ON hot (signal, id, seq, t_min, t_max, rows, bytes);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('seq', 0), ('series_changed', 0), ('sealing_until', 0);
"""


class Catalog:
    """One connection per process to a store's catalog; threads take turns.

    Parameters
    ----------
    folder : Path
        The store's folder; it must exist.
    read_only : bool
        Never write, not even the database's own side files.

    Raises
    ------
    StoreError
        If the file is no catalog of this package, has a newer format, or is damaged.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.path = folder / CATALOG
        self.read_only = read_only
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = self._connect()

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            if self.read_only:
                # Without a log to replay the file cannot change under us; with one it must be read through it.
                wal = Path(f"{self.path}-wal")
                still = "" if wal.exists() and wal.stat().st_size else "&immutable=1"
                uri = f"{self.path.resolve().as_uri()}?mode=ro{still}"
                connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, check_same_thread=False)
            else:
                connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
            connection.isolation_level = None
            try:
                self._check(connection)
                if not self.read_only:
                    _set_up(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        application = _patient(connection, "PRAGMA application_id")
        version = _patient(connection, "PRAGMA user_version")
        tables = _patient(connection, "SELECT count(*) FROM sqlite_master")
        if application != _APPLICATION and (tables or application):
            raise StoreError(f"{self.path} is a database, but no catalog of a workbench store: choose another folder.")
        if application != _APPLICATION and self.read_only:
            raise StoreError(f"{self.path} is an empty catalog that cannot be written: choose another folder.")
        if version > FORMAT:
            raise StoreError(
                f"store {self.path.parent} has format {version}, this version reads up to {FORMAT}: update workbench."
            )

    def _get(self) -> sqlite3.Connection:
        if self._pid != os.getpid():  # after a fork the parent's connection must not be touched
            if self._connection is not None:
                _inherited.append(self._connection)
            self._lock = threading.RLock()
            self._pid, self._connection = os.getpid(), self._connect()
        if self._connection is None:
            raise StoreError(f"store {self.path.parent} has been closed: open it again.")
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite raises into one sentence."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                hint = f"another process held the store for over {_PATIENCE:.0f} s; try again or end that process"
            elif "full" in text:
                hint = "the disk is full; free some space"
            elif any(word in text for word in ("malformed", "not a database", "utf-8", "UTF-8")):
                hint = "the file is damaged; restore it from a copy"
            else:
                hint = "check the disk and the folder's permissions"
            raise StoreError(f"catalog {self.path} cannot be used ({text}): {hint}.") from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give one consistent snapshot; keep it short.

        Raises
        ------
        StoreError
            If the database is damaged: also where a flipped bit gave a value another type, which SQLite lets pass.
        """
        with self._lock, self._explained():
            connection = self._get()
            connection.execute("BEGIN")
            try:
                yield connection
            except (TypeError, ValueError, LookupError, OverflowError) as error:
                if isinstance(error, WorkbenchError):
                    raise
                raise StoreError(
                    f"catalog {self.path} holds a row that makes no sense ({error}): restore it."
                ) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction that is durable when the block ends, and undone when it raises."""
        if self.read_only:
            raise StoreError(f"store {self.path.parent} is read-only: copy it to a writable folder to add data.")
        with self._lock, self._explained():
            connection = self._get()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the database; later use raises `StoreError`."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def shrink(self) -> None:
        """Give pages that sealing freed back to the disk, as far as nobody is in the way."""
        with self._lock, self._explained():
            connection = self._get()
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would free one page only
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def bytes_on_disk(self) -> int:
        """Return the size of the database and its log."""
        return sum(p.stat().st_size for p in (self.path, Path(f"{self.path}-wal")) if p.exists())


def next_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the write now under way: every later commit has a larger one."""
    row = connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'seq' RETURNING value").fetchone()
    return int(row[0])


def _patient(connection: sqlite3.Connection, statement: str) -> Any:
    """Run one statement that SQLite's own waiting does not cover (journal switch, recovery), waiting for others."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            row = connection.execute(statement).fetchone()
            return row[0] if row else 0
        except sqlite3.OperationalError as error:
            if time.monotonic() > until or not any(word in str(error) for word in ("locked", "busy")):
                raise
            time.sleep(0.02)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts only before the first page is written
    _patient(connection, "PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if _patient(connection, "PRAGMA user_version") == FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
