"""The folder layout of the Numenta Anomaly Benchmark: `data/<category>/<file>.csv` and `labels/combined_windows.json`."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.errors import InvalidInput, NotFound
from workbench.evaluate.labelled import LabelledSet
from workbench.evaluate.rows import read_series, read_windows

__all__ = ["find_nab", "load_nab"]

_WEEK_ROWS = 2016
"""Rows that make a week: five-minute steps, also where a file of the benchmark has others."""

_PROFILES = {"standard": "standard", "reward_low_FP_rate": "low_fp", "reward_low_FN_rate": "low_fn"}


def find_nab(folder: Path) -> Path | None:
    """Return the folder that holds `data/<category>/`, which is `folder` or the `nab` inside it; None where neither."""
    for root in (folder, folder / "nab"):
        if any(path.is_file() for path in (root / "data").glob("*/*.csv")):
            return root
    return None


def load_nab(folder: Path) -> LabelledSet:
    """Read a folder in the layout of the benchmark; labels and `labels/profiles.json` are optional.

    Raises
    ------
    NotFound
        If there is no `data/<category>/<file>.csv` in `folder` or in `folder/nab`.
    InvalidInput
        If the labels or the profiles cannot be read.
    """
    root = find_nab(Path(folder))
    if root is None:
        raise NotFound(f"{folder} holds no data/<category>/<file>.csv: give a folder in the layout of NAB.")
    paths = {path.relative_to(root / "data").as_posix(): path for path in (root / "data").glob("*/*.csv")}
    labels = root / "labels" / "combined_windows.json"
    windows = read_windows(labels) if labels.is_file() else {}
    series, skipped = read_series(paths, windows)
    return LabelledSet(series, labels.is_file(), _WEEK_ROWS, skipped, _weights(root / "labels" / "profiles.json"))


def _weights(path: Path) -> dict[str, tuple[float, float, float]]:
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        costs = {ours: document[theirs]["CostMatrix"] for theirs, ours in _PROFILES.items() if theirs in document}
        return {
            name: (float(c["tpWeight"]), float(c["fnWeight"]), float(c["fpWeight"])) for name, c in costs.items()
        }  # fmt: skip
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise InvalidInput(
            f"{path} does not hold the cost weights of profiles ({error!r}): correct or remove it."
        ) from error
