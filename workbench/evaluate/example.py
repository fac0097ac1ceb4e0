"""A small labelled set made on the spot, to try a detector on before there are labels of one's own.

Eight files of five days at five-minute steps in two categories. Each has a daily season and noise; most hold one fault
of a kind that one file alone has, labelled with half an hour before it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from workbench.evaluate.labelled import Block

__all__ = ["write_example"]

_STEP = 300
_ROWS = 1440
_START = np.datetime64("2026-01-05T00:00:00")
_FILES = (
    "web/latency",
    "web/requests",
    "web/errors",
    "web/queue",
    "disk/reads",
    "disk/writes",
    "disk/used",
    "disk/wait",
)
_QUIET = ("web/queue", "disk/wait")


def write_example(folder: Path | str, seed: int = 0) -> Path:
    """Write a labelled set (`timestamp,value` files and `windows.json`) into a folder and return it.

    Parameters
    ----------
    folder : Path or str
        Made where it is missing.
    seed : int, optional
        The same seed gives the same files.
    """
    root = Path(folder)
    generator = np.random.default_rng(seed)
    stamps = [str(time).replace("T", " ") for time in _START + np.arange(_ROWS) * np.timedelta64(_STEP, "s")]
    windows: dict[str, list[list[str]]] = {}
    for number, name in enumerate(_FILES):
        value = _usual(generator)
        begin = int(generator.integers(_ROWS // 2, _ROWS - 120))
        length = 0 if name in _QUIET else _break(value, number, begin)
        windows[f"{name}.csv"] = [[stamps[begin - 6], stamps[begin + length + 6]]] if length else []
        path = root / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{time},{number:.4f}\n" for time, number in zip(stamps, value.tolist(), strict=True))
        path.write_text("timestamp,value\n" + rows, encoding="utf-8")
    (root / "windows.json").write_text(json.dumps(windows, indent=1), encoding="utf-8")
    return root


def _usual(generator: np.random.Generator) -> Block:
    """Return a series without a fault: level 100, a season of a day as large as many a fault, noise of deviation 2."""
    day = np.arange(_ROWS) * _STEP / 86_400
    value: Block = 100 + generator.uniform(15, 30) * np.sin(2 * np.pi * (day + generator.random()))
    return value + generator.normal(0, 2, _ROWS)


def _break(value: Block, number: int, begin: int) -> int:
    """Put a fault of one of four kinds into a series in place and return its rows."""
    kind = number % 4
    if kind == 0:
        value[begin : begin + 36] += 25
        return 36
    if kind == 1:
        value[begin : begin + 48] *= 0.6
        return 48
    if kind == 2:
        value[begin : begin + 3] += 45
        return 3
    value[begin : begin + 60] += np.linspace(0, 40, 60)
    return 60
