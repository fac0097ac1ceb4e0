"""What the store holds and whether it is sound."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.signals import SIGNALS
from workbench.store import metrics
from workbench.store.catalog import Catalog
from workbench.store.files import File, Gone, check_file
from workbench.store.places import Place
from workbench.store.series import count_series, verify_series
from workbench.store.snapshot import Segment, load_hot, load_segments

__all__ = ["status", "verify"]


def _iso(ns: int | None) -> str | None:
    return None if ns is None else str(np.datetime64(ns, "ns"))


def status(catalog: Catalog) -> dict[str, Any]:
    """Return counts, bytes and time ranges; see `Store.status`."""
    with catalog.read() as connection:
        series = count_series(connection)
        found = connection.execute(
            "SELECT signal, tier, count(*), sum(rows), sum(bytes), min(t_min), max(t_max) FROM ("
            "SELECT signal, 'hot' AS tier, rows, bytes, t_min, t_max FROM hot UNION ALL"
            " SELECT signal, tier, rows, bytes, t_min, t_max FROM segments WHERE retired IS NULL) AS parts GROUP BY signal, tier"
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


def verify(catalog: Catalog, places: Mapping[str, Place]) -> list[str]:
    """Return one sentence for each damage; see `Store.verify`."""
    try:
        problems, files = _verify_catalog(catalog)
    except StoreError as error:
        return [str(error)]
    for segment, packed in files:
        found = _check(places, segment, packed)
        if found and _still_live(catalog, segment):
            problems += found
    return problems


def _verify_catalog(catalog: Catalog) -> tuple[list[str], list[tuple[Segment, bytes | None]]]:
    """Return the damage found in the catalog, and the segments it names with their chunk indexes."""
    problems: list[str] = []
    segments: list[tuple[Segment, bytes | None]] = []
    with catalog.read() as connection:
        problems += catalog.integrity()
        problems += verify_series(connection)
        for (number,) in connection.execute("SELECT id FROM hot").fetchall():
            problems += _said(partial(load_hot, connection, [number]))
        for (number,) in connection.execute("SELECT id FROM segments WHERE retired IS NULL").fetchall():
            problems += _said(partial(_list, connection, number, segments))
        for number, blob, crc32 in connection.execute("SELECT segment, blob, crc32 FROM chunks"):
            if zlib.crc32(blob) != crc32:
                problems.append(f"the chunk index of segment {number} is damaged: restore the catalog.")
    return problems, segments


def _list(connection: Any, number: int, segments: list[tuple[Segment, bytes | None]]) -> None:
    row = connection.execute("SELECT blob, crc32 FROM chunks WHERE segment = ?", (number,)).fetchone()
    packed = row[0] if row is not None and zlib.crc32(row[0]) == row[1] else None
    segments += [(segment, packed) for segment in load_segments(connection, "id = ?", (number,))]


def _said(work: Callable[[], object]) -> list[str]:
    """Return what a piece of work complains of."""
    try:
        work()
    except StoreError as error:
        return [str(error)]
    return []


def _check(places: Mapping[str, Place], segment: Segment, packed: bytes | None) -> list[str]:
    """Return what is wrong with the files of one segment, chunk by chunk where it holds samples."""
    place = places.get(segment.tier)
    if place is None:
        return [f"segment {segment.files[0].path} cannot be checked: the {segment.tier} tier is not in reach."]
    found = []
    for file in segment.files:
        try:
            problem = check_file(place, file)
            if segment.signal == "metrics" and (problem or packed is not None):
                problem = _check_chunks(place, file, packed) or problem
        except Gone:
            problem = f"segment {place.url}/{file.path} is missing: restore it from a copy."
        except StoreError as error:
            problem = str(error)
        found += [problem] if problem else []
    return found


def _check_chunks(place: Place, file: File, packed: bytes | None) -> str:
    """Return which chunks of a file do not decode to what its index and its statistics say."""
    index = metrics.load_index(place, file, packed)
    index.sound[:] = False
    chunks = metrics.Chunks(place, file, index)
    rows = np.arange(len(index))
    bounds = np.concatenate([[0], np.cumsum(index.count[index.group])])
    time, value = np.empty(bounds[-1], np.int64), np.empty(bounds[-1])
    bad = chunks.fill(rows, bounds[:-1], time, value)
    return chunks.damaged(bad, lambda ids: [f"series {number}" for number in ids.tolist()]) if len(bad) else ""


def _still_live(catalog: Catalog, segment: Segment) -> bool:
    with catalog.read() as connection:
        query = "SELECT tier FROM segments WHERE id = ? AND retired IS NULL"
        row = connection.execute(query, (segment.id,)).fetchone()
    return row is not None and row[0] == segment.tier
