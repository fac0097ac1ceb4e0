"""Profiles on their way to segments and hot rows, and back: samples, the tree of stacks, and frames, interned.

A profile segment is three files (`samples`, `stacks`, `frames`) whose row numbers point into each other; parts are
joined level by level of the tree, so that work goes by arrays and not by call stacks.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from workbench.errors import StoreError
from workbench.signals import Profiles, build_profiles
from workbench.store.files import File, Made, day_of, open_file, write_file
from workbench.store.frames import mask, to_arrow, unify
from workbench.store.places import Folder, Place

__all__ = ["from_tables", "join", "read_segment", "to_tables", "write_segment"]

_ROW_GROUP = 65_536
_SAMPLES = ["time", "service", "env", "sample_type", "stack", "value"]


def to_tables(profiles: Profiles) -> dict[str, pa.Table]:
    """Return the three tables of a checked profile, samples sorted by time; units and period ride as metadata."""
    samples = profiles.samples.sort_values("time", kind="stable", ignore_index=True)
    about = {"unit": json.dumps(dict(profiles.unit), sort_keys=True), "period": str(profiles.period)}
    frames = profiles.frames[["function", "file", "line"]]
    return {
        "samples": to_arrow(samples, "profiles").replace_schema_metadata(about),
        "stacks": pa.table({name: profiles.stacks[name].to_numpy().astype(np.int32) for name in ("parent", "frame")}),
        "frames": to_arrow(frames, "frames"),
    }


def write_segment(place: Folder, tables: dict[str, pa.Table], meta: Mapping[str, str]) -> Made:
    """Write the three tables as durable files; return the catalog row (without write numbers) and the files."""
    time = tables["samples"]["time"].to_numpy().view(np.int64)
    row: dict[str, Any] = {"signal": "profiles", "t_min": int(time[0]), "t_max": int(time[-1]), "rows": len(time)}
    footer = {**meta, **{k: str(v) for k, v in row.items()}, "segment": uuid.uuid4().hex}  # joins the three files
    files = []
    for role, table in tables.items():
        about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        table = table.replace_schema_metadata({**about, **footer})
        folder = f"profiles/{day_of(int(time[0]))}"
        files.append(write_file(place, folder, role, table, row_group_size=_ROW_GROUP, compression="zstd")[0])
    return Made(row, files)


def read_segment(place: Place, files: Sequence[File]) -> dict[str, pa.Table]:
    """Return the three tables of a segment.

    Raises
    ------
    StoreError
        If a file is damaged; the message names it.
    """
    tables = {}
    for file in files:
        try:
            tables[file.role] = open_file(place, file).read()
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"segment {place.url}/{file.path} cannot be read ({error}): restore it from a copy."
            ) from error
    return tables


def from_tables(
    tables: dict[str, pa.Table], start: int, end: int, where: Mapping[str, Sequence[str]]
) -> Profiles | None:
    """Return the matching samples of one part, None when there are none; columns as Arrow gives them."""
    samples = tables["samples"]
    keep = mask(samples, start, end, where)
    if not keep.any():
        return None
    about = samples.schema.metadata or {}
    return Profiles(
        (samples if keep.all() else samples.filter(pa.array(keep))).to_pandas(),
        tables["stacks"].to_pandas(),
        tables["frames"].to_pandas(),
        MappingProxyType(json.loads(about.get(b"unit", b"{}"))),
        int(about.get(b"period", b"0")),
    )


def join(parts: Sequence[Profiles]) -> Profiles:
    """Return parts as one, samples sorted by time, stacks and frames interned anew.

    The fast twin of `signals.concat_profiles`: one pass per level of the stack tree instead of one per node.
    """
    if not parts:
        return build_profiles({"time": [], "stack": [], "value": []}, [])
    frames = pd.concat([p.frames for p in parts], ignore_index=True)
    frame_id = frames.groupby(["function", "file", "line"], sort=False).ngroup().to_numpy().astype(np.int64)
    frames = frames.iloc[np.unique(frame_id, return_index=True)[1]].reset_index(drop=True)
    frame_base = np.cumsum([0, *(len(p.frames) for p in parts)])
    node_base = np.cumsum([0, *(len(p.stacks) for p in parts)])
    parent = np.concatenate([_shift(p.stacks["parent"], b) for p, b in zip(parts, node_base, strict=False)])
    local = [p.stacks["frame"].to_numpy() + b for p, b in zip(parts, frame_base, strict=False)]
    new, stacks = _intern(parent, frame_id[np.concatenate(local).astype(np.intp)])
    leaf = np.concatenate([_shift(p.samples["stack"], b) for p, b in zip(parts, node_base, strict=False)])
    table = unify([to_arrow(p.samples, "profiles") for p in parts])
    samples = table.to_pandas()
    samples["stack"] = np.append(new, -1)[leaf].astype(np.int32)
    unit: dict[str, str] = {}
    for part in parts:
        unit |= part.unit
    order = [c for c in _SAMPLES if c in samples] + [c for c in samples if c not in _SAMPLES]
    samples = samples[order].sort_values("time", kind="stable", ignore_index=True)
    frames = frames.astype({"function": "str", "file": "str", "line": "int32"})
    return Profiles(samples, stacks, frames, MappingProxyType(unit), max(p.period for p in parts))


def _shift(rows: pd.Series, base: int) -> npt.NDArray[np.int64]:
    numbers = rows.to_numpy().astype(np.int64)
    return np.where(numbers < 0, -1, numbers + base)


def _intern(parent: npt.NDArray[np.int64], frame: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
    """Return the new row of every tree node and the table of distinct nodes, parents before children."""
    n = len(parent)
    new = np.full(n + 1, -1, np.int64)  # the last is the root's parent
    children = np.argsort(parent, kind="stable")
    sorted_parent = parent[children]
    level = children[: np.searchsorted(sorted_parent, 0)]
    parents, frames, made = [], [], 0
    while len(level):
        key = (new[parent[level]] + 1) << 32 | frame[level]
        distinct, inverse = np.unique(key, return_inverse=True)
        new[level] = made + inverse
        made += len(distinct)
        parents.append((distinct >> 32) - 1)
        frames.append(distinct & 0xFFFFFFFF)
        low, high = np.searchsorted(sorted_parent, level), np.searchsorted(sorted_parent, level, side="right")
        count = high - low
        level = children[np.repeat(low, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)]
    empty = [np.empty(0, np.int64)]
    columns = {"parent": np.concatenate(parents or empty), "frame": np.concatenate(frames or empty)}
    return new[:n], pd.DataFrame({name: values.astype(np.int32) for name, values in columns.items()})
