"""Profiles: sampled call stacks as three tables.

`samples` point to the leaf of a stack; `stacks` is a prefix tree (each row its parent row and its frame); `frames` are
the functions. Two profiles that share no tables are joined by `concat_profiles`, which interns them anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from workbench.errors import ShapeError
from workbench.signals.time import MAX_NS, MIN_NS

__all__ = ["Profiles", "build_profiles", "check_profiles", "concat_profiles"]


@dataclass(frozen=True, eq=False)
class Profiles:
    """Call stack samples.

    Attributes
    ----------
    samples : DataFrame
        `time` (datetime64[ns]), `service`, `env`, `sample_type` (str), `stack` (int32 row of `stacks`, the leaf; -1 for
        an empty stack), `value` (int64, in the unit of its sample type); optional `thread`, `trace_id`, `span_id`.
    stacks : DataFrame
        `parent` (int32 row of this table, -1 at the root, always smaller than its own row), `frame` (int32).
    frames : DataFrame
        `function`, `file` (str), `line` (int32, 0 when unknown).
    unit : mapping of str to str
        Unit of each sample type, as in `{"cpu": "nanoseconds"}`.
    period : int
        Nanoseconds between samples, 0 when unknown.
    """

    samples: pd.DataFrame
    stacks: pd.DataFrame
    frames: pd.DataFrame
    unit: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    period: int = 0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def select(self, mask: np.ndarray | pd.Series) -> Profiles:
        """Return the samples where `mask` (bool, shape (len,)) holds; stacks and frames are shared, not copied."""
        kept = self.samples[np.asarray(mask, bool)].reset_index(drop=True)
        return Profiles(kept, self.stacks, self.frames, self.unit, self.period)


_TEXT = ("service", "env", "sample_type")


def build_profiles(
    samples: Mapping[str, object],
    stacks: Sequence[Sequence[tuple[str, str, int]]],
    unit: Mapping[str, str] | None = None,
    period: int = 0,
) -> Profiles:
    """Return `Profiles` from samples and whole stacks.

    Parameters
    ----------
    samples : mapping of str to array of shape (m,)
        `time`, `service`, `env`, `sample_type`, `value` and `stack` = position in the list `stacks`.
    stacks : sequence of sequences of (function, file, line)
        Each from root to leaf; distinct stacks once, however many samples they have.
    unit : mapping, optional
    period : int, optional
        Nanoseconds.
    """
    frame_rows: dict[tuple[str, str, int], int] = {}
    node_rows: dict[tuple[int, int], int] = {}
    leaves = np.full(len(stacks) + 1, -1, np.int32)
    for i, stack in enumerate(stacks):
        node = -1
        for frame in stack:
            row = frame_rows.setdefault(frame, len(frame_rows))
            node = node_rows.setdefault((node, row), len(node_rows))
        leaves[i] = node
    table = pd.DataFrame({name: values for name, values in samples.items()})  # noqa: C416 - accepts any mapping
    table["time"] = np.asarray(table["time"]).astype("datetime64[ns]")
    table["stack"] = leaves[np.asarray(table["stack"], np.int64)]
    table["value"] = np.asarray(table["value"]).astype(np.int64)
    for name in _TEXT:
        table[name] = table[name].astype("str") if name in table else pd.Series("", index=table.index, dtype="str")
    nodes = np.array(list(node_rows), np.int32).reshape(-1, 2)
    functions, files, lines = zip(*frame_rows, strict=True) if frame_rows else ((), (), ())
    return Profiles(
        table.sort_values("time", kind="stable", ignore_index=True),
        pd.DataFrame({"parent": nodes[:, 0], "frame": nodes[:, 1]}),
        pd.DataFrame(
            {
                "function": pd.Series(functions, dtype="str"),
                "file": pd.Series(files, dtype="str"),
                "line": np.array(lines, np.int32),
            }
        ),
        MappingProxyType(dict(unit or {})),
        period,
    )


def concat_profiles(parts: Sequence[Profiles]) -> Profiles:
    """Return all parts as one, with stacks and frames interned anew, samples sorted by time."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return build_profiles({"time": [], "stack": [], "value": []}, [])
    frames = pd.concat([p.frames for p in parts], ignore_index=True)
    frame_ids = frames.groupby(["function", "file", "line"], sort=False).ngroup().to_numpy().astype(np.int32)
    frames = frames.iloc[np.unique(frame_ids, return_index=True)[1]].reset_index(drop=True)
    frame_base = np.cumsum([0, *(len(p.frames) for p in parts)])
    node_rows: dict[tuple[int, int], int] = {}
    samples = []
    for part, base in zip(parts, frame_base, strict=False):
        new = np.full(len(part.stacks) + 1, -1, np.int32)
        local = frame_ids[part.stacks["frame"].to_numpy() + base]
        for row, (parent, frame) in enumerate(zip(part.stacks["parent"].tolist(), local.tolist(), strict=True)):
            new[row] = node_rows.setdefault((int(new[parent]), frame), len(node_rows))
        samples.append(part.samples.assign(stack=new[part.samples["stack"].to_numpy()]))
    nodes = np.array(list(node_rows), np.int32).reshape(-1, 2)
    unit: dict[str, str] = {}
    for part in parts:
        unit |= part.unit
    return Profiles(
        pd.concat(samples, ignore_index=True).sort_values("time", kind="stable", ignore_index=True),
        pd.DataFrame({"parent": nodes[:, 0], "frame": nodes[:, 1]}),
        frames,
        MappingProxyType(unit),
        max(part.period for part in parts),
    )


def check_profiles(profiles: Profiles) -> Profiles:
    """Return the profiles unchanged if they are well formed, else raise `ShapeError` that names the first offence."""
    required = {"time", *_TEXT, "stack", "value"}
    for table, names, what in (
        (profiles.samples, required, "samples"),
        (profiles.stacks, {"parent", "frame"}, "stacks"),
        (profiles.frames, {"function", "file", "line"}, "frames"),
    ):
        missing = sorted(names - set(table.columns))
        if missing:
            raise ShapeError(f"profiles.{what} lack the columns {missing}: use build_profiles.")
    dtypes = {"time": "datetime64[ns]", "stack": "int32", "value": "int64", **dict.fromkeys(_TEXT, "str")}
    for name, wanted in dtypes.items():
        if str(profiles.samples[name].dtype) != wanted:
            raise ShapeError(
                f"profiles.samples {name!r} has dtype {profiles.samples[name].dtype}; it must be {wanted}:"
                " use build_profiles."
            )
    stamps = profiles.samples["time"].to_numpy().view(np.int64)
    outside = int(((stamps < MIN_NS) | (stamps >= MAX_NS)).sum())
    if outside:
        raise ShapeError(
            f"profiles hold {outside} instants outside 1970-2261 or missing: drop or repair those samples."
        )
    if (np.diff(stamps) < 0).any():
        raise ShapeError("profiles.samples are not sorted by time: use build_profiles.")
    parent = profiles.stacks["parent"].to_numpy()
    if len(parent) and ((parent >= np.arange(len(parent))) | (parent < -1)).any():
        raise ShapeError("profiles.stacks hold a parent that does not come before its child: use build_profiles.")
    for column, size in (
        (profiles.stacks["frame"], len(profiles.frames)),
        (profiles.samples["stack"], len(profiles.stacks)),
    ):
        low = 0 if column.name == "frame" else -1
        if len(column) and not column.between(low, size - 1).all():
            raise ShapeError(
                f"profiles column {column.name!r} points outside its table of {size} rows: use build_profiles."
            )
    return profiles
