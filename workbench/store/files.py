"""Segment files: written whole, made durable, named last; read only after their checksum was compared.

A file is written under `tmp/`, fsynced, renamed to its place, and the folder fsynced: only then may the catalog name
it. A file the catalog does not name is nobody's and is swept away once it is old enough.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError

__all__ = [
    "GRACE_S",
    "SEALED",
    "File",
    "Gone",
    "add_segment",
    "check_file",
    "day_of",
    "open_file",
    "remove",
    "row_crc",
    "sweep",
    "write_file",
]

GRACE_S = 600.0
"""How long a retired segment stays, and how old a file without a name must be before it is removed, seconds."""


SEALED = ("signal", "seq_min", "seq_max", "t_min", "t_max", "series_min", "series_max", "rows")
"""Columns of a segment that its row's checksum covers."""


class Gone(Exception):
    """A file named by an older snapshot has been removed since: the reader takes a newer one and reads again."""


@dataclass(frozen=True)
class File:
    """One file of a segment as the catalog names it; `path` is relative to the store's folder."""

    role: str
    path: str
    bytes: int
    crc32: int


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def day_of(ns: int) -> str:
    """Return the day (UTC) of an instant, as `2026-01-31`: the folder a segment lies in."""
    return str(np.datetime64(ns, "ns").astype("datetime64[D]"))


def write_file(root: Path, folder: str, role: str, table: pa.Table, **options: Any) -> File:
    """Write a table as a durable Parquet file under `segments/folder/` and return what the catalog must know of it.

    Raises
    ------
    StoreError
        If the disk refuses, as when it is full.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True, **options)
    data = sink.getvalue()
    name = f"{time.time_ns():x}-{uuid.uuid4().hex[:12]}-{role}.parquet"
    place, temporary = root / "segments" / folder / name, root / "tmp" / name
    try:
        for parent in (temporary.parent, place.parent):
            _make_folder(root, parent)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(place)
        _fsync(place.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"segment {place} cannot be written: {error.strerror}; free some space or fix the folder."
        ) from error
    return File(role, str(place.relative_to(root)), data.size, zlib.crc32(data))


def _make_folder(root: Path, folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    while folder != root:
        folder = folder.parent
        _fsync(folder)


def remove(root: Path, files: list[File]) -> None:
    """Remove files that no catalog row names."""
    for file in files:
        (root / file.path).unlink(missing_ok=True)


def row_crc(*values: Any) -> int:
    """Return the CRC-32 of some numbers and texts, as JSON."""
    return zlib.crc32(json.dumps(values).encode())


def add_segment(connection: sqlite3.Connection, row: dict[str, Any], files: list[File]) -> int:
    """Name a segment and its files in the catalog, inside the caller's transaction; return its id."""
    row = {**row, "tier": "warm", "bytes": sum(f.bytes for f in files), "made": time.time_ns()}
    row["crc32"] = row_crc(*(row.get(name) for name in SEALED))
    marks = ", ".join(f":{name}" for name in row)
    cursor = connection.execute(f"INSERT INTO segments ({', '.join(row)}) VALUES ({marks})", row)
    segment = int(cursor.lastrowid or 0)
    connection.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?)", [(segment, f.role, f.path, f.bytes, f.crc32) for f in files]
    )
    return segment


_checked: dict[tuple[str, int, int, int], int] = {}


def check_file(root: Path, file: File) -> str:
    """Return what is wrong with a file's bytes, or an empty string; raises `Gone` when there is no file."""
    place = root / file.path
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        raise Gone(file.path) from None
    except OSError as error:
        return f"segment {place} cannot be read: {error.strerror}."
    if len(data) != file.bytes:
        return f"segment {place} has {len(data)} bytes instead of {file.bytes}: restore it from a copy."
    if zlib.crc32(data) != file.crc32:
        return f"segment {place} is damaged, its checksum does not match: restore it from a copy."
    return ""


def open_file(root: Path, file: File) -> pq.ParquetFile:
    """Return a file ready to be read, its bytes compared with the catalog's checksum once per process.

    Raises
    ------
    StoreError
        If the file is damaged; the message names it.
    Gone
        If it has been removed since the caller's snapshot.
    """
    place = root / file.path
    try:
        stat = place.stat()
        identity = (str(place), stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if _checked.get(identity) != file.crc32:
            problem = check_file(root, file)
            if problem:
                raise StoreError(problem)
            _checked[identity] = file.crc32
        return pq.ParquetFile(place, page_checksum_verification=True)
    except FileNotFoundError:
        raise Gone(file.path) from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"segment {place} cannot be read ({error}): restore it from a copy.") from error


def sweep(root: Path, named: set[str], grace_s: float = GRACE_S) -> int:
    """Remove files that the catalog does not name and that are older than the grace period; return how many.

    Parameters
    ----------
    root : Path
    named : set of str
        Paths in the catalog, read **after** the listing would be too late: read it before, the grace covers the rest.
    grace_s : float
        Seconds.
    """
    oldest = time.time() - grace_s
    removed = 0
    for folder in ("segments", "tmp"):
        for place in (root / folder).glob("**/*.parquet"):
            try:
                if str(place.relative_to(root)) not in named and place.stat().st_mtime < oldest:
                    place.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
    return removed
