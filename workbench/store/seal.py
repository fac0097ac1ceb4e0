"""Sealing: hot rows become segments. Files first, then one transaction that names them and deletes the rows.

Rows are sealed in runs: a run ends where a segment was written between its rows whose times overlap theirs, because a
segment's last write number decides between repetitions and must not leap over that segment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.signals import SIGNALS
from workbench.store import metrics, profiles, rows
from workbench.store.catalog import Catalog
from workbench.store.chunks import Flat
from workbench.store.clean import tidy
from workbench.store.crash import reach
from workbench.store.files import Made, add_segment, check_there, remove
from workbench.store.hot_flat import hot_flat
from workbench.store.places import Folder
from workbench.store.series import SeriesIndex
from workbench.store.snapshot import Hot, load_hot
from workbench.store.tier import forget
from workbench.store.write import META

__all__ = ["seal", "seal_when_large"]

_RUN_BYTES = 256 * 2**20
_HOT_BYTES = 64 * 2**20
HOT_ROWS = 2000
_LEASE_NS = 120 * 10**9


def seal_when_large(place: Folder, catalog: Catalog, refreshed: Callable[[], SeriesIndex]) -> None:
    """Seal when hot rows have grown so many that reading them is slow, unless another process is at it.

    The lease only saves work: it ends by itself, and two that seal at once do no harm.
    """
    with catalog.read() as connection:
        count, size = connection.execute(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM hot WHERE signal > ''"
        ).fetchone()
    if count < HOT_ROWS and size < _HOT_BYTES:
        return
    now = time.time_ns()
    lease = "UPDATE meta SET value = ? WHERE name = 'sealing_until' AND value < ?"
    with catalog.write() as connection:
        mine = connection.execute(lease, (now + _LEASE_NS, now)).rowcount
    if mine:
        try:
            seal(place, catalog, refreshed)
        finally:
            with catalog.write() as connection:
                connection.execute("UPDATE meta SET value = 0 WHERE name = 'sealing_until'")


def seal(place: Folder, catalog: Catalog, refreshed: Callable[[], SeriesIndex]) -> dict[str, int]:
    """Seal every hot row there is now; return the rows this process sealed, by signal."""
    done = dict.fromkeys(SIGNALS, 0)
    for signal in SIGNALS:
        for run in _runs(catalog, signal):
            done[signal] += _seal_run(place, catalog, refreshed, signal, run)
    tidy(place, catalog)
    forget(catalog, {"warm": place})
    return done


def _runs(catalog: Catalog, signal: str) -> list[list[int]]:
    """Return the ids of the hot rows of a signal, run by run."""
    with catalog.read() as connection:
        hot = connection.execute(
            "SELECT id, seq, t_min, t_max, bytes FROM hot WHERE signal = ? ORDER BY id", (signal,)
        ).fetchall()
        between = connection.execute(
            "SELECT seq_max, t_min, t_max FROM segments"
            " WHERE signal = ? AND retired IS NULL AND seq_max > ? ORDER BY seq_max",
            (signal, hot[0][1] if hot else 0),
        ).fetchall()
    runs: list[list[int]] = []
    low = high = size = last = 0
    for number, seq, t_min, t_max, count in hot:
        low_now, high_now = min(low, t_min), max(high, t_max)
        leaps = any(last < s < seq and a <= high_now and b >= low_now for s, a, b in between)
        if not runs or leaps or size + count > _RUN_BYTES:
            runs.append([])
            low_now, high_now, size = t_min, t_max, 0
        runs[-1].append(number)
        low, high, size, last = low_now, high_now, size + count, (last if len(runs[-1]) > 1 else seq)
    return runs


def _seal_run(
    place: Folder, catalog: Catalog, refreshed: Callable[[], SeriesIndex], signal: str, run: list[int]
) -> int:
    """Seal some hot rows into segments; return how many rows, 0 when another process took any of them first."""
    with catalog.read() as connection:
        hot = list(load_hot(connection, run).values())
    if len(hot) != len(run):
        return 0
    made = _write(place, refreshed, signal, hot)
    reach("seal.written")
    named = False
    try:
        with catalog.write() as connection:
            named = _swap(connection, place, hot, made)
    finally:
        if not named:
            remove(place, [file for part in made for file in part.files])
    reach("seal.committed")
    return sum(part.row["rows"] for part in made) if named else 0


def _write(place: Folder, refreshed: Callable[[], SeriesIndex], signal: str, hot: Sequence[Hot]) -> list[Made]:
    meta = {**META, "seq_min": str(hot[0].seq), "seq_max": str(hot[-1].seq)}
    if signal == "metrics":
        merged = hot_flat([h.samples for h in hot])
        flat = Flat(merged.series, merged.time, merged.value)
        return [metrics.write_segment(place, flat, refreshed(), meta)]
    if signal == "profiles":
        parts = [profiles.from_tables(h.tables, -(2**63), 2**63 - 1, {}) for h in hot]
        tables = profiles.to_tables(profiles.join([p for p in parts if p is not None]))
        return [profiles.write_segment(place, tables, meta)]
    table = rows.unify([h.tables["rows"] for h in hot])
    table = table.take(pa.array(np.argsort(table["time"].to_numpy(), kind="stable")))
    return [rows.write_segment(place, signal, part, meta) for part in rows.by_day(table)]


def _swap(connection: Any, place: Folder, hot: Sequence[Hot], made: list[Made]) -> bool:
    """Delete the rows and name the segments; return False, having changed nothing, when a row is gone already."""
    for h in hot:
        there = connection.execute("SELECT 1 FROM hot WHERE id = ?", (h.id,)).fetchone()
        if there is None:
            return False
    connection.executemany("DELETE FROM hot WHERE id = ?", [(h.id,) for h in hot])
    for part in made:
        check_there(place, part)
        add_segment(connection, part, hot[0].seq, hot[-1].seq)
    return True
