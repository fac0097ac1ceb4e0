"""Detectors as people meet them: which incidents are found, how late, and how often the page is for nothing.

Rows are counted after probation. An episode is a maximal run of firing rows, cut at the borders of windows; one outside
any window is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.evaluate.labelled import LabelledSeries, LabelledSet
from workbench.evaluate.nab import Scores
from workbench.evaluate.vus import vus_pr

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Events", "count_events", "mean_vus_pr", "window_table"]


@dataclass(frozen=True)
class Events:
    """What fires at a threshold, as events.

    Attributes
    ----------
    windows, found, missed : int
        Labelled windows, those with a firing row, those without.
    row_fpr : float
        Share of the rows outside windows that fire.
    false_episodes, true_episodes : int
        Runs of firing rows outside, and inside windows.
    false_per_week : float
        False episodes per series-week.
    precision, recall, f1 : float
        True episodes over all episodes, windows found over all windows, and their harmonic mean (event F1).
    delay_steps, delay_share : float
        Median over windows of the steps from the first row of a window to its first firing row, and of the same as a
        share of the window; a missed window counts as its whole length.
    hit_share : float
        Median share of the window before its first firing row, over the windows found.
    """

    windows: int
    found: int
    missed: int
    row_fpr: float
    false_episodes: int
    true_episodes: int
    false_per_week: float
    precision: float
    recall: float
    f1: float
    delay_steps: float
    delay_share: float
    hit_share: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; None for what is not defined."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def count_events(data: LabelledSet, scores: Scores, threshold: float | Mapping[str, float]) -> Events:
    """Count what fires at a threshold.

    Parameters
    ----------
    data : LabelledSet
    scores : mapping of str to ndarray of float64, shape (n,)
        Row scores by key; 0 or less never fires.
    threshold : float or mapping of str to float
        One for all, or one for each category.

    Returns
    -------
    Events
        Shares whose denominator is 0 are NaN.
    """
    fired_outside = outside = false_episodes = true_episodes = 0
    delays: list[tuple[float, float]] = []
    for one in data.series:
        least = threshold[one.category] if isinstance(threshold, Mapping) else threshold
        score = scores[one.key]
        fires = (score >= least) & (score > 0)
        fires[: one.probation] = False
        inside = one.inside()
        begins = np.diff(np.where(fires, inside + 2, 0), prepend=0) != 0
        begins &= fires
        false_episodes += int((begins & (inside < 0)).sum())
        true_episodes += int((begins & (inside >= 0)).sum())
        outside += int((inside[one.probation :] < 0).sum())
        fired_outside += int((fires & (inside < 0)).sum())
        delays += [_delay(fires, first, last) for first, last in one.windows.tolist()]
    hits = [share for step, share in delays if np.isfinite(step)]
    found = len(hits)
    lengths = [last - first + 1 for one in data.series for first, last in one.windows.tolist()]
    steps = [step if np.isfinite(step) else length for (step, _), length in zip(delays, lengths, strict=True)]
    precision = _ratio(true_episodes, true_episodes + false_episodes)
    recall = _ratio(found, len(delays))
    return Events(
        windows=len(delays),
        found=found,
        missed=len(delays) - found,
        row_fpr=_ratio(fired_outside, outside),
        false_episodes=false_episodes,
        true_episodes=true_episodes,
        false_per_week=_ratio(false_episodes, data.weeks()),
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall),
        delay_steps=float(np.median(steps)) if steps else float("nan"),
        delay_share=float(np.median([share for _, share in delays])) if delays else float("nan"),
        hit_share=float(np.median(hits)) if hits else float("nan"),
    )


def _delay(fires: np.ndarray[Any, np.dtype[np.bool_]], first: int, last: int) -> tuple[float, float]:
    """Return the steps from the first row of a window to its first firing row (inf: none), and their share of it."""
    hits = np.flatnonzero(fires[first : last + 1])
    return (float(hits[0]), float(hits[0]) / (last - first + 1)) if len(hits) else (float("inf"), 1.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _harmonic(precision: float, recall: float) -> float:
    if not (precision > 0 and recall > 0):
        return 0.0 if recall == recall else float("nan")
    return 2 * precision * recall / (precision + recall)


def mean_vus_pr(series: Sequence[LabelledSeries], scores: Scores) -> float:
    """Return the mean VUS-PR of the series that have a window after probation; NaN where none has.

    The longest buffer of a series is the median length of its windows.
    """
    volumes = []
    for one in series:
        windows = np.maximum(one.windows - one.probation, 0)[one.windows[:, 1] >= one.probation]
        if len(windows):
            longest = int(np.median(windows[:, 1] - windows[:, 0] + 1))
            volumes.append(vus_pr(scores[one.key][one.probation :], windows, longest))
    return float(np.mean(volumes)) if volumes else float("nan")


def window_table(data: LabelledSet, scores: Scores, threshold: float) -> pd.DataFrame:
    """Return one row per labelled window: `file`, `start`, `end`, `found`, `delay_steps` (NaN: missed), `highest` score."""
    import pandas as pd

    rows = []
    for one in data.series:
        score = scores[one.key].copy()
        score[: one.probation] = 0.0
        for first, last in one.windows.tolist():
            steps, _ = _delay((score >= threshold) & (score > 0), first, last)
            found = bool(np.isfinite(steps))
            highest = float(score[first : last + 1].max())
            rows.append((one.key, one.time[first], one.time[last], found, steps if found else np.nan, highest))
    frame = pd.DataFrame(rows, columns=["file", "start", "end", "found", "delay_steps", "highest"])
    return frame.astype({"start": "datetime64[ns]", "end": "datetime64[ns]", "found": bool})
