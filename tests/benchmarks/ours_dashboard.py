"""Thirty days of the day set: 5-minute averages from rollups against from raw samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.bench_data import DAY, Data
from tests.benchmarks.measure import Meter
from tests.benchmarks.peer_ours import samples_of, settle

BUCKET = 300_000


def _past(days: int) -> int:
    """Return by how many days the data is moved back so that all days are over: only those are rolled up."""
    return -days - 3


def shifted(data: Data, day: int, move: int = 0) -> Data:
    """Return the same series `day` days later: counters go on from where they were, gauges begin elsewhere in theirs.

    No chunk repeats another one, so none is stored or decoded only once. All is moved by `move` days.
    """
    counter = np.array([row.get("kind") == "counter" for row in data.labels])
    value = data.value.copy()
    for i in range(len(data)):
        s = slice(data.offsets[i], data.offsets[i + 1])
        part = data.value[s]
        value[s] = part + day * part[-1] if counter[i] else np.roll(part, 97 * day)
    return Data(data.name, data.labels, data.offsets, data.time + (day + move) * DAY, value)


def build_days(source: str, folder: str, days: int) -> dict[str, Any]:
    """Fill a store with the days, settle it and make rollups; return remarks and CPU seconds."""
    from workbench.signals import Batch
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    with Store.open(folder) as store:
        for day in range(days):
            store.write(Batch(metrics=samples_of(shifted(data, day, _past(days)))))
        notes = settle(store)
        began = meter.now()
        rollup = getattr(store, "rollup", None)
        if rollup is None:
            notes.append("no rollup yet")
        else:
            rollup()
        spent = meter.now() - began
    return {"notes": notes, "rollup_cpu": spent, "samples": days * len(data.value)}


def _raw(store: Any, start: int, days: int) -> np.ndarray:
    """Return the averages from raw samples, decoded a day at a time; shape (series, buckets)."""
    parts = []
    for day in range(days):
        low, high = ((start + (day + at) * DAY) * 1_000_000 for at in (0, 1))
        # Buckets are (t - 5 min, t]: a sample at midnight belongs to the day before.
        found = store.select([], np.datetime64(low + 1, "ns"), np.datetime64(high + 1, "ns"))
        width = BUCKET * 1_000_000
        bucket = -((low - found.time.view(np.int64)) // width) - 1
        n = DAY // BUCKET
        key = found.series_of_sample() * n + bucket
        first = np.flatnonzero(np.diff(key, prepend=-1))
        mean = np.full(len(found) * n, np.nan)
        mean[key[first]] = np.add.reduceat(found.value, first) / np.diff(first, append=len(key))
        parts.append(mean.reshape(len(found), n))
    return np.concatenate(parts, axis=1)


def ask_days(source: str, folder: str, days: int, times: int) -> dict[str, Any]:
    """Return CPU milliseconds from raw samples and from rollups, and the largest relative difference of the answers."""
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    start = data.window()["start"] + _past(days) * DAY
    with Store.open(folder) as store:
        raw, reference = meter.best(lambda: _raw(store, start, days), times)
        out: dict[str, Any] = {"raw_ms": raw * 1e3, "rollup_ms": None, "difference": None, "via": None}
        for name, work in _ways(store, start, days).items():
            work()
            spent, answer = meter.best(work, times)
            values = np.asarray(answer)
            if values.shape != reference.shape or (np.isnan(values) != np.isnan(reference)).any():
                return {**out, "via": f"{name}: shape {values.shape} or gaps differ from raw's {reference.shape}"}
            scale = np.maximum(np.abs(reference), np.finfo(float).tiny)
            apart = np.nanmax(np.abs(values - reference) / scale) if values.size else 0.0
            out |= {"rollup_ms": spent * 1e3, "difference": float(apart), "via": name}
    return out


def _ways(store: Any, start: int, days: int) -> dict[str, Any]:
    """Return how the store answers from rollups; empty while it cannot."""
    return {}
