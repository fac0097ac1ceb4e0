"""How fast samples get in: arrays to a sealed segment, and durable appends of whole scrapes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.bench_data import Data
from tests.benchmarks.measure import Meter
from tests.benchmarks.peer_ours import cut, samples_of


@contextmanager
def _straight_to_segments() -> Iterator[bool]:
    """Let every write become a segment at once, whatever its size; yields whether the store still has that limit."""
    from workbench.store import write

    name = "_HOT_BYTES"
    held = getattr(write, name, None)
    if held is None:
        yield False
        return
    setattr(write, name, 0)
    try:
        yield True
    finally:
        setattr(write, name, held)


def seal(source: str, work: str, times: int) -> dict[str, Any]:
    """Return CPU seconds of the best try: `direct` from arrays to a durable segment, `hot` of sealing hot rows.

    The series are registered before; every try is in a store of its own.
    """
    from workbench.signals import Batch
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    samples = samples_of(data)
    best = {"direct": np.inf, "hot": np.inf}
    for _ in range(times + 1):  # the first try compiles
        with tempfile.TemporaryDirectory(dir=work) as folder, Store.open(folder) as store:
            store.write(Batch(metrics=_few(samples)))
            store.seal()
            with _straight_to_segments() as straight:
                began = meter.now()
                store.write(Batch(metrics=samples))
                if not straight:
                    store.seal()
                best["direct"] = min(best["direct"], meter.now() - began)
        with tempfile.TemporaryDirectory(dir=work) as folder, Store.open(folder) as store:
            for part in _quarters(samples, data):
                store.write(Batch(metrics=part))
            began = meter.now()
            sealed = store.seal().get("metrics", 0)
            spent = meter.now() - began
            best["hot"] = min(best["hot"], spent) if sealed == data.value.size else best["hot"]
    return {"samples": int(data.value.size), **{k: None if np.isinf(v) else v for k, v in best.items()}}


def _few(samples: Any) -> Any:
    """Return the first sample of every series."""
    n = len(samples)
    at = samples.offsets[:-1]
    kind = type(samples)
    return kind(samples.labels, np.arange(n + 1), samples.time[at], samples.value[at], samples.kind, samples.unit)


def _quarters(samples: Any, data: Data) -> list[Any]:
    """Return pieces by time, each small enough to be kept as a hot row."""
    parts = max(4, data.value.nbytes * 2 // (8 * 2**20) + 1)
    edges = np.linspace(data.time.min(), data.time.max() + 1, parts + 1).astype(np.int64)
    return [cut(samples, int(low), int(high)) for low, high in pairwise(edges)]


def append(source: str, work: str, times: int, batches: int, each: int) -> dict[str, Any]:
    """Return CPU and wall seconds of the best try of `batches` durable writes of `each` samples of every series."""
    import time

    from workbench.signals import Batch
    from workbench.store import Store

    data, meter = Data.load(Path(source)), Meter()
    samples = samples_of(data)
    n, kind = len(samples), type(samples)
    made = []
    for b in range(batches):
        at = (samples.offsets[:-1, None] + b * each + np.arange(each)).ravel() % len(data.value)
        moment = np.tile(np.arange(each) + b * each, n) * 15_000_000_000 + int(data.time.min()) * 1_000_000
        offsets = np.arange(0, n * each + 1, each)
        values = samples.value[at]
        stamps = moment.view("datetime64[ns]")
        made.append(Batch(metrics=kind(samples.labels, offsets, stamps, values, samples.kind, samples.unit)))
    best, wall = np.inf, np.inf
    for _ in range(times):
        with tempfile.TemporaryDirectory(dir=work) as folder, Store.open(folder) as store:
            store.write(made[0])
            began, clock = meter.now(), time.perf_counter()
            for batch in made[1:]:
                store.write(batch)
            best, wall = min(best, meter.now() - began), min(wall, time.perf_counter() - clock)
    return {"samples": (batches - 1) * each * n, "batches": batches - 1, "cpu": best, "wall": wall}
