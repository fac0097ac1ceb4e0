"""Segment files: written whole, made durable, named last; read only after their checksum was compared.

A file is written under `tmp/`, fsynced, renamed to its place, and the folder fsynced: only then may the catalog name
it. A file the catalog does not name is nobody's and is swept away once it is old enough.
"""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError
from workbench.store.places import Folder, Gone, Place

__all__ = [
    "GRACE_S",
    "SEALED",
    "File",
    "Gone",
    "Made",
    "add_segment",
    "check_file",
    "check_there",
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


@dataclass(frozen=True)
class File:
    """One file of a segment as the catalog names it; `path` is relative to the root of its tier."""

    role: str
    path: str
    bytes: int
    crc32: int


class Made(NamedTuple):
    """A segment on the disk that the catalog does not name yet: its row, its files, its chunk index if it has one."""

    row: dict[str, Any]
    files: list[File]
    chunks: bytes | None = None


def day_of(ns: int) -> str:
    """Return the day (UTC) of an instant, as `2026-01-31`: the folder a segment lies in."""
    return str(np.datetime64(ns, "ns").astype("datetime64[D]"))


def write_file(place: Folder, folder: str, role: str, table: pa.Table, **options: Any) -> tuple[File, pa.Buffer]:
    """Write a table as a durable Parquet file under `segments/folder/`; return how the catalog names it, and its bytes.

    Raises
    ------
    StoreError
        If the disk refuses, as when it is full.
    """
    sink = pa.BufferOutputStream()
    size = options.pop("row_group_size")
    with pq.ParquetWriter(sink, table.schema, write_page_checksum=True, **options) as writer:
        writer.write_table(table, row_group_size=size)
        if not options.get("store_schema", True):  # the schema carries its metadata otherwise
            writer.add_key_value_metadata({k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()})
    data = sink.getvalue()
    path = f"segments/{folder}/{time.time_ns():x}-{uuid.uuid4().hex[:12]}-{role}.parquet"
    place.put(path, memoryview(data))
    return File(role, path, data.size, zlib.crc32(data)), data


def remove(place: Place, files: Iterable[File]) -> None:
    """Remove files that no catalog row names."""
    for file in files:
        place.delete(file.path)


def row_crc(*values: Any) -> int:
    """Return the CRC-32 of some numbers and texts, as JSON."""
    return zlib.crc32(json.dumps(values).encode())


def add_segment(connection: Any, made: Made, seq_min: int, seq_max: int, **more: Any) -> int:
    """Name a segment, its files and its chunk index in the catalog, inside the caller's transaction; return its id.

    Parameters
    ----------
    connection : connection
        Inside `Catalog.write()`.
    made : Made
    seq_min, seq_max : int
        The first and the last write in it.
    **more
        Other columns, as `replaces` or `step`.
    """
    number = connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'segment' RETURNING value").fetchone()[
        0
    ]
    row = {**made.row, "id": number, "seq_min": seq_min, "seq_max": seq_max, "tier": "warm", **more}
    row |= {"bytes": sum(f.bytes for f in made.files), "made": time.time_ns()}
    row["crc32"] = row_crc(*(row.get(name) for name in SEALED))
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO segments ({', '.join(row)}) VALUES ({marks})", row)
    connection.executemany(
        "INSERT INTO files (segment, role, path, bytes, crc32) VALUES (?, ?, ?, ?, ?)",
        [(number, f.role, f.path, f.bytes, f.crc32) for f in made.files],
    )
    if made.chunks is not None:
        checked = (number, made.chunks, zlib.crc32(made.chunks))
        connection.execute("INSERT INTO chunks (segment, blob, crc32) VALUES (?, ?, ?)", checked)
    return int(number)


def check_there(place: Folder, made: Made) -> None:
    """Raise when the files of a segment went before it was named, inside the transaction that is to name it.

    A process that slept for longer than the grace period finds what it wrote swept away. Sweeping happens in a
    transaction too, so what is there now stays.
    """
    for file in made.files:
        if place.size(file.path) != file.bytes:
            raise StoreError(f"segment {place.root / file.path} went before it was named, it took too long: try again.")


_checked: dict[tuple[Any, ...], int] = {}


def check_file(place: Place, file: File) -> str:
    """Return what is wrong with a file's bytes, or an empty string; raises `Gone` when there is no file."""
    name = f"{place.url}/{file.path}"
    try:
        data = place.read(file.path, [(0, file.bytes + 1)])[0]
    except StoreError as error:
        return str(error)
    if len(data) != file.bytes:
        return f"segment {name} has {len(data)} bytes instead of {file.bytes}: restore it from a copy."
    if zlib.crc32(data) != file.crc32:
        return f"segment {name} is damaged, its checksum does not match: restore it from a copy."
    return ""


def open_file(place: Place, file: File) -> pq.ParquetFile:
    """Return a file ready to be read; a local one has its bytes compared with the catalog's checksum once per process.

    Of a remote file only what is needed is fetched, so its pages' own checksums are all that is compared.

    Raises
    ------
    StoreError
        If the file is damaged; the message names it.
    Gone
        If it has been removed since the caller's snapshot.
    """
    if isinstance(place, Folder):
        identity = (place.url, file.path, *place.identity(file.path))
        if _checked.get(identity) != file.crc32:
            problem = check_file(place, file)
            if problem:
                raise StoreError(problem)
            _checked[identity] = file.crc32
    try:
        remote = not isinstance(place, Folder)
        return pq.ParquetFile(place.open(file.path), page_checksum_verification=True, pre_buffer=remote)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"segment {place.url}/{file.path} cannot be read ({error}): restore it from a copy."
        ) from error


def sweep(place: Folder, named: set[str], grace_s: float | None = None) -> int:
    """Remove files that the catalog does not name and that are older than the grace period; return how many.

    Parameters
    ----------
    place : Folder
    named : set of str
        Paths in the catalog, read **before** the listing: the grace period covers what was named in between.
    grace_s : float, optional
        Seconds; `GRACE_S` by default.
    """
    oldest = time.time() - (GRACE_S if grace_s is None else grace_s)
    removed = 0
    for folder in ("segments", "tmp"):
        for found in (place.root / folder).glob("**/*"):
            path = str(found.relative_to(place.root))
            try:
                if path not in named and found.is_file() and found.stat().st_mtime < oldest:
                    place.delete(path)
                    removed += 1
            except FileNotFoundError:
                continue
    return removed
