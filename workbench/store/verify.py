"""What the store holds and whether it is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.signals import SIGNALS
from workbench.store import metrics
from workbench.store.catalog import Catalog
from workbench.store.files import File, Gone, check_file
from workbench.store.series import SeriesIndex, text_hash
from workbench.store.snapshot import load_hot, load_segments

__all__ = ["status", "verify"]


def _iso(ns: int | None) -> str | None:
    return None if ns is None else str(np.datetime64(ns, "ns"))


def status(catalog: Catalog) -> dict[str, Any]:
    """Return counts, bytes and time ranges; see `Store.status`."""
    with catalog.read() as connection:
        series = connection.execute("SELECT count(*) FROM series").fetchone()[0]
        found = connection.execute(
            "SELECT signal, tier, count(*), sum(rows), sum(bytes), min(t_min), max(t_max) FROM ("
            "SELECT signal, 'hot' AS tier, rows, bytes, t_min, t_max FROM hot UNION ALL"
            " SELECT signal, tier, rows, bytes, t_min, t_max FROM segments WHERE retired IS NULL) GROUP BY signal, tier"
        ).fetchall()
    tiers = {"hot": 0, "warm": 0, "cold": 0}
    signals: dict[str, dict[str, Any]] = {}
    for signal in SIGNALS:
        parts = [row[1:] for row in found if row[0] == signal]
        for tier, _, _, size, _, _ in parts:
            tiers[tier] += size
        signals[signal] = {
            "rows": sum(p[2] for p in parts),
            "bytes": sum(p[3] for p in parts),
            "segments": sum(p[1] for p in parts if p[0] != "hot"),
            "start": _iso(min((p[4] for p in parts), default=None)),
            "end": _iso(max((p[5] for p in parts), default=None)),
        }
    index = max(catalog.bytes_on_disk() - tiers["hot"], 0)
    return {
        "samples": signals["metrics"]["rows"],
        "series": series,
        "bytes": {"total": sum(tiers.values()) + index, **tiers, "index": index},
        "signals": signals,
    }


def verify(root: Path, catalog: Catalog) -> list[str]:
    """Return one sentence for each damage; see `Store.verify`."""
    try:
        problems, files = _verify_catalog(catalog)
    except StoreError as error:
        return [str(error)]
    for signal, file in files:
        problem = _check(root, signal, file)
        if problem and _still_named(catalog, file):
            problems.append(problem)
    return problems


def _verify_catalog(catalog: Catalog) -> tuple[list[str], list[tuple[str, File]]]:
    """Return the damage found in the catalog and the files it names."""
    problems: list[str] = []
    with catalog.read() as connection:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                problems.append(f"catalog {catalog.path} is damaged: {text}.")
        for number, digest, labels in connection.execute("SELECT id, hash, labels FROM series"):
            if text_hash(labels) != digest:
                problems.append(f"series {number} has labels that do not match their hash: restore the catalog.")
        problems += _said(lambda: SeriesIndex().refresh(connection))
        for (number,) in connection.execute("SELECT id FROM hot").fetchall():
            problems += _said(partial(load_hot, connection, [number]))
        files: list[tuple[str, File]] = []
        for (number,) in connection.execute("SELECT id FROM segments WHERE retired IS NULL").fetchall():
            problems += _said(partial(_list_files, connection, number, files))
    return problems, files


def _list_files(connection: sqlite3.Connection, number: int, files: list[tuple[str, File]]) -> None:
    for segment in load_segments(connection, "id = ?", (number,)):
        files += [(segment.signal, file) for file in segment.files]


def _said(work: Callable[[], object]) -> list[str]:
    """Return what a piece of work complains of."""
    try:
        work()
    except StoreError as error:
        return [str(error)]
    return []


def _check(root: Path, signal: str, file: File) -> str:
    try:
        problem = check_file(root, file)
        if problem or signal != "metrics":
            return problem
        chunks = metrics.Chunks(root, file)
        rows = np.arange(len(chunks.count))
        total = int(chunks.count.sum())
        at = np.cumsum(chunks.count) - chunks.count
        chunks.fill(rows, at, np.empty(total, np.int64), np.empty(total))
    except Gone:
        return f"segment {root / file.path} is missing: restore it from a copy."
    except StoreError as error:
        return str(error)
    return ""


def _still_named(catalog: Catalog, file: File) -> bool:
    with catalog.read() as connection:
        return connection.execute("SELECT 1 FROM files WHERE path = ?", (file.path,)).fetchone() is not None
