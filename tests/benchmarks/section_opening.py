"""Opening a store of a million series and two thousand files, and a tag query over it."""

from __future__ import annotations

import statistics
from typing import Any

from tests.benchmarks.ours import run_job
from tests.benchmarks.peers import Bench
from tests.benchmarks.report import Target, table


def run(bench: Bench, series: int, files: int) -> tuple[str, list[Target], dict[str, Any]]:
    """Return the text, the targets and the figures."""
    folder = bench.work / "large"
    bench.log(f"building a store of {series:,} series and {files:,} files")
    made = run_job(bench, "build_large", folder=str(folder), series=series, files=files)
    runs = [run_job(bench, "open_large", folder=str(folder), series=series) for _ in range(bench.runs)]
    names = list(runs[0]["times"])
    middle = {
        name: {kind: statistics.median(run["times"][name][kind] for run in runs) for kind in ("cpu", "wall")}
        for name in names
    }
    found = runs[0]["found"]
    rows = [
        [name, middle[name]["cpu"], middle[name]["wall"], found.get(name.partition(",")[0], None)] for name in names
    ]
    rows = [[*row[:3], found.get(row[0].rpartition(",")[0])] for row in rows]
    ready = middle["open"]["cpu"] + max(middle["one node, first"]["cpu"] - middle["one node, again"]["cpu"], 0.0)
    slowest = max(middle[name]["cpu"] for name in names if name.endswith(", again"))
    text = (
        f"{series:,} series, {made['segments']:,} segment files; built in {made['cpu']:.0f} CPU s; a fresh process per run\n"
        + table(["step", "CPU ms", "wall ms", "series"], rows)
    )
    targets = [
        Target("ms to open, with what the first tag query loads", ready, 300),
        Target("ms of the slowest tag query", slowest, 20),
    ]
    return text, targets, {"times": middle, "found": found, "build_cpu": made["cpu"]}
