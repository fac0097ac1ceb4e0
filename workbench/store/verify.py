"""What the store holds and whether it is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.signals import SIGNALS
from workbench.store import metrics
from workbench.store.catalog import Catalog
from workbench.store.files import File, Gone, check_file
from workbench.store.hot import unpack
from workbench.store.series import _hash

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
    problems: list[str] = []
    with catalog.read() as connection:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                problems.append(f"catalog {catalog.path} is damaged: {text}.")
        for number, digest, labels in connection.execute("SELECT id, hash, labels FROM series"):
            if _hash(labels) != digest:
                problems.append(f"series {number} has labels that do not match their hash: restore the catalog.")
        for number, signal, crc32, payload in connection.execute("SELECT id, signal, crc32, payload FROM hot"):
            try:
                unpack(payload, crc32)
            except ValueError as error:
                problems.append(f"hot row {number} of {signal} is damaged, {error}: restore the catalog.")
        files = [(row[0], File(*row[1:])) for row in connection.execute(
            "SELECT signal, role, path, files.bytes, crc32 FROM files JOIN segments ON segment = id WHERE retired IS NULL"
        )]  # fmt: skip
    for signal, file in files:
        problem = _check(root, signal, file)
        if problem and _still_named(catalog, file):
            problems.append(problem)
    return problems


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
