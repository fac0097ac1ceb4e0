"""Small labelled series and folders for the tests of scorers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.evaluate.labelled import LabelledSeries, make_series

STEP_NS = 300 * 10**9
START = "2024-03-01T00:00:00"


def series(
    key: str, count: int, windows: Sequence[tuple[int, int]], probation: int | None = None, value: float = 1.0
) -> LabelledSeries:
    """Return a series of regular rows whose windows are given as first and last row."""
    time = np.arange(count) * STEP_NS
    text = [(str(t), str(value)) for t in time.tolist()]
    spans = [(a * STEP_NS, b * STEP_NS) for a, b in windows]
    return make_series(key, key.rpartition("/")[0], time, np.full(count, value), text, spans, probation)


def write_rows(path: Path, values: Sequence[float], step: str = "5min") -> list[str]:
    """Write a file of `timestamp,value` rows and return its timestamps."""
    stamps = [
        str(np.datetime64(START) + np.timedelta64(i * int(step[:-3]), "m")).replace("T", " ")
        for i in range(len(values))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "timestamp,value\n" + "".join(f"{t},{v!r}\n" for t, v in zip(stamps, map(float, values), strict=True))
    )
    return stamps


def write_nab(folder: Path, count: int = 600, seed: int = 5) -> Path:
    """Write a folder in NAB's layout: two categories of two files, a jump labelled in each, one quiet file."""
    generator = np.random.default_rng(seed)
    labels: dict[str, list[list[str]]] = {}
    for key in ("web/a.csv", "web/b.csv", "disk/a.csv", "disk/b.csv", "disk/quiet.csv"):
        values = 50 + generator.normal(0, 1, count)
        begin = int(generator.integers(count // 2, count - 80))
        if "quiet" not in key:
            values[begin : begin + 20] += 30
        stamps = write_rows(folder / "data" / key, values)
        labels[key] = [] if "quiet" in key else [[stamps[begin - 10], stamps[begin + 30]]]
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return folder
