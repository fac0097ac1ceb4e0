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
    raw = statistics.median(run["raw_ms"] for run in runs)
    fast = [run["rollup_ms"] for run in runs if run["rollup_ms"] is not None]
    rollup = statistics.median(fast) if fast else None
    apart = max((run["difference"] for run in runs if run["difference"] is not None), default=None)
    rows = [["raw samples, a day at a time", raw, None], [f"rollups ({runs[-1]['via']})", rollup, apart]]
    text = f"{days} days, {made['samples']:,} samples; {'; '.join(made['notes']) or 'settled'}\n"
    text += table(["5-min averages of every series from", "CPU ms", "largest relative difference"], rows)
    why = str(runs[-1]["via"] or "the store does not answer from rollups yet")
    targets = [
        Target("dashboard from rollups / from raw", rollup / raw if rollup else None, 0.10, True, None, why),
        Target("largest relative difference of the averages", apart, 1e-12, True, None, why),
    ]
    return text, targets, {"raw_ms": raw, "rollup_ms": rollup, "difference": apart, "notes": made["notes"]}
