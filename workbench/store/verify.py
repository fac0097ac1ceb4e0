"""Whether a store is sound: every checksum of the catalog and of its files, every chunk decoded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.store import metrics
from workbench.store.catalog import Catalog
from workbench.store.files import File, Gone, check_file
from workbench.store.places import Place
from workbench.store.series import verify_series
from workbench.store.snapshot import Segment, load_hot, load_segments

__all__ = ["verify"]


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
