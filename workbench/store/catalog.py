"""The catalog: one SQL database that says what the store holds, shared by any number of processes.

Every change is one exclusive transaction, durable when it returns. Readers take one short snapshot and let go; they
never block a writer, nor a writer them. Two databases can do this: SQLite in the store's folder (`sqlite.py`, the
default) and a PostgreSQL server (`postgres.py`) for stores that several machines share.

Statements are written so that both understand them: `?` or `:name` for parameters, `RETURNING` for what was made,
`ON CONFLICT DO NOTHING`, every subquery in FROM with a name, ids from `next_id`.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import StoreError, WorkbenchError
from workbench.store.place import CATALOG, REFERENCE, prepare

__all__ = ["PATIENCE", "Catalog", "Cursor", "Transaction", "next_id", "next_seq", "open_catalog"]

PATIENCE = 60.0
"""How long one waits for another process that holds the store, or for a server to come back, seconds."""


class Cursor(Protocol):
    """What a statement gives back; a row is a tuple."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Transaction(Protocol):
    """What `Catalog.read` and `Catalog.write` give: one snapshot, or one change."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Run one statement; `parameters` is a sequence for `?` or a mapping for `:name`."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each of many sets of parameters."""
        ...


class Catalog(ABC):
    """One connection per process to a store's catalog; threads take turns, a fork gets a connection of its own.

    Parameters
    ----------
    folder : Path
        The store's folder; it must exist.
    read_only : bool
        Never write, not even the database's own side files.

    Attributes
    ----------
    path : Path
        The file in the folder that is the catalog, or names it.
    where : str
        What messages call it.
    read_only : bool
    """

    path: Path
    where: str

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closed = False
        self._inside = False

    @abstractmethod
    def _begin(self, write: bool) -> Transaction:
        """Begin a transaction, on a new connection where the last one is gone."""

    @abstractmethod
    def _commit(self) -> None:
        """Make the transaction durable."""

    @abstractmethod
    def _rollback(self) -> None:
        """End the transaction if there still is one; must not raise when the connection is lost."""

    @abstractmethod
    def _forked(self) -> None:
        """Set the parent's connection aside without touching it."""

    @abstractmethod
    def _disconnect(self) -> None:
        """End the connection of this process."""

    @abstractmethod
    def _explanation(self, error: Exception) -> str | None:
        """Return one sentence for an error of the database, None for any other."""

    @abstractmethod
    def shrink(self) -> bool:
        """Give the space that sealing freed back to the disk; return whether all that was committed is there for good.

        False when somebody is in the way: a damaged log could undo what was committed last.
        """

    @abstractmethod
    def vacuum(self) -> None:
        """Make the database as small as it gets without keeping anybody waiting for long."""

    @abstractmethod
    def bytes_on_disk(self) -> int:
        """Return the size of the database and its log."""

    @abstractmethod
    def integrity(self) -> list[str]:
        """Return a sentence for each damage the database itself finds; also inside `read`."""

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Take this process's turn, and turn what the database raises into one sentence."""
        if self._pid != os.getpid():  # after a fork neither the parent's connection nor its lock may be touched
            self._pid, self._lock, self._inside = os.getpid(), threading.RLock(), False
            self._forked()
        with self._lock:
            if self._closed:
                raise StoreError(f"store {self.folder} has been closed: open it again.")
            try:
                yield
            except Exception as error:
                sentence = self._explanation(error)
                if sentence is None:
                    raise
                raise StoreError(sentence) from error

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[Transaction]:
        if self._inside:
            raise RuntimeError("a transaction of the catalog was begun inside another one")
        transaction = self._begin(write)
        self._inside = True
        try:
            yield transaction
            if write:
                self._commit()
        finally:
            self._inside = False
            self._rollback()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Give one consistent snapshot; keep it short.

        Raises
        ------
        StoreError
            If the database is damaged: also where a flipped bit gave a value another type, which SQLite lets pass.
        """
        with self._using(), self._transaction(write=False) as transaction:
            try:
                yield transaction
            except (TypeError, ValueError, LookupError, OverflowError) as error:
                if isinstance(error, WorkbenchError) or self._explanation(error) is not None:
                    raise
                raise StoreError(f"{self.where} holds a row that makes no sense ({error}): restore it.") from error

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Give a transaction that is durable when the block ends, and undone when it raises.

        Raises
        ------
        StoreError
            If the store is read-only, another process held it for too long, or the database refuses.
        """
        if self.read_only:
            raise StoreError(f"store {self.folder} is read-only: copy it to a writable folder to add data.")
        with self._using(), self._transaction(write=True) as transaction:
            yield transaction

    def close(self) -> None:
        """Let go of the database; later use raises `StoreError`."""
        with self._lock:
            if not self._closed and self._pid == os.getpid():
                self._disconnect()
            self._closed = True


def open_catalog(folder: Path, create: bool = True, url: str | None = None) -> Catalog:
    """Open the catalog of a folder, and make one where there is none.

    Parameters
    ----------
    folder : Path
    create : bool
        Whether a new store may be made in a missing or empty folder.
    url : str, optional
        `postgresql://...` with the schema after `#` or as `?schema=`: where a new store keeps its catalog. The folder
        remembers it.

    Raises
    ------
    StoreError
        If there is no store and none may be made, the folder cannot hold one, or the catalog cannot be used.
    """
    named = url is not None or (folder / REFERENCE).exists()
    read_only = prepare(folder, create, shared=named)
    if not named:
        from workbench.store.sqlite import SqliteCatalog

        return SqliteCatalog(folder, read_only)
    if (folder / CATALOG).exists():
        raise StoreError(f"store {folder} keeps its catalog in {CATALOG}: open it without another one.")
    from workbench.store.postgres import PostgresCatalog

    return PostgresCatalog(folder, read_only, url)


def next_id(transaction: Transaction, name: str) -> int:
    """Return the next number of a counter in `meta`; numbers are never given twice."""
    query = "UPDATE meta SET value = value + 1 WHERE name = ? RETURNING value"
    return int(transaction.execute(query, (name,)).fetchone()[0])


def next_seq(transaction: Transaction) -> int:
    """Return the number of the write now under way: every later commit has a larger one."""
    return next_id(transaction, "seq")
