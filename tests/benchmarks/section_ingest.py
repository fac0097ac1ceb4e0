"""Sealing and durable appending of our own store, in samples per CPU second; the peers' loads stand in `sizes`."""

from __future__ import annotations

import statistics
from typing import Any

from tests.benchmarks.ours import run_job
from tests.benchmarks.peers import DAY, SCRAPE, Bench
from tests.benchmarks.report import Target, table

SEAL = {SCRAPE: 8.0, DAY: 5.0}
"""Least million samples per CPU second."""


def run(bench: Bench, batches: int) -> tuple[str, list[Target], dict[str, Any]]:
    """Return the text, the targets and the figures."""
    rows, targets, figures = [], [], {}
    for data, least in SEAL.items():
        given = {"source": str(bench.sets[data]), "work": str(bench.work), "times": bench.best}
        bench.log(f"sealing {data}")
        runs = [run_job(bench, "seal", **given) for _ in range(bench.runs)]
        rate = {}
        for kind in ("direct", "hot"):
            spent = [run[kind] for run in runs if run[kind] is not None]
            rate[kind] = runs[0]["samples"] / statistics.median(spent) / 1e6 if spent else None
        rows += [[f"seal {data}, arrays to a durable segment", rate["direct"], None]]
        rows += [[f"seal {data}, hot rows to a durable segment", rate["hot"], None]]
        targets.append(
            Target(
                f"M samples/s sealed, {data}", rate["direct"], least, False, None, "no segment could be made directly"
            )
        )
        figures[f"seal {data}"] = rate
    source = {"source": str(bench.sets[DAY]), "work": str(bench.work), "times": bench.best}
    for each, count in ((1, batches), (10, max(batches // 4, 2))):
        bench.log(f"appending, {each} sample(s) of every series a batch")
        runs = [run_job(bench, "append", **source, batches=count, each=each) for _ in range(bench.runs)]
        rate = runs[0]["samples"] / statistics.median(run["cpu"] for run in runs) / 1e6
        wall = runs[0]["batches"] / statistics.median(run["wall"] for run in runs)
        rows.append([f"durable append, {each} sample(s) of every series a batch", rate, wall])
        figures[f"append {each}"] = {"ms_per_s": rate, "batches_per_wall_s": wall}
        if each == 1:
            targets.append(Target("M samples/s appended durably, a scrape of every series a batch", rate, 2.0, False))
    text = table(["what", "Ms/s CPU", "batches/s wall"], rows)
    return text, targets, figures
