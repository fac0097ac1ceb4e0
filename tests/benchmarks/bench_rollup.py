"""What rollups cost and save, on the day set repeated: build, join, bytes per raw sample, dashboards against raw samples.

Run: python tests/benchmarks/bench_rollup.py [--days N] [--folder DIR]; CPU time of this process, best of three.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import bench_data
from tests.benchmarks.bench_data import Data
from tests.benchmarks.ours_dashboard import shifted
from tests.benchmarks.peer_ours import samples_of
from workbench.signals import Batch
from workbench.store import Store
from workbench.store.rollup_store import Rollups

ROOT = Path(__file__).resolve().parents[2]
S = 10**9
DAY = 86_400 * S


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Return the fewest CPU milliseconds of some calls, and the last answer."""
    fewest, answer = float("inf"), None
    for _ in range(times):
        answer = None
        began = time.process_time()
        answer = work()
        fewest = min(fewest, time.process_time() - began)
    return fewest * 1e3, answer


def fill(folder: Path, data: Data, days: int) -> None:
    """Write the days, sealed and compacted."""
    with Store.open(folder) as store:
        for day in range(days):
            store.write(Batch(metrics=samples_of(shifted(data, day))))
        store.seal()
        store.compact(everything=True)


def sizes(store: Store, samples: int) -> None:
    """Print bytes per raw sample of each level, the index of each in the catalog beside it."""
    with store._catalog.read() as transaction:
        rows = transaction.execute(
            "SELECT step, count(*), sum(rows), sum(bytes), sum(length(blob)) FROM segments JOIN chunks ON segment = id"
            " WHERE signal = 'rollup' AND retired IS NULL GROUP BY step ORDER BY step"
        ).fetchall()
    for step, segments, buckets, size, index in rows:
        print(
            f"  {step // S:>5} s  {segments:>3} segments  {buckets:>9,} buckets  {size / samples:.4f} B per raw sample"
            f" (+{index / samples:.5f} index), {size / max(buckets, 1):.1f} B per bucket"
        )


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    data = bench_data.read(ROOT.parent / "shared" / "data" / "store" / "day_1000x15s.parquet")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "store"
        if not folder.exists():
            fill(folder, data, given.days)
        measure(folder, given.days, len(data.value) * given.days, data.window()["start"] * 10**6)


def measure(folder: Path, days: int, samples: int, start: int) -> None:
    """Print what a filled store's rollups cost and save."""
    with Store.open(folder) as store:
        rollups = Rollups(store._folder, store._catalog, store._reader)
        end = start + days * DAY
        questions = [
            ("avg", 300, 300), ("min", 300, 300), ("last", 300, 300), ("increase", 300, 300),
            ("avg", 3600, 3600), ("max", 3600, 86_400), ("increase", 1800, 3600),
        ]  # fmt: skip

        def ask(function: str, step: int, window: int) -> Any:
            return rollups.ask([], function, (start + window * S, end, step * S), window * S)

        with store._catalog.read() as transaction:
            there = transaction.execute("SELECT count(*) FROM segments WHERE signal = 'rollup'").fetchone()[0]
        raw = {} if there else {q: best(lambda q=q: ask(*q), 1) for q in questions[::6]}
        began = time.process_time()
        print(
            rollups.update(now=start + 800 * DAY), f"in {time.process_time() - began:.1f} CPU s for {samples:,} samples"
        )
        sizes(store, samples)
        for question in questions:
            ask(*question)
            spent, answer = best(lambda q=question: ask(*q))
            line = (
                f"  {question[0]:>9} of {question[2]:>6} s every {question[1]:>5} s: {spent:8.1f} ms, {answer[1].shape}"
            )
            if question in raw:
                before, reference = raw[question]
                apart = np.nanmax(np.abs(answer[1] - reference[1]) / np.maximum(np.abs(reference[1]), 1e-300))
                line += f"; from raw {before:8.1f} ms, ratio {spent / before:.3f}, largest difference {apart:.1e}"
            print(line)
        one = store._reader.index.match([])[500:501]
        print(f"  one series of these: {best(lambda: _one(rollups, one, start, end))[0]:.2f} ms")


def _one(rollups: Rollups, ids: np.ndarray, start: int, end: int) -> Any:
    from workbench.store import rollup_read
    from workbench.store.rollup_plan import load_raw_spans, load_rollups

    with rollups._catalog.read() as transaction:
        found, raw = load_rollups(transaction, start + 1, end), load_raw_spans(transaction)
    source = rollup_read.RollupSource(found, raw, rollups.open, lambda ids, a, b: None)  # type: ignore[arg-type, return-value]
    return rollup_read.read(source, ids, "avg", (start + 300 * S, end, 300 * S))


if __name__ == "__main__":
    main()
