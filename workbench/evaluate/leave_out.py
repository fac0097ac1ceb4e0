"""What a score is worth on categories that took no part in choosing: threshold and configuration come from the others.

The plain figure tunes its threshold on the very labels it is scored by. Here each category is left out in turn: the
configuration and the steadiest threshold of all other categories are applied to it, and what the categories earn is added
up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.evaluate.labelled import Block, LabelledSeries
from workbench.evaluate.nab import Profile, Scores, contributions, count_windows, normalise, raw_at, steady

__all__ = ["Fold", "LeftOut", "leave_out"]


@dataclass(frozen=True)
class Fold:
    """One category left out: the choice and threshold that the others made, and the raw score it then earns."""

    category: str
    choice: str
    threshold: float
    raw: float
    windows: int


@dataclass(frozen=True)
class LeftOut:
    """The score of all categories, each with what the others chose; 100 is perfect, 0 is silence."""

    score: float
    folds: list[Fold]

    @property
    def thresholds(self) -> dict[str, float]:
        """Threshold by category."""
        return {fold.category: fold.threshold for fold in self.folds}


def leave_out(series: Sequence[LabelledSeries], choices: Mapping[str, Scores], profile: Profile) -> LeftOut | None:
    """Score each category with the configuration and threshold chosen on the others.

    Parameters
    ----------
    series : sequence of LabelledSeries
    choices : mapping of str to scores
        Row scores by key of the series, for each configuration that may be chosen; of equals the first given wins.
    profile : Profile

    Returns
    -------
    LeftOut or None
        None where there are fewer than two categories with a window: then nothing could be learned or tested.
    """
    if len({one.category for one in series if len(one.windows)}) < 2 or not choices:
        return None
    parts = {
        name: dict(zip((one.key for one in series), contributions(series, scores, profile), strict=True))
        for name, scores in choices.items()
    }
    folds = [_fold(series, parts, category, profile) for category in sorted({one.category for one in series})]
    return LeftOut(normalise(sum(fold.raw for fold in folds), count_windows(series), profile), folds)


def _fold(
    series: Sequence[LabelledSeries],
    parts: Mapping[str, Mapping[str, tuple[Block, Block]]],
    category: str,
    profile: Profile,
) -> Fold:
    others = [one for one in series if one.category != category]
    own = [one for one in series if one.category == category]
    found = {
        name: steady([part[one.key] for one in others], count_windows(others), profile) for name, part in parts.items()
    }
    choice = max(found, key=lambda name: found[name].score)
    threshold = found[choice].threshold
    raw = raw_at([parts[choice][one.key] for one in own], count_windows(own), threshold, profile)
    return Fold(category, choice, threshold, raw, count_windows(own))
