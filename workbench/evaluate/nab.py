"""The scoring rule of the Numenta Anomaly Benchmark (NAB), exact, in one sweep over all rows.

Every row after probation whose score reaches the threshold fires. The earliest hit in a window earns the more the
earlier it is, and a window without one costs a miss. A firing row outside costs little right behind a window and the
full price three window widths behind it or before any. The best threshold is looked for over all rows of all files at
once: sort what each distinct score adds, take the running sum, keep its highest point.

Score = 100 * (raw - null) / (perfect - null), where null never fires and perfect hits each window in its first row.

References
----------
Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark", ICMLA 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluate.labelled import Block, LabelledSeries

__all__ = [
    "PROFILES",
    "Best",
    "Profile",
    "Scores",
    "best",
    "best_of",
    "contributions",
    "count_windows",
    "normalise",
    "raw_at",
    "row_gains",
    "score_at",
    "steady",
    "sweep",
]

_REACH = 3.0
"""Window widths behind a window after which a false row has its full price."""

Scores = Mapping[str, Block]
"""Score of each row, shape (n,), by the key of its series."""


@dataclass(frozen=True)
class Profile:
    """What a hit earns, what a missed window and a false row cost."""

    hit: float = 1.0
    miss: float = 1.0
    false_row: float = 0.11


PROFILES = {"standard": Profile(), "low_fp": Profile(false_row=0.22), "low_fn": Profile(miss=2.0)}
"""The three published profiles: standard, reward few false rows, reward few misses."""


@dataclass(frozen=True)
class Best:
    """The best score (100 is perfect, 0 is silence) and the highest threshold that reaches it; inf = better silent."""

    score: float
    threshold: float


def _credit(position: Block) -> Block:
    """Return the sigmoid of the rule: near 1 at -1 (the first row of a window), 0 at 0, near -1 from 1 on."""
    credit: Block = 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0
    return credit


def row_gains(series: LabelledSeries) -> Block:
    """Return what each row is worth if it fires, before weights, shape (n,).

    In a window of W rows row j is at x = -(rows from j to the last, both counted) / W and earns credit(x) / credit(-1);
    outside it is at x = (rows behind the last of the window before) / (W - 1) and costs up to 1.
    """
    row = np.arange(len(series.time))
    if not len(series.windows):
        return np.full(len(row), -1.0)
    first, last = series.windows.T
    before = np.searchsorted(first, row, "right") - 1
    left, right = first[np.maximum(before, 0)], last[np.maximum(before, 0)]
    within = (before >= 0) & (row <= right)
    position = np.where(within, -(right - row + 1) / (right - left + 1), (row - right) / np.maximum(right - left, 1))
    credit = _credit(np.clip(position, -1.0, _REACH))
    outside = np.where((before >= 0) & (position <= _REACH), credit, -1.0)
    return np.where(within, credit / _credit(np.array(-1.0)), outside)


def _steps(series: LabelledSeries, score: Block, profile: Profile) -> tuple[Block, Block]:
    """Return (score, gain): by how much the raw score changes when the threshold falls to each score."""
    gain = row_gains(series)
    counted = (np.arange(len(score)) >= series.probation) & (score > 0)
    outside = np.flatnonzero(counted & (series.inside() < 0))
    scores, gains = [score[outside]], [gain[outside] * profile.false_row]
    for first, last in series.windows.tolist():
        rows = np.flatnonzero(counted[first : last + 1]) + first
        if len(rows):
            # As the threshold falls the earliest hit moves left, from one running maximum to the one before it.
            highest = np.maximum.accumulate(score[rows])
            records = rows[np.concatenate(([True], highest[1:] > highest[:-1]))][::-1]
            earned = np.diff(gain[records] * profile.hit, prepend=0.0)
            earned[0] += profile.miss
            scores.append(score[records])
            gains.append(earned)
    return np.concatenate(scores), np.concatenate(gains)


def count_windows(series: Sequence[LabelledSeries]) -> int:
    """Return the number of labelled windows."""
    return sum(len(one.windows) for one in series)


def contributions(series: Sequence[LabelledSeries], scores: Scores, profile: Profile) -> list[tuple[Block, Block]]:
    """Return (score, gain) of each series: by how much the raw score changes when the threshold falls to each score.

    Parameters
    ----------
    series : sequence of LabelledSeries
    scores : mapping of str to ndarray of float64, shape (n,)
        Of the rows of each series by key; 0 or less never fires.
    profile : Profile
    """
    return [_steps(one, scores[one.key], profile) for one in series]


def sweep(parts: Sequence[tuple[Block, Block]], windows: int, profile: Profile) -> tuple[Block, Block]:
    """Return every threshold that makes a difference, falling from inf (silence), and the raw score at each.

    Parameters
    ----------
    parts : sequence of (ndarray, ndarray)
        What `contributions` gives.
    windows : int
        Labelled windows of the same series.
    profile : Profile
    """
    score = np.concatenate([part[0] for part in parts]) if parts else np.empty(0)
    gain = np.concatenate([part[1] for part in parts]) if parts else np.empty(0)
    order = np.argsort(-score, kind="stable")
    score = score[order]
    null = -profile.miss * windows
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.empty(0, bool)
    raw = np.cumsum(gain[order])[last] + null
    return np.append(np.inf, score[last]), np.append(null, raw)


def normalise(raw: float, windows: int, profile: Profile) -> float:
    """Return a raw score on the scale of 0 (silence) to 100 (perfect); NaN where there is no window."""
    null = -profile.miss * windows
    perfect = profile.hit * windows
    return 100.0 * (raw - null) / (perfect - null) if windows else float("nan")


def best(series: Sequence[LabelledSeries], scores: Scores, profile: Profile) -> Best:
    """Return the best score that one threshold for all series reaches, and the highest such threshold."""
    return best_of(contributions(series, scores, profile), count_windows(series), profile)


def best_of(parts: Sequence[tuple[Block, Block]], windows: int, profile: Profile) -> Best:
    """Return what `best` does, of contributions already made."""
    thresholds, raw = sweep(parts, windows, profile)
    at = int(np.argmax(raw))
    return Best(normalise(float(raw[at]), windows, profile), float(thresholds[at]))


def steady(parts: Sequence[tuple[Block, Block]], windows: int, profile: Profile, width: float = 0.05) -> Best:
    """Return the threshold to take elsewhere: the one around which the score is best, not the one at which it is.

    With a few dozen windows the very best threshold is often a narrow peak that other series do not share. The score
    given is the average over thresholds up to a share of `width` lower and higher.
    """
    thresholds, raw = sweep(parts, windows, profile)
    between = np.append(np.sqrt(thresholds[1:-1] * thresholds[2:]), thresholds[1:][-1:] * np.exp(-1.01 * width))
    tried = np.concatenate((thresholds[:1], -np.sort(-np.concatenate((thresholds[1:], between)))))
    around = tried[:, None] * np.exp(np.linspace(-width, width, 9))
    at = np.searchsorted(-thresholds, -around, side="right") - 1
    average = raw[at].mean(axis=1)
    chosen = int(np.argmax(average))
    return Best(normalise(float(average[chosen]), windows, profile), float(tried[chosen]))


def raw_at(parts: Sequence[tuple[Block, Block]], windows: int, threshold: float, profile: Profile) -> float:
    """Return the raw score of contributions at one threshold."""
    return sum((float(gain[score >= threshold].sum()) for score, gain in parts), -profile.miss * windows)


def score_at(series: Sequence[LabelledSeries], scores: Scores, threshold: float, profile: Profile) -> float:
    """Return the score at one threshold, 100 for perfect and 0 for silence; NaN where there is no window."""
    windows = count_windows(series)
    return normalise(raw_at(contributions(series, scores, profile), windows, threshold, profile), windows, profile)
