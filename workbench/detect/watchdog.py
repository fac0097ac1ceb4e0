"""The default detector: several members, one score.

Which members, and how they are combined, was chosen on labelled operational series with one category left out at a
time; `docs/detection.md` has what each scored, alone and when left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Band, Detector, part
from workbench.detect.members.change import Change
from workbench.detect.members.profile import Profile
from workbench.detect.members.seasonal import Envelope, Seasonal
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Watchdog"]

_MEMBERS: tuple[Detector, ...] = (Envelope(), Seasonal(), Change(), Profile())


_COARSE, _FINE, _SHARP = 300.0, 30.0, 0.7


@dataclass(frozen=True)
class Watchdog(Detector):
    """Mean of the surprises of all features of its members, at fine steps most of it the burst.

    Each surprise is calibrated by the member's own past and ends at 8, so no member can shout the others down: it takes
    a few that wonder, or one that has never seen the like. Where samples are seconds apart, three of them are all that a
    short fault leaves, and windows of many samples do not see it; the burst does. Its weight is 0 from steps of five
    minutes on, and 0.7 of all at 30 seconds or less.

    Attributes
    ----------
    members : tuple of Detector
    weights : tuple of float, optional
        One per feature of all members, in order, at any step; as described above by default.
    """

    name: ClassVar[str] = "watchdog"

    members: tuple[Detector, ...] = _MEMBERS
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Reject members and weights that do not fit."""
        count = len(self.features)
        if not count:
            raise InvalidInput("a watchdog needs at least one member.")
        if self.weights is not None and (len(self.weights) != count or min(self.weights) < 0 or not sum(self.weights)):
            raise InvalidInput(
                f"{len(self.weights)} weights {self.weights} were given: {count} are needed, none below 0, not all 0."
            )

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of what the score is made of."""
        return tuple(feature for member in self.members for feature in member.features)

    @property
    def alone(self) -> bool:  # type: ignore[override]
        """Whether every member judges each series by itself."""
        return all(member.alone for member in self.members)

    def start(self, series: int, step: float) -> Arrays:
        """Return the states of all members."""
        return {
            f"{at}.{name}": array
            for at, member in enumerate(self.members)
            for name, array in member.start(series, step).items()
        }

    def surprise(self, state: Arrays, tick: int, step: float, values: Block) -> Block:
        """Return the surprise of each feature of each member, shape (k, n, c)."""
        parts = [m.surprise(part(state, str(at)), tick, step, values) for at, m in enumerate(self.members)]
        return np.concatenate(parts)

    def shares(self, step: float) -> npt.NDArray[np.float64]:
        """Return the weight of each feature at a step of so many seconds; they add up to 1."""
        if self.weights is not None:
            given = np.array(self.weights, float)
            return np.asarray(given / given.sum(), np.float64)
        sharp = np.array([feature == "burst" for feature in self.features])
        if sharp.all() or not sharp.any():
            return np.full(len(sharp), 1 / len(sharp))
        share = _SHARP * float(np.clip(np.log(_COARSE / step) / np.log(_COARSE / _FINE), 0.0, 1.0))
        return np.asarray(np.where(sharp, share / sharp.sum(), (1 - share) / (~sharp).sum()), np.float64)

    def combine(self, surprise: Block, step: float) -> Block:
        """Return the weighted mean of the features; one that is not ready counts as 0."""
        total = np.zeros(surprise.shape[1:])
        for share, part_of in zip(self.shares(step).tolist(), surprise, strict=True):
            # One after the other: a matrix product would round by the shape of the block.
            total += share * np.where(np.isnan(part_of), 0.0, part_of)
        return np.where(np.isnan(surprise).all(axis=0), np.nan, total)

    def expected(self, values: Block, *, step: float = 60.0, score: float = 0.5) -> Band:
        """Return what the seasonal member expected, and where it alone would score more than `score`."""
        seasonal = next((member for member in self.members if isinstance(member, Seasonal)), Seasonal())
        return seasonal.expected(values, step=step, score=score)
