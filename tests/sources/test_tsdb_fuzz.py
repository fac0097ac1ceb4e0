"""Prometheus files damaged at random, with the bounds of every compiled loop checked: only declared errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sources.tsdb_fuzz import run

ROOT = Path(__file__).resolve().parents[2]


def fuzz(folder: Path, count: int, seed: int, seconds: float) -> dict[str, Any]:
    """Run the program with checks compiled in, which a cache filled without them would hide."""
    checked = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "tests.sources.tsdb_fuzz", str(count), str(seed), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, env=checked, capture_output=True, text=True, timeout=seconds + 300)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any]) -> None:
    outcomes = found["outcomes"]
    for name in ("index", "chunks", "wal", "head"):
        assert outcomes.get(f"{name}: read with skips", 0) > 0, outcomes
    assert outcomes["index: refused"] > 0
    assert found["most"] < 100_000  # damage makes no flood of samples out of some kilobytes


def test_damaged_files_quickly() -> None:
    """In this process, without the checks, which take half a minute to compile."""
    check(run(250, 11, 60))


@pytest.mark.slow
def test_damaged_files_5_000_times(tmp_path: Path) -> None:
    found = fuzz(tmp_path, 5000, 11, 600)
    assert found["done"] == 5000
    check(found)


@pytest.mark.soak
def test_damaged_files_100_000_times(tmp_path: Path) -> None:
    found = fuzz(tmp_path, 100_000, 12, 3600)
    assert found["done"] == 100_000
    check(found)
