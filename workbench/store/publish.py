"""A snapshot of the catalog beside the cold data, so that whoever has the URL can open the store, and read only.

```
<cold URL>/
├── segments/...                     the files of the cold tier
└── catalog/
    ├── 000000000007.sqlite.zst      a catalog with what is cold; written once
    └── latest.json                  {"format", "number", "seq", "cold", "path", "bytes", "crc32", "size", "raw_crc32",
                                      "made", "left_out": {"hot_rows", "segments"}}
```

The pointer is replaced last and read past every cache, so a reader finds either the snapshot before or this one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import StoreError
from workbench.store.blocks import BlockCache
from workbench.store.catalog import Catalog, Transaction
from workbench.store.files import SEALED, row_crc
from workbench.store.place import CATALOG, FORMAT
from workbench.store.places import Gone
from workbench.store.remote import Remote
from workbench.store.sqlite import SqliteCatalog

__all__ = ["KEEP", "Opened", "differs", "open_url", "publish", "published"]

KEEP = 3
"""How many snapshots stay at the place: a reader may be about to fetch one that was the newest a moment ago."""

_POINTER = "catalog/latest.json"
_LARGEST = 64 * 2**30
_TRIES = 5
_COLD = "tier = 'cold' AND retired IS NULL"
_OF_COLD = f"segment IN (SELECT id FROM segments WHERE {_COLD})"
_LEFT_OUT = {"hot": "1 = 0", "keys": "1 = 0", "notes": "kind = 'place'", "segments": _COLD, "files": _OF_COLD,
             "chunks": _OF_COLD}  # fmt: skip
_NUMBERS = ("format", "number", "seq", "cold", "bytes", "crc32", "size", "raw_crc32")
_NOTHING = row_crc()


class Opened(NamedTuple):
    """What a URL leads to: a folder with the catalog, the place of the files, and what the pointer says."""

    folder: Path
    place: Remote
    pointer: dict[str, Any]


def published(cold: Remote) -> dict[str, Any] | None:
    """Return the pointer to the newest snapshot, None when there is none.

    Raises
    ------
    StoreError
        If it makes no sense, or belongs to a newer format.
    """
    try:
        text = cold.fetch(_POINTER)
    except Gone:
        return None
    try:
        pointer: dict[str, Any] = json.loads(text)
        sound = all(isinstance(pointer[name], int) for name in _NUMBERS) and isinstance(pointer["path"], str)
    except (ValueError, TypeError, LookupError):
        sound = False
    if not sound:
        raise StoreError(f"{cold.url}/{_POINTER} is damaged: publish the catalog again.")
    if pointer["format"] > FORMAT:
        raise StoreError(
            f"store {cold.url} has format {pointer['format']}, this version reads up to {FORMAT}: update workbench."
        )
    return pointer


def differs(catalog: Catalog, pointer: dict[str, Any] | None) -> bool:
    """Return whether other segments are cold now than when a snapshot was published (None: never was)."""
    with catalog.read() as connection:
        now = _cold(connection)
    return now != (_NOTHING if pointer is None else pointer["cold"])


def _cold(connection: Transaction) -> int:
    """Return a checksum of the numbers of the segments that are cold."""
    return row_crc(*(row[0] for row in connection.execute(f"SELECT id FROM segments WHERE {_COLD} ORDER BY id")))


def publish(catalog: Catalog, cold: Remote, keep: int = KEEP) -> dict[str, Any]:
    """Write a snapshot of what is cold beside it, and return the pointer to it.

    Hot rows, warm segments and the names of batches are left out; the pointer says how many.

    Raises
    ------
    StoreError
        If the catalog is damaged, which is then not spread, or another store publishes at this URL.
    """
    import zstandard

    with catalog.write() as connection:
        query = (
            "INSERT INTO meta (name, value) VALUES ('published', 1)"
            " ON CONFLICT (name) DO UPDATE SET value = meta.value + 1 RETURNING value"
        )
        number = int(connection.execute(query).fetchone()[0])
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        left_out, seq, held = _copy(catalog, Path(folder))
        raw = (Path(folder) / CATALOG).read_bytes()
    data = zstandard.ZstdCompressor(level=9, write_checksum=True).compress(raw)
    path = f"catalog/{number:012d}.sqlite.zst"
    cold.put(path, data)
    if cold.fetch(path) != data:
        raise StoreError(f"{cold.url}/{path} has other bytes: give each store a cold place of its own.")
    pointer: dict[str, Any] = {
        "format": FORMAT, "number": number, "seq": seq, "cold": held, "path": path, "bytes": len(data), "crc32": zlib.crc32(data),
        "size": len(raw), "raw_crc32": zlib.crc32(raw), "made": time.time_ns(), "left_out": left_out,
    }  # fmt: skip
    there = published(cold)
    if there is not None and there["number"] > number:
        return there
    cold.replace(_POINTER, json.dumps(pointer, indent=1).encode())
    for old in range(max(number - keep - 2, 1), number - keep + 1):
        cold.delete(f"catalog/{old:012d}.sqlite.zst")
    return pointer


def _copy(catalog: Catalog, folder: Path) -> tuple[dict[str, int], int, int]:
    """Make a catalog in an empty folder with what is cold; return what is left out, the last write, and `_cold`."""
    fresh = SqliteCatalog(folder)
    try:
        with catalog.read() as source, fresh.write() as target:
            tables = [
                row[0] for row in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            ]
            for table in tables:
                columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})").fetchall()]
                target.execute(f"DELETE FROM {table}")
                query = f"SELECT {', '.join(columns)} FROM {table} WHERE {_LEFT_OUT.get(table, '1 = 1')}"
                marks = ", ".join("?" * len(columns))
                target.executemany(f"INSERT INTO {table} VALUES ({marks})", _plain(source, query))
            _check(target, catalog.where)
            count = "SELECT (SELECT count(*) FROM hot), (SELECT count(*) FROM segments WHERE retired IS NULL)"
            hot, segments = source.execute(count).fetchone()
            here = target.execute("SELECT count(*) FROM segments").fetchone()[0]
            held = _cold(target)
            seq = source.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()[0]
        fresh.vacuum()
        damage = fresh.integrity()
    finally:
        fresh.close()
    if damage:
        raise StoreError(damage[0])
    return {"hot_rows": int(hot), "segments": int(segments) - int(here)}, int(seq), held


def _plain(source: Transaction, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows as SQLite takes them: a PostgreSQL server gives memory views."""
    for row in source.execute(query):
        yield tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


def _check(target: Transaction, where: str) -> None:
    """Raise when a row's own checksum does not match."""
    for number, crc32, *sealed in target.execute(f"SELECT id, crc32, {', '.join(SEALED)} FROM segments"):
        if row_crc(*sealed) != crc32:
            raise StoreError(f"{where}: the row of segment {number} is damaged, so it is not published: restore it.")
    for number, blob, crc32 in target.execute("SELECT segment, blob, crc32 FROM chunks"):
        if zlib.crc32(blob) != crc32:
            raise StoreError(f"{where}: the chunk index of segment {number} is damaged, so it is not published.")


def open_url(url: str, cache: BlockCache) -> Opened:
    """Fetch the newest snapshot at a URL into the cache, and return where it lies.

    Parameters
    ----------
    url : str
        The cold place of a store that has been published.
    cache : BlockCache
        The snapshot lies beside its blocks, and does not count to its bound; only the newest stays.

    Raises
    ------
    StoreError
        If there is no snapshot, it is damaged, or of a newer format.
    """
    place = Remote(url, cache)
    for _ in range(_TRIES):
        pointer = published(place)
        if pointer is None:
            raise StoreError(f"there is no published store at {url}: publish one with `workbench store tier`.")
        shelf = cache.folder / "catalogs" / blake2b(place.url.encode(), digest_size=8).hexdigest()
        folder = shelf / f"{pointer['number']:012d}"
        if _is(folder / CATALOG, pointer):
            return Opened(folder, place, pointer)
        try:
            data = place.fetch(pointer["path"])
        except Gone:  # two newer ones were published since
            continue
        _unpack(data, pointer, folder, place.url)
        for old in shelf.iterdir():
            if old.name < folder.name:
                shutil.rmtree(old, ignore_errors=True)
        return Opened(folder, place, pointer)
    raise StoreError(f"the snapshots at {url} go faster than they can be fetched: try again.")


def _is(path: Path, pointer: dict[str, Any]) -> bool:
    try:
        raw = path.read_bytes()
    except OSError:
        return False
    return (len(raw), zlib.crc32(raw)) == (pointer["size"], pointer["raw_crc32"])


def _unpack(data: bytes, pointer: dict[str, Any], folder: Path, url: str) -> None:
    """Put a snapshot in its folder, whole or not at all."""
    import zstandard

    damaged = f"the snapshot {url}/{pointer['path']} is damaged: publish the catalog again."
    if (len(data), zlib.crc32(data)) != (pointer["bytes"], pointer["crc32"]) or not 0 < pointer["size"] <= _LARGEST:
        raise StoreError(damaged)
    try:
        if zstandard.frame_content_size(data) != pointer["size"]:
            raise StoreError(damaged)
        raw = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise StoreError(damaged) from error
    if zlib.crc32(raw) != pointer["raw_crc32"]:
        raise StoreError(damaged)
    temporary = folder.with_name(f".{uuid.uuid4().hex}")
    try:
        temporary.mkdir(mode=0o700, parents=True)
        (temporary / CATALOG).write_bytes(raw)
        if folder.exists():
            (temporary / CATALOG).replace(folder / CATALOG)
            temporary.rmdir()
        else:
            temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not _is(folder / CATALOG, pointer):  # else another process was first
            raise StoreError(f"the catalog cannot be kept in {folder}: {error.strerror}; free some space.") from error
