"""Samples cut into chunks, one row each: statistics beside a codec-tagged blob, timestamps once per group.

A group is a set of chunks with the very same timestamps, as all series of one scrape target have. Its timestamps are
written with the first chunk of the group; the others only name the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench import codecs

__all__ = ["CHUNK", "LONG", "TAIL", "Flat", "chunk_table", "newest", "stats"]

CHUNK = 1920
"""Most samples of a young chunk."""

LONG = 5760
"""Most samples of a chunk after compaction: a day at 15 s."""

TAIL = 480
"""Samples at the end of a long series that stay a chunk of their own after compaction."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Flat:
    """Samples as three parallel arrays: series number, time in ns, value; shape (m,) each."""

    series: _Ints
    time: _Ints
    value: npt.NDArray[np.float64]


def newest(flat: Flat) -> Flat:
    """Return samples sorted by series and time; of several at one (series, time) the last given is kept."""
    step = np.diff(flat.series)
    if not ((step > 0) | ((step == 0) & (np.diff(flat.time) > 0))).all():
        order = np.lexsort((flat.time, flat.series))
        flat = Flat(flat.series[order], flat.time[order], flat.value[order])
    last = np.ones(len(flat.time), bool)
    last[:-1] = (np.diff(flat.series) != 0) | (np.diff(flat.time) != 0)
    return flat if last.all() else Flat(flat.series[last], flat.time[last], flat.value[last])


def _bounds(series: _Ints, limit: int, tail: int) -> _Ints:
    """Return where chunks begin, and the total at the end: equal parts of at most `limit` samples of one series."""
    starts = np.flatnonzero(np.diff(series, prepend=series[:1] - 1))
    counts = np.diff(np.append(starts, len(series)))
    if tail:  # a long series is two: all but the last samples, and those
        long = counts > CHUNK
        starts = np.sort(np.concatenate([starts, (starts + counts - tail)[long]]))
        counts = np.diff(np.append(starts, len(series)))
    parts = -(-counts // limit)
    which = np.repeat(np.arange(len(starts)), parts)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.append(starts[which] + nth * counts[which] // parts[which], len(series))


def stats(time: _Ints, value: npt.NDArray[np.float64], bounds: _Ints) -> dict[str, npt.NDArray[Any]]:
    """Return what a chunk says without being decoded, over its values that are not NaN.

    Parameters
    ----------
    time : ndarray of int64, shape (m,)
    value : ndarray of float64, shape (m,)
    bounds : ndarray of int64, shape (c + 1,)
        Chunk i holds samples `bounds[i]` to `bounds[i + 1]`, at least one.

    Returns
    -------
    dict of ndarray, shape (c,)
        `t_min`, `t_max`, `count` of all samples; `sum`, `min`, `max`, `first`, `last`, `increase` (counter resets
        add the value after the reset), `t_first`, `t_last` of those that are numbers; NaN and -1 where there is none.
    """
    begin, n = bounds[:-1], len(bounds) - 1
    out: dict[str, npt.NDArray[Any]] = {
        "t_min": time[begin], "t_max": time[bounds[1:] - 1], "count": np.diff(bounds).astype(np.int32),
    }  # fmt: skip
    real = ~np.isnan(value)
    kept = np.concatenate([[0], np.cumsum(real)])[bounds]
    some = np.flatnonzero(np.diff(kept))
    for name in ("sum", "min", "max", "first", "last", "increase"):
        out[name] = np.full(n, np.nan)
    out["t_first"], out["t_last"] = np.full(n, -1), np.full(n, -1)
    if not len(some):
        return out
    numbers, times = (value, time) if real.all() else (value[real], time[real])
    head, tail = kept[some], kept[some + 1] - 1
    with np.errstate(invalid="ignore", over="ignore"):
        gain = np.diff(numbers, prepend=0.0)
        gain = np.where(gain < 0, numbers, gain)
        gain[head] = 0.0
        reductions = (
            ("sum", np.add, numbers),
            ("min", np.minimum, numbers),
            ("max", np.maximum, numbers),
            ("increase", np.add, gain),
        )
        for name, reduce, source in reductions:
            out[name][some] = reduce.reduceat(source, head)
    out["first"][some], out["last"][some] = numbers[head], numbers[tail]
    out["t_first"][some], out["t_last"][some] = times[head], times[tail]
    return out


def _groups(time: _Ints, bounds: _Ints) -> _Ints:
    """Return the group of every chunk: chunks with equal timestamps share one."""
    seen: dict[bytes, int] = {}
    raw, edges = time.tobytes(), (bounds * 8).tolist()
    return np.fromiter(
        (seen.setdefault(raw[a:b], len(seen)) for a, b in pairwise(edges)),
        np.int64,
        len(edges) - 1,
    )


def chunk_table(flat: Flat, limit: int = CHUNK, tail: int = 0, effort: str = "fast") -> pa.Table:
    """Return the chunk rows of sorted samples without repetitions, one row per chunk, by series and time, tails behind.

    Parameters
    ----------
    flat : Flat
        As `newest` returns it, at least one sample.
    limit : int
        Most samples of one chunk.
    tail : int
        When above 0, that many of the last samples of a series longer than `CHUNK` form a chunk of their own: what
        is asked for most is the latest hour, and it need not be cut out of a day then.
    effort : {"fast", "best"}
        How hard the codecs try.
    """
    bounds = _bounds(flat.series, limit, tail)
    columns = stats(flat.time, flat.value, bounds)
    group = _groups(flat.time, bounds)
    fresh = np.zeros(len(group), bool)
    fresh[np.unique(group, return_index=True)[1]] = True
    edges = bounds.tolist()
    values = _encoded(flat.value, edges, _efforts(flat.series, bounds, effort))
    times: list[tuple[int | None, bytes | None]] = [(None, None)] * len(group)
    for row in np.flatnonzero(fresh).tolist():
        times[row] = codecs.encode(flat.time[edges[row] : edges[row + 1]], effort)
    table = pa.table(
        {
            "series_id": flat.series[bounds[:-1]],
            "time_group": group.astype(np.int32),
            **_told_once(columns),
            "time_codec": pa.array([t[0] for t in times], pa.uint8()),
            "time_blob": pa.array([t[1] for t in times], pa.binary()),
            "codec": pa.array([v[0] for v in values], pa.uint8()),
            "blob": pa.array([v[1] for v in values], pa.binary()),
        }
    )
    last = _tails(flat.series, bounds) if tail else np.zeros(len(group), bool)
    return table.take(pa.array(np.argsort(last, kind="stable"))) if last.any() else table


def _tails(series: _Ints, bounds: _Ints) -> npt.NDArray[np.bool_]:
    """Return which chunks are the last of a series of several: they lie together, to be read together."""
    of = series[bounds[:-1]]
    same = of[1:] == of[:-1]
    found: npt.NDArray[np.bool_] = np.append(~same, True) & np.insert(same, 0, False)
    return found


def _told_once(columns: dict[str, npt.NDArray[Any]]) -> dict[str, pa.Array]:
    """Return statistics with null where they say what another does: most series never change or only rise.

    `last` is null when it is `first`, `min` when it is `first`, `max` when it is `last`, `increase` when it is
    `last - first`, `t_first` when it is `t_min`, `t_last` when it is `t_max`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        rise = columns["last"] - columns["first"]
    same = {"min": columns["first"], "max": columns["last"], "last": columns["first"], "increase": rise}
    same |= {"t_first": columns["t_min"], "t_last": columns["t_max"]}
    out = {}
    for name, values in columns.items():
        other = same.get(name)
        mask = None if other is None else values.view(np.int64) == other.view(np.int64)
        out[name] = pa.array(values, mask=mask, from_pandas=False)
    return out


def _efforts(series: _Ints, bounds: _Ints, effort: str) -> list[str]:
    """Return the effort for each chunk: of long series what is read quickly counts more than what is smallest."""
    if effort != "best":
        return [effort] * (len(bounds) - 1)
    _, place, count = np.unique(series, return_inverse=True, return_counts=True)
    return ["quick" if long else effort for long in (count[place[bounds[:-1]]] > CHUNK).tolist()]


def _encoded(value: npt.NDArray[np.float64], edges: list[int], efforts: list[str]) -> list[tuple[int, bytes]]:
    """Return codec and bytes of every chunk; chunks with the same bits are encoded once."""
    seen: dict[bytes, tuple[int, bytes]] = {}
    out = []
    for (a, b), effort in zip(pairwise(edges), efforts, strict=True):
        part = value[a:b]
        key = part.tobytes()
        found = seen.get(key)
        if found is None:
            found = seen[key] = codecs.encode(part, effort)
        out.append(found)
    return out
