"""Writing a batch: small shapes become hot rows, large ones segments, all named in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.signals import Batch
from workbench.store import metrics, profiles, rows
from workbench.store.catalog import Catalog, next_seq
from workbench.store.chunks import Flat, newest
from workbench.store.files import File, add_segment, remove
from workbench.store.hot import pack
from workbench.store.place import FORMAT
from workbench.store.series import SeriesIndex, SeriesWriter
from workbench.store.snapshot import hot_crc

__all__ = ["META", "write_batch"]

META = {"workbench": str(FORMAT)}
"""What every segment's footer says first."""

_HOT_BYTES = 16 * 2**20
"""A shape whose Arrow form is larger goes straight to a segment."""


@dataclass
class _Prepared:
    """What a batch becomes: hot rows to insert and segments to name."""

    hot: list[dict[str, Any]] = field(default_factory=list)
    segments: list[tuple[dict[str, Any], list[File]]] = field(default_factory=list)

    def add_hot(self, signal: str, tables: dict[str, pa.Table], low: int, high: int, n: int) -> None:
        self.hot.append({"signal": signal, "t_min": low, "t_max": high, "rows": n, "payload": pack(tables)})


def write_batch(
    root: Path,
    catalog: Catalog,
    writer: SeriesWriter,
    refreshed: Callable[[], SeriesIndex],
    batch: Batch,
    key: str | None,
) -> dict[str, int]:
    """Store a checked batch and return counts by signal; see `Store.write`."""
    nothing = dict.fromkeys(batch.counts(), 0)
    if key is not None:
        with catalog.read() as connection:
            if connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone():
                return nothing
    elif batch.empty():
        return nothing
    ready = _Prepared()
    named = False
    try:
        _prepare_metrics(root, writer, refreshed, batch, ready)
        _prepare_rows(root, batch, ready)
        _prepare_profiles(root, batch, ready)
        with catalog.write() as connection:
            named = _commit(connection, ready, key)
    finally:
        if not named:
            remove(root, [file for _, files in ready.segments for file in files])
    return batch.counts() if named else nothing


def _commit(connection: sqlite3.Connection, ready: _Prepared, key: str | None) -> bool:
    """Name everything under the next write number; return False when the key was there already."""
    seq = next_seq(connection)
    if key is not None:
        claimed = connection.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (key, seq)).rowcount
        if not claimed:
            return False
    for row in ready.hot:
        connection.execute(
            "INSERT INTO hot (signal, seq, t_min, t_max, rows, bytes, crc32, payload)"
            " VALUES (:signal, :seq, :t_min, :t_max, :rows, :bytes, :crc32, :payload)",
            {**row, "seq": seq, "bytes": len(row["payload"]), "crc32": hot_crc(seq=seq, **row)},
        )
    for row, files in ready.segments:
        add_segment(connection, {**row, "seq_min": seq, "seq_max": seq}, files)
    return True


def _prepare_metrics(
    root: Path, writer: SeriesWriter, refreshed: Callable[[], SeriesIndex], batch: Batch, ready: _Prepared
) -> None:
    samples = batch.metrics
    if samples is None or not samples.n_samples:
        return
    kept = np.diff(samples.offsets) > 0
    if not kept.all():
        samples = samples.take(kept)
    ids, _ = writer.resolve(samples.labels, samples.kind, samples.unit)
    time = samples.time.view(np.int64)
    if samples.value.nbytes * 2 > _HOT_BYTES:
        flat = newest(Flat(np.repeat(ids, np.diff(samples.offsets)), time, samples.value))
        ready.segments.append(metrics.write_segment(root, flat, refreshed(), META))
    else:
        table = metrics.hot_table(ids, samples.offsets, time, samples.value)
        ready.add_hot("metrics", {"metrics": table}, int(time.min()), int(time.max()), len(time))


def _prepare_rows(root: Path, batch: Batch, ready: _Prepared) -> None:
    for signal in ("logs", "spans", "events"):
        frame = getattr(batch, signal)
        if frame is None or not len(frame):
            continue
        table = rows.to_arrow(frame, signal)
        if table.nbytes > _HOT_BYTES:
            ready.segments += [rows.write_segment(root, signal, part, META) for part in rows.by_day(table)]
        else:
            time = table["time"].to_numpy().view(np.int64)
            ready.add_hot(signal, {"rows": table}, int(time[0]), int(time[-1]), len(time))


def _prepare_profiles(root: Path, batch: Batch, ready: _Prepared) -> None:
    shape = batch.profiles
    if shape is None or not len(shape):
        return
    tables = profiles.to_tables(shape)
    if sum(t.nbytes for t in tables.values()) > _HOT_BYTES:
        ready.segments.append(profiles.write_segment(root, tables, META))
    else:
        time = tables["samples"]["time"].to_numpy().view(np.int64)
        ready.add_hot("profiles", tables, int(time[0]), int(time[-1]), len(time))
