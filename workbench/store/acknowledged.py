"""How far writes were acknowledged, kept outside the database, so that a database that has fallen behind is noticed.

SQLite replays its log up to the first frame whose checksum fails and takes the rest for a write that never ended. One
flipped bit thus undoes every write after it, without an error: up to 4 MiB of them, for then the log is copied into
the database. An old copy of the database put in its place does the same. The file `acknowledged` in the store's folder
holds the number of the last write that was acknowledged; it only grows, and it is never ahead of what is durable,
because it is written after the commit. It is not fsynced: behind it may be, which only notices less.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import warnings
import zlib
from pathlib import Path

from workbench.errors import WorkbenchWarning
from workbench.store.catalog import Catalog, next_seq
from workbench.store.place import CATALOG

__all__ = ["NAME", "acknowledge", "check", "last", "problems"]

NAME = "acknowledged"
"""File name inside a store's folder."""

_RECORD = struct.Struct("<8sqI")
_MAGIC = b"WKBACK1\n"


def _packed(seq: int) -> bytes:
    crc32 = zlib.crc32(_RECORD.pack(_MAGIC, seq, 0))
    return _RECORD.pack(_MAGIC, seq, crc32)


def _number(data: bytes) -> int | None:
    """Return the number in the file's bytes, None when they are damaged; 0 when there are none."""
    if not data:
        return 0
    seq = _RECORD.unpack(data)[1] if len(data) == _RECORD.size else -1
    return int(seq) if seq >= 0 and data == _packed(seq) else None


def _read(folder: Path) -> int | None:
    try:
        handle = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        return _number(os.pread(handle, _RECORD.size + 1, 0))
    finally:
        os.close(handle)


def last(folder: Path) -> int:
    """Return the number of the last write that was acknowledged, 0 when that is not known."""
    return _read(folder) or 0


def acknowledge(folder: Path, catalog: Catalog, seq: int) -> None:
    """Note that a write was committed; other processes may have noted later ones.

    Only for a catalog in the folder: a database server looks after its own log. A disk that refuses is no error, for
    the write is durable and a smaller number only notices less.
    """
    if catalog.path.name != CATALOG:
        return
    try:
        handle = os.open(f"{folder}/{NAME}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            known = _number(os.pread(handle, _RECORD.size + 1, 0))
            if known is None:
                os.ftruncate(handle, 0)
            if known is None or known < seq:
                os.pwrite(handle, _packed(seq), 0)
        finally:
            os.close(handle)
    except OSError:
        return


def _missing(catalog: Catalog, seq: int, known: int) -> str:
    return (
        f"{known - seq} acknowledged writes (numbers {seq + 1} to {known}) are missing from {catalog.where}: its log was"
        " damaged or an older copy put in its place; write them again from their source, or restore the catalog."
    )


def _damaged(folder: Path) -> str:
    return f"{folder / NAME} is damaged, so writes lost before now would not be noticed; it is made anew by the next write."


def check(folder: Path, catalog: Catalog) -> list[str]:
    """Compare the catalog with what was acknowledged when it is opened for writing; return what was found, if anything.

    Writes that are missing are warned of (`WorkbenchWarning`) and recorded in table `damage`, and numbering goes on after
    them, so that no number stands for two writes.
    """
    if catalog.read_only or catalog.path.name != CATALOG:
        return []
    known = _read(folder)  # before the catalog: what is acknowledged by now is in any later snapshot
    if known is not None and _seq(catalog) >= known:
        return []
    with catalog.write() as transaction:
        seq = next_seq(transaction) - 1
        if known is not None and seq >= known:  # another process has moved it since
            return []
        sentence = _damaged(folder) if known is None else _missing(catalog, seq, known)
        transaction.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (max(seq, known or 0),))
        transaction.execute(
            "INSERT INTO notes (kind, name, at, text) VALUES ('damage', ?, ?, ?) ON CONFLICT DO NOTHING",
            (f"{seq}-{known}", time.time_ns(), sentence),
        )
    if known is None:
        acknowledge(folder, catalog, seq)
    warnings.warn(sentence, WorkbenchWarning, stacklevel=2)
    return [sentence]


def problems(folder: Path, catalog: Catalog) -> list[str]:
    """Return a sentence for each loss that was noticed, now or when the store was opened for writing; [] when none."""
    known = _read(folder) if catalog.path.name == CATALOG else 0
    with catalog.read() as transaction:
        noticed = transaction.execute("SELECT at, text FROM notes WHERE kind = 'damage' ORDER BY at").fetchall()
    found = [f"noticed on {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at / 1e9))}: {text}" for at, text in noticed]
    if known is None:
        found.append(_damaged(folder))
    elif (seq := _seq(catalog)) < known:
        found.append(_missing(catalog, seq, known))
    return found


def _seq(catalog: Catalog) -> int:
    with catalog.read() as transaction:
        return int(transaction.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()[0])
