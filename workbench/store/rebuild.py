"""A lost catalog made anew from what segments say of themselves in their footers.

What the footers cannot say is lost with the catalog: rows that were still hot, keys of batches, and the exact write
number of a large batch, of which only the number before it is known. Whatever can be read of the old database is taken
over: hot rows whose checksum holds, keys, and the label index when it is sound. The new database takes its place last.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workbench.errors import StoreError, WorkbenchError
from workbench.signals import SIGNALS
from workbench.store import acknowledged
from workbench.store.catalog import Transaction
from workbench.store.chunk_index import ChunkIndex
from workbench.store.files import File, Made, add_segment
from workbench.store.label_fold import fold
from workbench.store.label_state import Sets
from workbench.store.place import CATALOG
from workbench.store.places import Folder, fsync
from workbench.store.rollup_segment import SIGNAL, index_of_file
from workbench.store.series import verify_series
from workbench.store.snapshot import hot_crc
from workbench.store.sqlite import SqliteCatalog

__all__ = ["rebuild"]

_ROLES = {"metrics": 1, "logs": 1, "spans": 1, "events": 1, SIGNAL: 1, "profiles": 3}
_ROW = ("t_min", "t_max", "rows", "series_min", "series_max")
_AT_ONCE = 100_000


@dataclass
class _Found:
    """One segment as its footers describe it."""

    signal: str
    about: dict[str, str]
    files: list[File]

    @property
    def order(self) -> tuple[float, bool, str]:
        """Where it stands among the others: last write in it, rollups after what they were made of, time made."""
        known = self.about.get("seq_max")
        last = float(known) if known is not None else float(self.about.get("seq_after", -1)) + 0.5
        return last, self.signal == SIGNAL, Path(self.files[0].path).name


def rebuild(folder: Path) -> dict[str, Any]:
    """Make the catalog of a store anew; the old one is kept beside it under another name.

    Nobody else may have the store open.

    Parameters
    ----------
    folder : Path
        The store's folder.

    Returns
    -------
    dict
        `segments` named, `hot` rows and `keys` taken over from the old catalog, `lost` (one sentence each: files that
        could not be read, series whose labels are lost).

    Raises
    ------
    StoreError
        If there are no segments to make one from, or the disk refuses.
    """
    place = Folder(folder)
    paths = [path for path in place.list("segments/") if path.endswith(".parquet")]
    if not paths and not (folder / CATALOG).exists():
        raise StoreError(f"there is nothing to make a catalog from in {folder}: give the folder of a store.")
    lost: list[str] = []
    found = sorted(_segments(place, paths, lost), key=lambda one: one.order)
    workshop = folder / "tmp" / f"rebuild-{time.time_ns():x}"
    workshop.mkdir(parents=True)
    try:
        catalog = SqliteCatalog(workshop)
        try:
            report = _fill(catalog, place, found, folder / CATALOG, lost)
            catalog.shrink()
        finally:
            catalog.close()
        aside = f"{CATALOG}.lost-{time.time_ns():x}"
        for suffix in ("", "-wal", "-shm"):
            if (folder / f"{CATALOG}{suffix}").exists():
                (folder / f"{CATALOG}{suffix}").rename(folder / f"{aside}{suffix}")
        fsync(workshop / CATALOG)
        (workshop / CATALOG).rename(folder / CATALOG)
        fsync(folder)
    except OSError as error:
        if isinstance(error, WorkbenchError):
            raise
        raise StoreError(f"the catalog of {folder} cannot be made anew: {error.strerror}; free some space.") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return {**report, "lost": lost}


def _segments(place: Folder, paths: list[str], lost: list[str]) -> Iterator[_Found]:
    """Yield the segments whose files are all there and sound, those left out that another replaces."""
    groups: dict[tuple[Any, ...], _Found] = {}
    for path in paths:
        try:
            data = (place.root / path).read_bytes()
            metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
            about = {k.decode(): v.decode() for k, v in (metadata.metadata or {}).items() if k != b"ARROW:schema"}
            signal = about["signal"]
            role = re.split(r"[-.]", Path(path).name)[-2]
            file = File(role, path, len(data), zlib.crc32(data))
        except (OSError, KeyError, IndexError, UnicodeDecodeError, pa.ArrowException) as error:
            lost.append(f"{path} cannot be read ({type(error).__name__}) and is left out")
            continue
        single = _ROLES.get(signal, 1) == 1
        key = (path,) if single else (signal, about.get("segment"), *(about.get(name) for name in _ROW))
        groups.setdefault(key, _Found(signal, about, [])).files.append(file)
    whole = [one for one in groups.values() if len(one.files) == _ROLES.get(one.signal, 1)]
    lost += [
        f"{one.files[0].path} lacks its other files and is left out" for one in groups.values() if one not in whole
    ]
    replaced = {path for one in whole for path in json.loads(one.about.get("replaces", "[]"))}
    yield from (one for one in whole if not any(file.path in replaced for file in one.files))


def _fill(catalog: SqliteCatalog, place: Folder, found: list[_Found], old: Path, lost: list[str]) -> dict[str, Any]:
    """Name segments and hot rows in the order of their writes, then register the series they speak of."""
    kept = _old(old, lost)
    hot: list[tuple[tuple[float, bool, str], Any]] = [((float(row[2]), False, ""), row) for row in kept["hot"]]
    ordered: list[tuple[tuple[float, bool, str], Any]] = [*((one.order, one) for one in found), *hot]
    ordered.sort(key=lambda item: item[0])
    labels: dict[int, tuple[str, str, str]] = {}
    named = 0
    for rank, (_, one) in enumerate(ordered, start=1):
        with catalog.write() as transaction:
            transaction.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (rank,))
            if not isinstance(one, _Found):
                _add_hot(transaction, one, rank)
                continue
            try:
                made = _made(place, one, labels)
            except (StoreError, ValueError, KeyError, pa.ArrowException) as error:
                lost.append(f"{one.files[0].path} is damaged ({error}) and is left out")
                continue
            more = {"step": int(one.about["step"])} if one.signal == SIGNAL else {}
            replaces = json.dumps([0]) if "replaces" in one.about else "[]"
            add_segment(transaction, made, rank, rank, replaces=replaces, **more)
        named += 1
    with catalog.write() as transaction:
        seq = max(len(ordered), acknowledged.last(place.root))  # numbers are never used twice
        transaction.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (seq,))
        if not _copied_labels(transaction, kept, max(labels, default=0)):
            lost += _register(transaction, labels)
        for key, _ in kept["keys"]:
            transaction.execute("INSERT INTO keys (key, seq) VALUES (?, ?)", (key, len(ordered)))
    return {"segments": named, "hot": len(hot), "keys": len(kept["keys"])}


def _made(place: Folder, one: _Found, labels: dict[int, tuple[str, str, str]]) -> Made:
    """Return a segment's row, files and chunk index, and add the labels of its series."""
    row: dict[str, Any] = {"signal": one.signal}
    row |= {name: int(one.about[name]) for name in _ROW if name in one.about}
    if one.signal not in ("metrics", SIGNAL):
        return Made(row, one.files)
    file = one.files[0]
    data = place.read(file.path, [(0, file.bytes)])[0]
    parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    table = parquet.read()
    numbers = table["series" if one.signal == SIGNAL else "series_id"]
    columns = [numbers, *(table[name] for name in ("labels", "kind", "unit"))]
    if one.signal == SIGNAL:
        columns = [pc.list_flatten(column) for column in columns]
    for number, *told in zip(*(column.to_pylist() for column in columns), strict=True):
        labels[number] = (told[0], told[1], told[2])
    index = index_of_file(place, file) if one.signal == SIGNAL else ChunkIndex.of_table(table, data)
    return Made(row, one.files, index.pack())


def _register(transaction: Transaction, labels: dict[int, tuple[str, str, str]]) -> list[str]:
    """Register series under the numbers they had; return one sentence when some in between are not known any more."""
    last, gaps = max(labels, default=0), 0
    for first in range(1, last + 1, _AT_ONCE):
        rows = []
        for number in range(first, min(first + _AT_ONCE, last + 1)):
            text, kind, unit = labels.get(number, (json.dumps({"lost_series": str(number)}), "unknown", ""))
            gaps += number not in labels
            rows.append((number, json.loads(text), kind, unit))
        fold(transaction, Sets.of_rows(rows))
    return [f"{gaps} series have no samples in any segment, and their labels are lost"] if gaps else []


_OLD = {
    "hot": "id, signal, seq, t_min, t_max, rows, bytes, crc32, payload", "keys": "key, seq", "meta": "name, value",
    "labels": "*", "recent": "*", "sources": "*",
}  # fmt: skip


def _old(path: Path, lost: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what can still be read of the old database, hot rows only when their checksum holds."""
    kept: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _OLD}
    if not path.exists():
        return kept
    connection = sqlite3.connect(path)
    try:
        for table, columns in _OLD.items():
            try:
                for row in connection.execute(f"SELECT {columns} FROM {table}"):
                    kept[table].append(row)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                lost.append(f"table {table} of the old catalog could be read only in part ({error})")
    finally:
        connection.close()
    hot = [row for row in kept["hot"] if _sound(row)]
    if len(hot) < len(kept["hot"]):
        lost.append(f"{len(kept['hot']) - len(hot)} hot rows of the old catalog are damaged")
    kept["hot"] = hot
    return kept


def _sound(row: tuple[Any, ...]) -> bool:
    try:
        return bool(hot_crc(row[8], *row[1:6]) == row[7])
    except (TypeError, ValueError):
        return False


def _add_hot(transaction: Transaction, row: tuple[Any, ...], rank: int) -> None:
    _, signal, _, low, high, n, size, _, payload = row
    number = 8 * rank + SIGNALS.index(signal)
    values = (number, signal, rank, low, high, n, size, hot_crc(payload, signal, rank, low, high, n), payload)
    transaction.execute(f"INSERT INTO hot ({_OLD['hot']}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _copied_labels(transaction: Transaction, kept: dict[str, list[tuple[Any, ...]]], last: int) -> bool:
    """Take over the old label index when it is sound and knows every series; return whether it was."""
    meta = dict(kept["meta"])
    if not meta.get("series") or meta["series"] < last:
        return False
    tables = ("labels", "recent", "sources")
    for table in tables:
        for row in kept[table]:
            transaction.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    upsert = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    for name in meta.keys() & {"series", "labels", "series_changed"}:
        transaction.execute(upsert, (name, meta[name]))
    if not verify_series(transaction):
        return True
    for table in tables:
        transaction.execute(f"DELETE FROM {table}")
    transaction.execute("UPDATE meta SET value = 0 WHERE name IN ('series', 'labels', 'series_changed')")
    return False
