"""Measure opening Prometheus blocks: CPU time of one core, beside `promtool tsdb dump` of the same files; see `--help`.

The blocks are written by promtool from the day set of the shared data, or from the real scrape. "decode" is what is left
when labels, the index and the shape are taken away: the chunks found, checked and decoded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from tests.benchmarks import bench_data, measure
from tests.benchmarks.peer_prometheus import Peer
from tests.benchmarks.peers import DAY, SCRAPE
from workbench.sources import ReadOptions
from workbench.sources.tsdb import PrometheusData
from workbench.sources.tsdb.block import is_block
from workbench.sources.tsdb.chunks import Segments, decode
from workbench.sources.tsdb.index import read_index


def read_all(folder: Path) -> int:
    """Read everything; return how many samples there were."""
    batches = PrometheusData().read_folder(folder, ReadOptions())
    return sum(batch.metrics.n_samples for _, batch in batches if batch.metrics is not None)


def decode_all(blocks: list[Path]) -> int:
    """Read index and chunks of all blocks without making shapes."""
    total = 0
    for block in blocks:
        from collections import Counter

        index = read_index(block / "index", ReadOptions(), Counter())
        found = Segments(block / "chunks", index.chunk).load(index.chunk, slice(None))
        total += len(decode(found, lambda i, why: None)[1].value)
    return total


def dump(folder: Path) -> int:
    """Let promtool print everything."""
    (folder / "wal").mkdir(exist_ok=True)
    command = ["promtool", "tsdb", "dump", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=measure.environment())
    return 0


def run(source: Path, series: int | None, times: int) -> dict[str, Any]:
    """Return CPU seconds by what was measured."""
    found: dict[str, Any] = {}
    meter = measure.Meter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        folder.mkdir()
        Peer().load(bench_data.read(source, series), folder)
        blocks = sorted(path for path in folder.iterdir() if is_block(path))
        found["bytes"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        read_all(folder)
        found["read"], found["samples"] = meter.best(lambda: read_all(folder), times)
        found["decode"], _ = meter.best(lambda: decode_all(blocks), times)
        found["promtool dump"], _ = meter.best(lambda: dump(folder), 1)
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder `store` of the shared data")
    parser.add_argument("--series", type=int, default=None, help="only the first so many")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    measure.pin()
    found = {name: run(given.data / f"{name}.parquet", given.series, given.runs) for name in (DAY, SCRAPE)}
    if given.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        n = row["samples"]
        print(f"{name}: {n:,} samples in blocks of {row['bytes'] / n:.2f} B/sample")
        for what in ("read", "decode", "promtool dump"):
            ratio = row["read"] / row[what]
            print(
                f"  {what:14} {row[what]:8.3f} CPU s  {n / row[what] / 1e6:7.1f} M samples/s  read/{what} {ratio:.3f}"
            )


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
