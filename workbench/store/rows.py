"""Row segments: logs, spans and events as Parquet sorted by time, one segment per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import StoreError
from workbench.store.files import File, Made, day_of, open_file, write_file
from workbench.store.frames import REQUIRED, mask, to_arrow, to_frame, unify
from workbench.store.places import Folder, Place

__all__ = ["by_day", "hot_rows", "read_segment", "select", "to_arrow", "to_frame", "unify", "write_segment"]

_ROW_GROUP = 16_384
_DAY = 86_400 * 10**9
_MOST_DAYS = 31


def by_day(table: pa.Table) -> list[pa.Table]:
    """Return a table sorted by time cut at midnights (UTC); uncut when it spans so many days that files would swarm."""
    day = table["time"].to_numpy().view(np.int64) // _DAY
    cuts = np.flatnonzero(np.diff(day)) + 1
    if len(cuts) >= _MOST_DAYS:
        return [table]
    edges = [0, *cuts.tolist(), len(table)]
    return [table.slice(a, b - a) for a, b in pairwise(edges)]


def write_segment(place: Folder, signal: str, table: pa.Table, meta: Mapping[str, str]) -> Made:
    """Write rows sorted by time as a durable segment; return its catalog row (without write numbers) and its files."""
    time = table["time"].to_numpy().view(np.int64)
    row: dict[str, Any] = {"signal": signal, "t_min": int(time[0]), "t_max": int(time[-1]), "rows": len(table)}
    table = table.replace_schema_metadata({**meta, **{k: str(v) for k, v in row.items()}})
    folder = f"{signal}/{day_of(int(time[0]))}"
    file, _ = write_file(place, folder, "rows", table, row_group_size=_ROW_GROUP, compression="zstd")
    return Made(row, [file])


def read_segment(
    place: Place, file: File, start: int, end: int, columns: Sequence[str] | None, where: Mapping[str, Sequence[str]]
) -> list[pa.Table]:
    """Return the matching rows of a segment, row groups that cannot hold any left unread.

    Raises
    ------
    StoreError
        If the file is damaged; the message names it.
    """
    parquet = open_file(place, file)
    try:
        have = parquet.schema_arrow.names
        if any(name not in have for name in where):
            return []
        needed = ["time", *where]
        wanted = [c for c in have if columns is None or c in columns or c in needed]
        groups = [
            g for g in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(g), start, end, where)
        ]
        tables = []
        for group in groups:
            keep = None
            if where:  # the columns of the condition first: most row groups end here
                keep = mask(parquet.read_row_group(group, columns=needed), start, end, where)
                if not keep.any():
                    continue
            table = parquet.read_row_group(group, columns=wanted).select(wanted)
            keep = mask(table, start, end, {}) if keep is None else keep
            tables.append(table if keep.all() else table.filter(pa.array(keep)))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"segment {place.url}/{file.path} cannot be read ({error}): restore it from a copy."
        ) from error
    return [t for t in tables if len(t)]


def _may_hold(group: pq.RowGroupMetaData, start: int, end: int, where: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a row group's statistics allow a match."""
    for i in range(group.num_columns):
        column = group.column(i)
        stats = column.statistics
        if stats is None or not stats.has_min_max:
            continue
        if column.path_in_schema == "time":
            low, high = (pd.Timestamp(t).value for t in (stats.min, stats.max))
            if high < start or low >= end:
                return False
        wanted = where.get(column.path_in_schema)
        if wanted is not None and isinstance(stats.min, str) and not any(stats.min <= w <= stats.max for w in wanted):
            return False
    return True


def hot_rows(
    table: pa.Table, start: int, end: int, columns: Sequence[str] | None, where: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Return the matching rows of one hot table."""
    keep = mask(table, start, end, where)
    if columns is not None:
        table = table.select([c for c in table.column_names if c in columns or c == "time"])
    return table if keep.all() else table.filter(pa.array(keep))


def select(signal: str, columns: Sequence[str] | None) -> list[str] | None:
    """Return which columns must be read for a shape with the wanted attributes, None for all."""
    return None if columns is None else list(dict.fromkeys([*REQUIRED[signal], *columns]))
