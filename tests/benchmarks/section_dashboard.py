"""A dashboard over thirty days: 5-minute averages of every series, from rollups against from raw samples."""

from __future__ import annotations

import statistics
from typing import Any

from tests.benchmarks.ours import run_job
from tests.benchmarks.peers import DAY, Bench
from tests.benchmarks.report import Target, table


def run(bench: Bench, days: int) -> tuple[str, list[Target], dict[str, Any]]:
    """Return the text, the targets and the figures."""
    given = {"source": str(bench.sets[DAY]), "folder": str(bench.work / "days")}
    bench.log(f"building {days} days")
    made = run_job(bench, "build_days", **given, days=days)
    runs = [run_job(bench, "ask_days", **given, days=days, times=bench.best) for _ in range(bench.runs)]
    middle = {k: statistics.median(run[k] for run in runs) for k in ("raw_ms", "planner_ms", "rollup_ms")}
    apart, raw = max(run["difference"] for run in runs), min(middle["raw_ms"], middle["planner_ms"])
    steps = ", ".join(f"{step} s" if step else "raw samples" for step in runs[-1]["used"])
    rows = [
        ["raw samples: select and reduce, a day at a time", middle["raw_ms"], middle["raw_ms"] / raw],
        ["raw samples: the store's own planner, rollups hidden", middle["planner_ms"], middle["planner_ms"] / raw],
        [f"as it is asked: {steps}", middle["rollup_ms"], middle["rollup_ms"] / raw],
    ]
    each = {name: size / made["samples"] for name, size in made["bytes"].items()}
    text = f"{days} days, {made['samples']:,} samples, written, compacted and rolled up in {made['cpu']:.0f} CPU s"
    text += "".join(f"; {name} {size:.4f} B/sample" for name, size in each.items())
    text += "\n" + table(["5-min averages of every series from", "CPU ms", "/ raw"], rows)
    text += f"\nlargest relative difference {apart:.1e}"
    targets = [
        Target("dashboard from rollups / from raw, the faster way", middle["rollup_ms"] / raw, 0.10),
        Target("largest relative difference of the averages", apart, 1e-12),
    ]
    return text, targets, {**middle, **made, "difference": apart, "used": runs[-1]["used"]}
