"""What a durable append costs, in CPU time of one core: `python tests/benchmarks/bench_append.py [FOLDER]`.

Batches of 1,000 series with one sample each (a scrape) and with 15; the labels are one table for all batches, or a new
one with new texts for each, as a scraper that parses every answer has them. The median of three runs is printed, and
what each part of a write costs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.signals import Batch, Samples, check_batch
from workbench.store import Store, acknowledged
from workbench.store.hot import samples_of
from workbench.store.hot_samples import pack_samples

SERIES = 1000
T0 = 1_767_225_600_000_000_000


def scrapes(each: int, count: int, own: bool = False, parsed: bool = False) -> Iterator[Batch]:
    """Yield batches of 1,000 series with `each` samples.

    `own` gives every target other milliseconds; `parsed` makes labels, kinds and units anew for every batch.
    """
    i = np.arange(SERIES)
    columns = {
        "metric": [f"m{k % 50}" for k in i],
        "instance": [f"host-{k // 50}:9100" for k in i],
        "job": ["node"] * SERIES,
    }
    labels = pd.DataFrame(columns).astype("str")
    kind, unit = np.full(SERIES, "gauge", object), np.full(SERIES, "", object)
    value = np.round(np.random.default_rng(0).normal(size=(SERIES, each)).cumsum(axis=1), 2)
    jitter = np.repeat(i // 50, each) * 1_000_000 if own else 0
    for b in range(count):
        at = np.tile(T0 + (b * each + np.arange(each)) * 15_000_000_000, SERIES) + jitter
        if parsed:
            labels = pd.DataFrame({name: [f"{text}" for text in labels[name]] for name in labels}).astype("str")
            kind, unit = (np.array(["".join(list(text)) for text in texts], object) for texts in (kind, unit))
        yield Batch(Samples(labels, np.arange(SERIES + 1) * each, at.view("M8[ns]"), (value + b).ravel(), kind, unit))


def cpu(work: Callable[[], Any], times: int) -> float:
    """Return microseconds of CPU per call, best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - begin)
    return best / times * 1e6


def appends(root: Path, each: int, own: bool = False, parsed: bool = False, count: int = 400) -> tuple[float, float]:
    """Return microseconds of CPU per append, everything included, and bytes per hot sample."""
    batches = list(scrapes(each, count + 20, own, parsed))
    spent, size = [], 0.0
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=root) as folder, Store.open(folder) as store:
            for batch in batches[:20]:
                store.write(batch)
            begin = time.process_time()
            for batch in batches[20:]:
                store.write(batch)
            spent.append(time.process_time() - begin)
            about = store.status()
            size = about["bytes"]["hot"] / about["samples"]
    return statistics.median(spent) / count * 1e6, size


def parts(root: Path, each: int) -> dict[str, float]:
    """Return what the parts of a write cost, microseconds of CPU."""
    with tempfile.TemporaryDirectory(dir=root) as folder, Store.open(folder) as store:
        batch = next(scrapes(each, 1))
        samples = batch.metrics
        assert samples is not None
        store.write(batch)
        ids, _ = store._writer.resolve(samples.labels, samples.kind, samples.unit)
        at = samples.time.view(np.int64)
        payload = pack_samples(ids, samples.offsets, at, samples.value)
        number = iter(range(10**6, 10**9))

        def transaction() -> None:
            row = (next(number), "metrics", 1, T0, T0, SERIES, len(payload), 1, payload)
            with store._catalog.write() as connection:
                connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'seq' RETURNING value").fetchone()
                connection.execute(
                    "INSERT INTO hot (id, signal, seq, t_min, t_max, rows, bytes, crc32, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )

        return {
            "check": cpu(lambda: check_batch(batch), 300),
            "labels to ids": cpu(lambda: store._writer.resolve(samples.labels, samples.kind, samples.unit), 300),
            "payload": cpu(lambda: pack_samples(ids, samples.offsets, at, samples.value), 300),
            "SQLite with fsync": cpu(transaction, 300),
            "acknowledged": cpu(lambda: acknowledged.acknowledge(store.path, store._catalog, 5), 300),
            "(reading: unpack)": cpu(lambda: samples_of(payload, 1), 300),
        }


def main(root: Path) -> None:
    """Print the figures."""
    for each, own, parsed in (
        (1, False, False),
        (1, False, True),
        (1, True, False),
        (15, False, False),
        (15, False, True),
    ):
        cost, size = appends(root, each, own, parsed)
        name = f"{SERIES} series x {each}{' at 20 instants' if own else ''}{', tables new each time' if parsed else ''}"
        print(
            f"{name}: {cost:.0f} us CPU per append, {SERIES * each / cost:.2f} M samples/s, {size:.2f} B per hot sample"
        )
    for each in (1, 15):
        told = ", ".join(f"{name} {cost:.0f}" for name, cost in parts(root, each).items())
        print(f"{SERIES} x {each}, us of CPU: {told}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()))
