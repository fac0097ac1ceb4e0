"""Compaction: many small segments of a day become few large ones, packed as small as they get.

Segments that share a day are joined; a day reaches from just after midnight to the next midnight, included, as the
buckets of rollups do. The new segments are named and the old ones retired in one transaction: of two processes that
compact the same segments one wins, and the other removes its files.

A joined segment takes the largest write number of its parts, so parts may be joined only when nothing outside them was
written between and overlaps them: it would change places with a part (see Repetitions in `FORMAT.md`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.errors import StoreError
from workbench.signals import SIGNALS
from workbench.store import metrics, profiles, rows
from workbench.store.catalog import Catalog
from workbench.store.chunks import Flat
from workbench.store.crash import reach
from workbench.store.files import Made, add_segment, check_there, remove
from workbench.store.gather import gather
from workbench.store.places import Folder
from workbench.store.reader import Reader
from workbench.store.snapshot import load_segments
from workbench.store.write import META

__all__ = ["DAY_NS", "compact", "day_of_sample"]

DAY_NS = 86_400 * 10**9
_SETTLED_NS = 3600 * 10**9  # samples an hour late still find their day open
_MANY = 8
_PART = 16_000_000  # samples of one segment
_ROW_BYTES = 256 * 2**20


@dataclass(frozen=True)
class _Input:
    """One live local segment, as the catalog has it; `days` are the first and the last it holds rows of."""

    id: int
    rank: int
    seq_min: int
    t_min: int
    t_max: int
    rows: int
    bytes: int
    path: str
    compacted: bool
    days: tuple[int, int]


def day_of_sample(ns: int) -> int:
    """Return the number of the day that an instant of a metric belongs to: midnight ends a day."""
    return (ns - 1) // DAY_NS


def compact(place: Folder, catalog: Catalog, reader: Reader, *, everything: bool = False) -> dict[str, int]:
    """Join the segments that are worth it; return how many were replaced, by signal.

    Parameters
    ----------
    place : Folder
        The store's own folder.
    catalog : Catalog
    reader : Reader
    everything : bool
        Also days that are not over yet.
    """
    done = dict.fromkeys(SIGNALS, 0)
    for signal in SIGNALS:
        found, others = _listed(catalog, signal)
        for group in _groups(found, signal, everything):
            if _leaps(group, [o for o in others if o[0] not in {g.id for g in group}]):
                continue
            done[signal] += _replace(place, catalog, reader, signal, group)
    return done


def _listed(catalog: Catalog, signal: str) -> tuple[list[_Input], list[tuple[int, int, int, int]]]:
    """Return the live local segments of a signal, and id, write number and times of everything there is of it."""
    with catalog.read() as connection:
        listed = connection.execute(
            "SELECT id, seq_max, seq_min, segments.t_min, segments.t_max, rows, segments.bytes, path, replaces, tier"
            " FROM segments JOIN files ON segment = id"
            " WHERE signal = ? AND retired IS NULL AND role IN ('chunks', 'rows', 'samples') ORDER BY seq_max, id",
            (signal,),
        ).fetchall()
        hot = connection.execute("SELECT seq, t_min, t_max FROM hot WHERE signal = ?", (signal,)).fetchall()
    found = []
    for number, rank, first, t_min, t_max, count, size, path, replaces, tier in listed:
        days = (
            (day_of_sample(t_min), day_of_sample(t_max)) if signal == "metrics" else (t_min // DAY_NS, t_max // DAY_NS)
        )
        if tier == "warm":
            old = replaces != "[]"
            found.append(_Input(number, rank, first, t_min, t_max, count, size, path, old, days))
    others = [(row[0], row[1], row[3], row[4]) for row in listed] + [(-1, *row) for row in hot]
    return found, others


def _groups(found: Sequence[_Input], signal: str, everything: bool) -> Iterator[list[_Input]]:
    """Yield the segments to be joined: those that share days, when that is worth it."""
    today = time.time_ns() - _SETTLED_NS
    for group in _sharing_days(found):
        low, high = min(g.days[0] for g in group), max(g.days[1] for g in group)
        open_still = (high + 1) * DAY_NS > today
        if open_still and not everything and len(group) < _MANY:
            continue
        if signal != "metrics":
            yield from _same_day(group)
        elif (len(group) > 1 and not _split_already(group)) or low != high or not group[0].compacted:
            yield sorted(group, key=lambda g: (g.rank, g.id))


def _sharing_days(found: Sequence[_Input]) -> list[list[_Input]]:
    """Return segments in groups whose days do not meet."""
    groups: list[list[_Input]] = []
    end = None
    for one in sorted(found, key=lambda f: f.days):
        if end is None or one.days[0] > end:
            groups.append([])
            end = one.days[1]
        groups[-1].append(one)
        end = max(end, one.days[1])
    return groups


def _split_already(group: Sequence[_Input]) -> bool:
    """Return whether a day's segments were made by one compaction that had to cut it by series."""
    return all(g.compacted for g in group) and len({(g.rank, g.seq_min) for g in group}) == 1


def _same_day(group: Sequence[_Input]) -> Iterator[list[_Input]]:
    """Yield runs of row segments of one day each, up to a size; one that spans days stays as it is."""
    run: list[_Input] = []
    for one in sorted((g for g in group if g.days[0] == g.days[1]), key=lambda g: (g.days, g.rank, g.id)):
        full = sum(r.bytes for r in run) + one.bytes > _ROW_BYTES
        if run and (full or run[-1].days != one.days):
            if len(run) > 1:
                yield run
            run = []
        run.append(one)
    if len(run) > 1:
        yield run


def _leaps(group: Sequence[_Input], others: Sequence[tuple[int, int, int, int]]) -> bool:
    """Return whether anything outside a group was written between its parts and overlaps an older one of them."""
    last = max(g.rank for g in group)
    return any(
        g.rank < rank < last and low <= g.t_max and high >= g.t_min for _, rank, low, high in others for g in group
    )


def _replace(place: Folder, catalog: Catalog, reader: Reader, signal: str, group: Sequence[_Input]) -> int:
    """Write the joined segments and swap them in; return how many went, 0 when another process was first."""
    ids = [g.id for g in group]
    low, high = min(g.seq_min for g in group), max(g.rank for g in group)
    replaced = json.dumps([g.path for g in group])
    meta = {**META, "seq_min": str(low), "seq_max": str(high), "replaces": replaced}
    made: list[Made] = []
    named = False
    try:
        for part in _write(place, catalog, reader, signal, group, meta):
            made += [part]  # one by one, so that what was written is removed when the next one fails
        if made:
            reach("compact.written")
            with catalog.write() as connection:
                named = _swap(connection, place, ids, made, (low, high))
    finally:
        if not named:
            remove(place, [file for part in made for file in part.files])
    reach("compact.committed")
    return len(ids) if named else 0


def _swap(connection: Any, place: Folder, ids: Sequence[int], made: Sequence[Made], seqs: tuple[int, int]) -> bool:
    """Name the new segments and retire the old; return False, having changed nothing, when any of these went before."""
    for number in ids:
        row = connection.execute("SELECT tier FROM segments WHERE id = ? AND retired IS NULL", (number,)).fetchone()
        if row is None or row[0] != "warm":
            return False
    for part in made:
        check_there(place, part)
        add_segment(connection, part, *seqs, replaces=json.dumps(list(ids)))
    now = time.time_ns()
    connection.executemany("UPDATE segments SET retired = ? WHERE id = ?", [(now, number) for number in ids])
    return True


def _write(
    place: Folder, catalog: Catalog, reader: Reader, signal: str, group: Sequence[_Input], meta: Mapping[str, str]
) -> Iterator[Made]:
    with catalog.read() as connection:
        marks = ", ".join("?" * len(group))
        segments = load_segments(connection, f"id IN ({marks})", [g.id for g in group])
    if signal == "metrics":
        packed = reader.packed(segments)
        chunks = [(s.rank, reader.chunks(s, packed.get(s.id))) for s in segments]
        days = range(min(g.days[0] for g in group), max(g.days[1] for g in group) + 1)
        for day in days:
            yield from _write_day(place, reader, chunks, day, meta)
    elif signal == "profiles":
        parts = [profiles.from_tables(profiles.read_segment(place, s.files), -(2**63), 2**63 - 1, {}) for s in segments]
        shapes = [p for p in parts if p is not None]
        if len({(p.period, tuple(sorted(p.unit.items()))) for p in shapes}) == 1:
            yield profiles.write_segment(place, profiles.to_tables(profiles.join(shapes)), meta)
    else:
        tables = [t for s in segments for t in rows.read_segment(place, s.files[0], -(2**63), 2**63 - 1, None, {})]
        if _agree(tables):  # otherwise values would be converted to a common type, and twice when more comes
            table = rows.unify(tables)
            order = np.argsort(table["time"].to_numpy(), kind="stable")
            yield rows.write_segment(place, signal, table.take(pa.array(order)), meta)


def _agree(tables: Sequence[pa.Table]) -> bool:
    kinds: dict[str, pa.DataType] = {}
    return all(kinds.setdefault(f.name, f.type) == f.type for t in tables for f in t.schema)


def _write_day(
    place: Folder, reader: Reader, chunks: Sequence[tuple[int, metrics.Chunks]], day: int, meta: Mapping[str, str]
) -> Iterator[Made]:
    """Write the samples of one day, in as many segments as their number asks for."""
    low, high = day * DAY_NS + 1, (day + 1) * DAY_NS + 1
    counts = np.zeros(reader.index.size + 1, np.int64)
    for _, chunk in chunks:
        index = chunk.index
        inside = (index.t_max[index.group] >= low) & (index.t_min[index.group] < high)
        np.add.at(counts, index.series[inside], index.count[index.group[inside]])
    ids = np.flatnonzero(counts)
    part = np.cumsum(counts[ids]) // _PART
    for number in np.unique(part).tolist():
        chosen = ids[part == number]
        found, offsets, instants, values = gather(
            chunks, [], chosen, reader.index.size, low, high, _refuse, reader.index.texts
        )
        if len(values):
            flat = Flat(np.repeat(found, np.diff(offsets)), instants, values)
            yield metrics.write_segment(place, flat, reader.index, meta, metrics.COMPACTED)


def _refuse(sentence: str) -> None:
    raise StoreError(f"{sentence[:-1]} before it is compacted.")
