"""Errors that pass: a full disk, a failing one, a store held by another. The write may be repeated, nothing is lost."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import StoreError

__all__ = ["StoreRefused", "refusing"]

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_SQLITE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}  # fmt: skip
_SQLSTATE = ("08", "25P03", "40", "53", "55", "57")
"""Kinds of error a PostgreSQL server gives that pass: connection, conflict, resources, locks, the operator's doing."""


class StoreRefused(StoreError):
    """The store could not take a write now; all of it was undone, so it may be repeated when the cause has passed.

    Attributes
    ----------
    retryable : bool
        Always true: who took the data from somebody else may answer "try again later" (503 in HTTP).
    """

    retryable = True


def _passes(error: BaseException | None) -> bool:
    """Return whether an error, or what it was raised from, is one that may be gone the next time."""
    while error is not None:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE:
            return True
        if hasattr(error, "sqlstate"):  # of psycopg, which may not be there to be imported
            lost = type(error).__name__ in ("OperationalError", "InterfaceError")
            return str(error.sqlstate).startswith(_SQLSTATE) if error.sqlstate else lost
        if isinstance(error, OSError) and error.errno in _PASSING:
            return True
        error = error.__cause__
    return False


@contextmanager
def refusing() -> Iterator[None]:
    """Raise `StoreRefused` instead of a `StoreError` whose cause may pass.

    The transaction that was under way has been undone by then. After a failed fsync the disk may hold it all the same,
    and a crash may bring it back: who must not have it twice writes under a key.
    """
    try:
        yield
    except StoreError as error:
        if not _passes(error):
            raise
        sentence = str(error).rstrip(".")
        raise StoreRefused(f"{sentence}; nothing of this write was kept, so it may be repeated.") from error
