"""Run a peer's worker process: load its copy of the data, ask its questions; the same for every peer."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import arctic_env, measure
from tests.benchmarks.worker import PEERS, peer_of

WORKER = Path(__file__).with_name("worker.py")
SCRAPE, DAY = "scrape_1s", "day_1000x15s"


@dataclass
class Bench:
    """What a run of the suite is given, and what it has found.

    Attributes
    ----------
    work : Path
        Folder for everything made.
    runs, best : int
        Runs whose median is taken; repetitions in a run of which the fastest counts.
    sets : dict of str to Path
        The data as .npz files.
    samples : dict of str to int
        Number of samples of each set.
    peers : list of str
        Keys of the peers that take part.
    core : int or None
    """

    work: Path
    runs: int
    best: int
    sets: dict[str, Path]
    samples: dict[str, int]
    peers: list[str] = field(default_factory=list)
    core: int | None = None
    absent: dict[str, str] = field(default_factory=dict)
    loaded: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    log: Any = print

    def run(self, key: str, job: str, data: str) -> dict[str, Any]:
        """Return what one worker process printed.

        Raises
        ------
        RuntimeError
            If it failed; the message is the end of what it said.
        """
        python: str | Path = sys.executable
        if key.startswith("arctic"):
            found, why = arctic_env.interpreter()
            if found is None:
                raise RuntimeError(why)
            python = found
        folder = self.work / f"{data}-{key}"
        command = [str(python), str(WORKER), key, job, str(self.sets[data]), str(folder), "--best", str(self.best)]
        command += [] if self.core is None else ["--core", str(self.core)]
        done = subprocess.run(command, capture_output=True, text=True, env=measure.environment(), check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-400:].rpartition("\n")[2] or f"it ended with {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
        return result

    def fill(self, key: str, data: str) -> dict[str, Any] | None:
        """Load a set into a peer, once; None, with the reason in `absent`, when it cannot be."""
        if (key, data) not in self.loaded:
            if key == "arctic" and data == SCRAPE:
                return None  # its series are of two targets with moments of their own: there is no one grid
            why = getattr(peer_of(key), "missing", lambda: None)()
            try:
                if why:
                    raise RuntimeError(why)
                self.log(f"loading {data} into {key}")
                shutil.rmtree(self.work / f"{data}-{key}", ignore_errors=True)
                self.loaded[key, data] = self.run(key, "load", data)
            except RuntimeError as error:
                self.absent[key] = str(error)
                return None
        return self.loaded[key, data]


def ask(bench: Bench, data: str) -> list[dict[str, Any]]:
    """Return one row per peer, question and way: median milliseconds of the runs, each the best of a few."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in range(bench.runs):
        for key in bench.peers:
            if bench.fill(key, data) is None:
                continue
            bench.log(f"run {run + 1}: asking {key}")
            try:
                result = bench.run(key, "query", data)
            except RuntimeError as error:
                bench.absent[key] = str(error)
                continue
            for row in result["queries"]:
                found[key, row["query"], row["way"]].append({**row, "name": result["name"]})
    out = []
    for (key, _, _), rows in found.items():
        opened = [row["opened_ms"] for row in rows if row["opened_ms"] is not None]
        times = [row["ms"] for row in rows]
        middle = {"ms": statistics.median(times), "opened_ms": statistics.median(opened) if opened else None}
        out.append({**rows[-1], **middle, "spread": [min(times), max(times)], "key": key})
    return out


__all__ = ["DAY", "PEERS", "SCRAPE", "Bench", "ask"]
