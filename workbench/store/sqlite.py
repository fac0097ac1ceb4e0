"""The catalog as one SQLite database in the store's folder: WAL, synchronous=FULL, `BEGIN IMMEDIATE`."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import StoreError
from workbench.store import catalog
from workbench.store.catalog import Catalog, Transaction
from workbench.store.crash import reach
from workbench.store.place import CATALOG, FORMAT, SAME
from workbench.store.schema import statements, upgrade

__all__ = ["SqliteCatalog"]

_inherited: list[sqlite3.Connection] = []  # a child must never close what it inherited over a fork

_APPLICATION = 0x574B4231  # "WKB1"
_PAGE = 1024
_LOG = 4 * 2**20
"""The log is copied into the database when it is longer: a flipped bit in it hides whatever was written after."""

_BRIEF_MS = 100
_ROOMLESS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says when there is no room for the files it shares with other processes."""

_ALONE_S = 3.0
"""How long one tries to be alone with a database on a full disk."""

_WHOLE = 64 * 2**20
"""A larger database is not rewritten as a whole: nobody could write meanwhile."""


class SqliteCatalog(Catalog):
    """A catalog in the store's folder.

    Raises
    ------
    StoreError
        If the file is no catalog of this package, has a newer format, or is damaged.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        super().__init__(folder, read_only)
        self.path = folder / CATALOG
        self.where = f"catalog {self.path}"
        self._no_room: sqlite3.Error | None = None
        self._turn = -1
        with self._using():
            self._connection: sqlite3.Connection | None = self._connect()
            self._let_go()

    def _connect(self) -> sqlite3.Connection:
        """Connect, and on a full disk in a way that needs no file: then it is for one transaction only."""
        if self._no_room is not None:
            self._take_turn()
        self._no_room = None
        try:
            connection = self._connected()
        except sqlite3.OperationalError as error:
            if self.read_only or error.sqlite_errorcode & 0xFF not in _ROOMLESS:
                self._end_turn()
                raise
            try:
                self._take_turn()
                connection = self._patiently_alone(error)
            except BaseException:
                self._end_turn()
                raise
            self._no_room = error
            return connection
        except BaseException:
            self._end_turn()
            raise
        self._end_turn()
        return connection

    def _take_turn(self) -> None:
        """Wait for others that read on a full disk: each locks out all others, and SQLite knows no queue."""
        if self._turn < 0:
            self._turn = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._turn, fcntl.LOCK_EX)

    def _end_turn(self) -> None:
        if self._turn >= 0:
            os.close(self._turn)
            self._turn = -1

    def _patiently_alone(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Connect alone, or raise what was raised before; others who do the same remove a file under our feet."""
        until = time.monotonic() + _ALONE_S
        while True:
            try:
                return self._alone()
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise error from None
                time.sleep(random.uniform(0.005, 0.03))
            except sqlite3.Error:
                raise error from None

    def _alone(self) -> sqlite3.Connection:
        """Connect for reading with all others locked out: SQLite then shares no memory, which would need a file."""
        uri = f"{self.path.resolve().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=0.05, check_same_thread=False)  # `_patient` waits
        connection.isolation_level = None
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA query_only=ON")
            if self._check(connection) < SAME:
                raise sqlite3.OperationalError("the store has an older format")
        except BaseException:
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        """End a connection that locks others out."""
        if self._no_room is not None:
            self._disconnect()
        self._end_turn()

    def _connected(self) -> sqlite3.Connection:
        if self.read_only:
            # Without a log to replay the file cannot change under us; with one it must be read through it.
            wal = Path(f"{self.path}-wal")
            still = "" if wal.exists() and wal.stat().st_size else "&immutable=1"
            uri = f"{self.path.resolve().as_uri()}?mode=ro{still}"
            connection = sqlite3.connect(uri, uri=True, timeout=catalog.PATIENCE, check_same_thread=False)
        else:
            connection = sqlite3.connect(self.path, timeout=catalog.PATIENCE, check_same_thread=False)
        connection.isolation_level = None
        try:
            version = self._check(connection)
            if not self.read_only:
                _set_up(connection)
            elif version < SAME:
                old, connection = connection, _upgraded_copy(connection)
                old.close()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> int:
        tables = _patient(connection, "SELECT count(*) FROM sqlite_master")  # first: another may be making it now
        application = _patient(connection, "PRAGMA application_id")
        version = _patient(connection, "PRAGMA user_version")
        if application != _APPLICATION and (tables or application):
            raise StoreError(f"{self.path} is a database, but no catalog of a workbench store: choose another folder.")
        if application != _APPLICATION and self.read_only:
            raise StoreError(f"{self.path} is an empty catalog that cannot be written: choose another folder.")
        if version > FORMAT:
            raise StoreError(
                f"store {self.folder} has format {version}, this version reads up to {FORMAT}: update workbench."
            )
        return int(version)

    def _get(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _forked(self) -> None:
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection = None
        self._end_turn()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _explanation(self, error: Exception) -> str | None:
        if not isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):
            return None
        text = str(error)
        if "locked" in text or "busy" in text:
            hint = f"another process held the store for over {catalog.PATIENCE:.0f} s; try again or end that process"
        elif "full" in text:
            hint = "the disk is full; free some space"
        elif any(word in text for word in ("malformed", "not a database", "utf-8", "UTF-8")):
            hint = "the file is damaged; restore it from a copy"
        else:
            hint = "check the disk and the folder's permissions"
        return f"{self.where} cannot be used ({text}): {hint}."

    def _begin(self, write: bool) -> Transaction:
        connection = self._get()
        if write and self._no_room is not None:
            error = self._no_room
            self._let_go()
            raise error
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        return connection

    def _commit(self) -> None:
        self._get().execute("COMMIT")

    def _rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._let_go()

    @contextmanager
    def _unhurried(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for work that can as well be done another time: who is in the way ends it."""
        with self._using():
            connection = self._get()
            connection.execute(f"PRAGMA busy_timeout={_BRIEF_MS}")
            try:
                yield connection
            except sqlite3.OperationalError as error:
                if not any(word in str(error) for word in ("locked", "busy")):
                    raise
            finally:
                connection.execute(f"PRAGMA busy_timeout={catalog.PATIENCE * 1000:.0f}")
                self._let_go()

    def shrink(self) -> bool:
        """Give pages that sealing freed back to the disk, as far as nobody is in the way; return whether nobody was.

        The log is empty then: nothing in it that is damaged later can undo what was committed before.
        """
        with self._unhurried() as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would free one page only
            return _checkpoint(connection)

    def vacuum(self) -> None:
        """Rewrite the database without gaps when nobody is in the way, else only cut off its free pages.

        Others can read meanwhile; a writer waits for as long as it takes to write up to 64 MiB.
        """
        if self.read_only:
            raise StoreError(f"store {self.folder} is read-only: copy it to a writable folder to make it smaller.")
        reach("vacuum.started")
        with self._unhurried() as connection:
            # Without a reader's old snapshot the log can be emptied, before and after.
            if _checkpoint(connection) and self.path.stat().st_size <= _WHOLE:
                connection.execute("VACUUM")
                _checkpoint(connection)
        self.shrink()
        reach("vacuum.done")

    def bytes_on_disk(self) -> int:
        """Return the size of the database and its log."""
        return sum(p.stat().st_size for p in (self.path, Path(f"{self.path}-wal")) if p.exists())

    def integrity(self) -> list[str]:
        """Return a sentence for each damage SQLite finds in its pages and between tables and indexes."""
        with self._using():
            found = self._get().execute("PRAGMA integrity_check").fetchall()
        return [f"{self.where} is damaged: {text}." for (text,) in found if text != "ok"]


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Copy the log into the database and empty it; return whether that was possible."""
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def _patient(connection: sqlite3.Connection, statement: str) -> Any:
    """Run one statement that SQLite's own waiting does not cover (journal switch, recovery), waiting for others."""
    until = time.monotonic() + catalog.PATIENCE
    while True:
        try:
            row = connection.execute(statement).fetchone()
            return row[0] if row else 0
        except sqlite3.OperationalError as error:
            if time.monotonic() > until or not any(word in str(error) for word in ("locked", "busy")):
                raise
            time.sleep(random.uniform(0.005, 0.03))  # not in step with others that wait


def _set_up(connection: sqlite3.Connection) -> None:
    if _patient(connection, "PRAGMA page_count") == 0:
        connection.execute(f"PRAGMA page_size={_PAGE}")  # both count only before the first page is written
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _patient(connection, "PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG // _patient(connection, 'PRAGMA page_size')}")
    if _patient(connection, "PRAGMA user_version") != FORMAT:
        _bring_up(connection)


def _bring_up(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database, or those of an older format the newest, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]  # another process may have come first
        if version == 0:
            for statement in statements("sqlite"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
        elif version < SAME:
            upgrade(connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _upgraded_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a read-only connection to an upgraded copy of a catalog that must not be written."""
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        place = Path(folder) / CATALOG
        copy = sqlite3.connect(place, isolation_level=None)
        try:
            connection.backup(copy)
            _patient(copy, "PRAGMA journal_mode=DELETE")  # an immutable database may not have a log beside it
            _bring_up(copy)
        finally:
            copy.close()
        # Once it is open for good the folder may go.
        uri = f"{place.resolve().as_uri()}?mode=ro&immutable=1"
        upgraded = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        _patient(upgraded, "PRAGMA schema_version")
        return upgraded
