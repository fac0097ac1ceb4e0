"""The catalog as a schema of a PostgreSQL database, for stores that several machines share.

The folder holds `catalog.json` instead of the catalog: the server's URL without a password, and the number of the
store, which the schema must have too. Passwords come from where every PostgreSQL client takes them: `PGPASSWORD`, a
password file or a service.

Writers queue for one advisory lock (held by the transaction, so whoever dies lets go of it), readers take a REPEATABLE
READ snapshot. When the connection is lost while a change is committed, the server is asked what became of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import StoreError
from workbench.store import catalog
from workbench.store.catalog import Catalog, Transaction
from workbench.store.crash import reach
from workbench.store.dialect import adapt, translated
from workbench.store.place import FORMAT, REFERENCE
from workbench.store.reference import Server, load, remember
from workbench.store.schema import statements

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

__all__ = ["PostgresCatalog"]

_inherited: list[Any] = []  # a child must never close what it inherited over a fork

_SESSION = """
SET client_encoding = 'UTF8'; SET search_path = {schema}; SET synchronous_commit = on; SET lock_timeout = '{wait}s';
SET standard_conforming_strings = on; SET client_min_messages = warning; SET statement_timeout = 0;
SET default_transaction_read_only = {read_only}
"""
_STALLED = "300s"
"""A writer that is silent for so long inside a transaction (its machine is gone) loses it, and with it the lock."""

_WHOLE = 64 * 2**20
"""A larger table is not rewritten as a whole: nobody could read it meanwhile."""

_STATES = {
    "55P03": "another process held the store for over {wait:.0f} s; try again or end that process",
    "53100": "the server's disk is full; free some space there",
    "42501": "grant the role the rights it lacks",
    "25006": "the server takes no changes now; name the one that does",
    "42P01": "a table is missing; restore the schema from a copy",
    "XX001": "the server's data are damaged; restore them from a copy",
    "XX002": "the server's data are damaged; restore them from a copy",
}


class _Transaction:
    """A connection that takes the catalog's portable statements."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor[Any]:
        """Run one statement."""
        text = translated(sql) if parameters else sql
        return self._connection.execute(text, parameters or None, binary=True)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor[Any]:
        """Run one statement for each of many sets of parameters."""
        cursor = self._connection.cursor(binary=True)
        cursor.executemany(translated(sql), parameters)
        return cursor


class PostgresCatalog(Catalog):
    """A catalog on a PostgreSQL server (13 or newer).

    Parameters
    ----------
    folder : Path
        The store's folder; it must exist.
    read_only : bool
    url : str, optional
        Where a new store keeps its catalog; an existing one remembers.

    Raises
    ------
    StoreError
        If the server cannot be reached or does not keep what it acknowledged, the schema belongs to another store or
        is gone, or it has a newer format.
    """

    def __init__(self, folder: Path, read_only: bool = False, url: str | None = None) -> None:
        super().__init__(folder, read_only)
        try:
            import psycopg
        except ImportError as error:
            raise StoreError(
                f"store {folder} keeps its catalog on a PostgreSQL server: pip install 'workbench-observability[scale]'."
            ) from error
        self._psycopg = psycopg
        self.path = folder / REFERENCE
        known = load(self.path)
        self._server = known[0] if known else Server.of(url or "")
        if known and url is not None and Server.of(url) != self._server:
            raise StoreError(f"store {folder} keeps its catalog at {self._server}, not at {url}: leave `catalog` out.")
        self.where = f"catalog {self._server}"
        self._xid = ""
        with self._using():
            self._connection: Connection[Any] | None = None
            try:
                self._settle(self._get(), known[1] if known else None)
            except BaseException:
                self._disconnect()
                raise

    def _connect(self) -> Connection[Any]:
        """Return a new connection; a server that is only just starting is waited for."""
        until = time.monotonic() + catalog.PATIENCE
        while True:
            try:
                connection = self._psycopg.connect(self._server.conninfo(), autocommit=True)
                break
            except self._psycopg.OperationalError as error:
                starting = any(word in str(error) for word in ("starting up", "shutting down", "recovery mode"))
                if not starting or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        try:
            adapt(connection)
            read_only = "on" if self.read_only else "off"
            text = _SESSION.format(schema=self._server.schema, wait=int(catalog.PATIENCE), read_only=read_only)
            connection.execute(text)
        except BaseException:
            connection.close()
            raise
        return connection

    def _get(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _settle(self, connection: Connection[Any], store: int | None) -> None:
        """Compare the schema with what the folder knows of it; make it for a new store."""
        about = "SELECT current_setting('fsync'), current_setting('server_encoding')"
        durable, encoding = connection.execute(about).fetchone() or ("", "")
        if durable != "on" or encoding != "UTF8":
            raise StoreError(
                f"{self.where} may not be used: its server has fsync={durable} and encoding {encoding}; set fsync=on and"
                " make a UTF8 database."
            )
        found = self._found(connection)
        if store is None and found:
            raise StoreError(f"{self.where} belongs to another store: name a schema that does not exist yet.")
        if not found:
            self._make(store)
        elif found.get("format", 0) > FORMAT:
            raise StoreError(
                f"store {self.folder} has format {found['format']}, this version reads up to {FORMAT}: update workbench."
            )
        elif found.get("store") != store:
            raise StoreError(f"{self.where} belongs to another store than {self.folder}: restore {self.path.name}.")
        elif found.get("format", 0) < FORMAT and not self.read_only:
            connection.execute("UPDATE meta SET value = %s WHERE name = 'format' AND value < %s", (FORMAT, FORMAT))

    def _found(self, connection: Connection[Any]) -> dict[str, int]:
        """Return the numbers of the schema, {} when it has no tables."""
        tables = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE tablename = 'meta') FROM pg_tables WHERE schemaname = %s",
            (self._server.schema,),
        ).fetchone()
        if tables == (0, 0):
            return {}
        if tables is None or not tables[1]:
            raise StoreError(f"{self.where} has tables, but is no catalog of a workbench store: name another schema.")
        return dict(connection.execute("SELECT name, value FROM meta").fetchall())

    def _make(self, store: int | None) -> None:
        """Name the schema in the folder, then make it unless another process has done so by then."""
        kept = [p.name for p in self.folder.iterdir() if not p.name.startswith(self.path.name)]
        if self.read_only or kept:
            raise StoreError(
                f"{self.where} is empty, but store {self.folder} is not new: restore the schema from a copy."
            )
        if store is None:
            store = remember(self.path, self._server, secrets.randbits(62))
        with self._transaction(write=True) as transaction:
            if self._found(self._get()):
                return
            transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {self._server.schema}")
            for statement in statements("postgresql"):
                transaction.execute(statement)
            transaction.execute("ALTER TABLE hot ALTER payload SET STORAGE EXTERNAL")  # compressed already
            query = "INSERT INTO meta (name, value) VALUES ('format', ?), ('store', ?)"
            transaction.execute(query, (FORMAT, store))

    def _forked(self) -> None:
        _inherited.append(self._connection)
        self._connection = None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _lost(self, error: Exception) -> bool:
        """Return whether the connection is gone, which the server's last words may say before the socket does."""
        if getattr(error, "sqlstate", None) and str(error.sqlstate).startswith(("57P", "08", "25P03")):  # type: ignore[attr-defined]
            self._disconnect()
        return self._connection is None or bool(self._connection.closed)

    def _explanation(self, error: Exception) -> str | None:
        if isinstance(error, UnicodeDecodeError):
            return f"{self.where} cannot be used ({error}): it is damaged; restore it from a copy."
        if not isinstance(error, self._psycopg.Error):
            return None
        text = " ".join(str(error).split("\n")[0].split()).rstrip(".:")
        hint = _STATES.get(error.sqlstate or "", "").format(wait=catalog.PATIENCE)
        if not hint:
            lost = isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError)
            hint = "nothing was changed; check the server and try again" if lost else "check the server's log"
        return f"{self.where} cannot be used ({text}): {hint}."

    def _begin(self, write: bool) -> Transaction:
        until = time.monotonic() + catalog.PATIENCE
        while True:
            try:
                connection = self._get()
                self._start(connection, write)
                return _Transaction(connection)
            except self._psycopg.Error as error:
                # Nothing has been asked yet, so a lost connection may be replaced; any other complaint stands.
                if not self._lost(error):
                    self._rollback()
                    raise
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _start(self, connection: Connection[Any], write: bool) -> None:
        if not write:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
            return
        # The lock comes before the first look at the tables: each later statement sees what the last writer committed.
        rows = connection.execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED;"
            f"SET LOCAL idle_in_transaction_session_timeout = '{_STALLED}';"
            f"SELECT pg_advisory_xact_lock({self._server.lock}), pg_current_xact_id()::text",
            prepare=False,
        )
        while rows.nextset():
            pass
        self._xid = str((rows.fetchone() or ("", ""))[1])

    def _commit(self) -> None:
        connection = self._connection  # never a new one, which would have nothing to commit
        cause: Exception | None = None
        try:
            done = connection.execute("COMMIT", prepare=False).statusmessage if connection else ""
        except self._psycopg.Error as error:
            if not self._lost(error):
                raise
            cause, done = error, "COMMIT" if self._was_committed() else ""
        if done != "COMMIT":
            raise StoreError(f"{self.where} has undone the last change: nothing was changed; try again.") from cause

    def _was_committed(self) -> bool:
        """Ask on a new connection what became of the change that was being committed when the last one was lost."""
        until = time.monotonic() + catalog.PATIENCE
        while True:
            try:
                row = self._get().execute("SELECT pg_xact_status(%s::xid8)", (self._xid,)).fetchone()
                if row is not None and row[0] in ("committed", "aborted"):
                    return bool(row[0] == "committed")
            except self._psycopg.Error as error:
                if not self._lost(error):
                    raise
            if time.monotonic() > until:
                raise StoreError(
                    f"{self.where} was lost during a commit and whether the change was made cannot be told: look, or"
                    " write again under the same key."
                )
            time.sleep(0.1)

    def _rollback(self) -> None:
        connection = self._connection
        try:
            if connection and connection.info.transaction_status != self._psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK", prepare=False)
        except self._psycopg.Error:
            self._disconnect()  # the server undoes it; the next use connects anew

    def _vacuum(self, options: str, tables: list[str]) -> None:
        with self._using():
            try:
                for table in tables:
                    self._get().execute(f"VACUUM ({options}, SKIP_LOCKED) {table}")
            except self._psycopg.Error as error:
                if not self._lost(error):
                    raise

    def shrink(self) -> bool:
        """Let the server give back what sealing freed at the end of its files; it looks after its own log."""
        self._vacuum("TRUNCATE", ["hot"])
        return True

    def vacuum(self) -> None:
        """Let the server rewrite small tables that nobody uses now, and free the space of gone rows in the others."""
        if self.read_only:
            raise StoreError(f"store {self.folder} is read-only: copy it to a writable folder to make it smaller.")
        reach("vacuum.started")
        size = "SELECT tablename, pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass)"
        with self.read() as transaction:
            found = transaction.execute(f"{size} FROM pg_tables WHERE schemaname = '{self._server.schema}'").fetchall()
        self._vacuum("FULL", [table for table, size in found if size <= _WHOLE])
        self._vacuum("ANALYZE, TRUNCATE FALSE", [table for table, _ in found])
        reach("vacuum.done")

    def bytes_on_disk(self) -> int:
        """Return the size of the schema's tables and indexes; the server's log is everybody's."""
        query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = ?::regnamespace"
        with self.read() as transaction:
            return int(transaction.execute(query, (self._server.schema,)).fetchone()[0])

    def integrity(self) -> list[str]:
        """Return nothing: the server checks its own pages, the rows have checksums of their own."""
        return []
