"""What a store holds, how large it is, and what its policy will do next."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs import by_id
from workbench.signals import SIGNALS
from workbench.store.catalog import Catalog
from workbench.store.chunk_index import ChunkIndex
from workbench.store.retention import Policy, due
from workbench.store.rollup_segment import SIGNAL
from workbench.store.series import cardinality, count_series

__all__ = ["detailed", "status"]

_RAW_BYTES = 16  # a time and a value

_PARTS = (
    "SELECT signal, tier, count(*), sum(rows), sum(bytes), min(t_min), max(t_max) FROM ("
    "SELECT signal, 'hot' AS tier, rows, bytes, t_min, t_max FROM hot UNION ALL"
    " SELECT signal, tier, rows, bytes, t_min, t_max FROM segments WHERE retired IS NULL) AS parts GROUP BY signal, tier"
)


def _iso(ns: int | None) -> str | None:
    return None if ns is None else str(np.datetime64(ns, "ns"))


def status(catalog: Catalog) -> dict[str, Any]:
    """Return counts, bytes and time ranges; see `Store.status`."""
    with catalog.read() as connection:
        series = count_series(connection)
        found = connection.execute(_PARTS).fetchall()
    tiers = {"hot": 0, "warm": 0, "cold": 0}
    signals: dict[str, dict[str, Any]] = {}
    for signal in (*SIGNALS, SIGNAL):
        parts = [row[1:] for row in found if row[0] == signal]
        for tier, _, _, size, _, _ in parts:
            tiers[tier] += int(size)
        signals[signal] = {
            "rows": sum(int(p[2]) for p in parts),
            "bytes": sum(int(p[3]) for p in parts),
            "segments": sum(p[1] for p in parts if p[0] != "hot"),
            "start": _iso(min((p[4] for p in parts), default=None)),
            "end": _iso(max((p[5] for p in parts), default=None)),
        }
    index = max(catalog.bytes_on_disk() - tiers["hot"], 0)
    return {
        "samples": signals["metrics"]["rows"],
        "series": series,
        "bytes": {"total": sum(tiers.values()) + index, **tiers, "index": index},
        "signals": {signal: signals[signal] for signal in SIGNALS},
        "rollups": signals[SIGNAL],
    }


def detailed(catalog: Catalog, policy: Policy) -> dict[str, Any]:
    """Return `status` with codecs, compression, sources and what the policy will do next; it reads every chunk index."""
    told = status(catalog)
    samples = told["samples"]
    size = told["signals"]["metrics"]["bytes"] + told["bytes"]["index"]
    each = size / samples if samples else 0.0
    with catalog.read() as connection:
        sources = cardinality(connection)
        blobs = connection.execute(
            "SELECT blob FROM chunks JOIN segments ON segment = id WHERE retired IS NULL AND signal = 'metrics'"
        ).fetchall()
    return {
        **told,
        "compression": {"bytes_per_sample": each, "ratio": _RAW_BYTES / each if each else 0.0},
        "codecs": _codecs([bytes(row[0]) for row in blobs]),
        "sources": sources,
        "next": due(catalog, policy),
    }


def _codecs(packed: list[bytes]) -> dict[str, dict[str, int]]:
    """Return chunks and bytes by codec; identical chunks count their bytes once."""
    chunks, size = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for blob in packed:
        try:
            index = ChunkIndex.unpack(blob)
        except ValueError:  # verify names it
            continue
        chunks += np.bincount(index.codec, minlength=256)
        _, first = np.unique(index.blob, return_index=True)
        size += np.bincount(index.codec[first], index.length[index.blob[first]], 256).astype(np.int64)
    return {by_id(i).name: {"chunks": int(chunks[i]), "bytes": int(size[i])} for i in np.flatnonzero(chunks).tolist()}
