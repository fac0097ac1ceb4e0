"""Run a job of `ours_worker.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import measure
from tests.benchmarks.peers import Bench


def run_job(bench: Bench, job: str, **given: Any) -> dict[str, Any]:
    """Return what the job found.

    Raises
    ------
    RuntimeError
        If it failed; the message is the end of what it said.
    """
    worker = Path(__file__).with_name("ours_worker.py")
    command = [sys.executable, str(worker), job, json.dumps(given)]
    command += [] if bench.core is None else ["--core", str(bench.core)]
    done = subprocess.run(command, capture_output=True, text=True, env=measure.environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"{job}: {done.stderr.strip()[-600:].rpartition(chr(10))[2]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return result
