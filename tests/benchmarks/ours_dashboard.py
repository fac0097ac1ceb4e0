"""Thirty days of the day set: 5-minute averages from rollups against from raw samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.bench_data import DAY, Data
from tests.benchmarks.measure import Meter, bytes_of
from tests.benchmarks.peer_ours import breakdown, samples_of, settle

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


def _ask(store: Any, start: int, days: int) -> Any:
    """Return the dashboard: the average of every series in every bucket; `start` in ms."""
    first, last = (np.datetime64(t * 1_000_000, "ns") for t in (start + BUCKET, start + days * DAY))
    return store.rollup([], "avg", first, last, f"{BUCKET}ms")


@contextmanager
def _without_rollups() -> Iterator[None]:
    """Let the planner find no rollups: it answers from raw samples."""
    from workbench.store import rollup_store

    held = rollup_store.load_rollups
    rollup_store.load_rollups = lambda *given: []
    try:
        yield
    finally:
        rollup_store.load_rollups = held


def build_days(source: str, folder: str, days: int) -> dict[str, Any]:
    """Fill a store with the days and settle it, which makes rollups; return CPU seconds and bytes."""
    from workbench.signals import Batch
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    began = meter.now()
    with Store.open(folder) as store:
        for day in range(days):
            store.write(Batch(metrics=samples_of(shifted(data, day, _past(days)))))
        settle(store)
    spent = meter.now() - began
    parts = breakdown(Path(folder), bytes_of(Path(folder)))
    return {"samples": days * len(data.value), "cpu": spent, "bytes": parts}


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
    """Return CPU milliseconds from raw samples, in two ways, and from rollups, and how far the answers are apart."""
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    start = data.window()["start"] + _past(days) * DAY
    with Store.open(folder) as store:
        raw, reference = meter.best(lambda: _raw(store, start, days), times)
        with _without_rollups():
            planner, plain = meter.best(lambda: _ask(store, start, days), times)
        _ask(store, start, days)
        spent, answer = meter.best(lambda: _ask(store, start, days), times)
    used = sorted({part["step"] // 10**9 for part in answer.attrs["rollup"]})
    apart = max(_apart(answer.values, reference), _apart(plain.values, reference))
    return {
        "raw_ms": raw * 1e3,
        "planner_ms": planner * 1e3,
        "rollup_ms": spent * 1e3,
        "difference": apart,
        "used": used,
    }


def _apart(values: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest relative difference, infinite when shapes or gaps differ."""
    if values.shape != reference.shape or (np.isnan(values) != np.isnan(reference)).any():
        return float("inf")
    scale = np.maximum(np.abs(reference), np.finfo(float).tiny)
    return float(np.nanmax(np.abs(values - reference) / scale, initial=0.0))
