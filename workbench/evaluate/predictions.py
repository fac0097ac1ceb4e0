"""What a detector said about every row, as files that anyone can score."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from workbench.evaluate.labelled import LabelledSeries, LabelledSet
from workbench.evaluate.nab import Scores

__all__ = ["write_predictions"]


def write_predictions(folder: Path, data: LabelledSet, scores: Scores) -> int:
    """Write `timestamp,value,anomaly_score` under the path that each series has in its set; return the files written.

    Which scores is up to the caller: those after the refractory suit a threshold, the raw ones a ranking of all rows.
    Timestamps and values are the text of the input, in its order. A row without a score has 0.0.
    """
    for one in data.series:
        target = folder / one.key
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("timestamp", "value", "anomaly_score"))
            writer.writerows((*cells, score) for cells, score in zip(one.text, _in_file(one, scores), strict=True))
    return len(data.series)


def _in_file(one: LabelledSeries, scores: Scores) -> list[str]:
    """Return the scores as text, in the order of the file."""
    placed = np.empty(len(one.time))
    placed[one.order] = scores[one.key]
    return [repr(score) for score in placed.tolist()]
