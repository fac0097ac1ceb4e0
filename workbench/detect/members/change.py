"""Two detectors of short windows: the level moved, or the samples jump more than they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Change"]


@dataclass(frozen=True)
class Change(Detector):
    """By how much the median of the last samples left that of the window before, and how much neighbours differ.

    Attributes
    ----------
    short, long : int
        Samples of the window now and of the one before it.
    lags : int
        Differences between neighbours whose root mean square is taken.
    """

    name: ClassVar[str] = "change"
    features: ClassVar[tuple[str, ...]] = ("shift", "variance")

    short: int = 6
    long: int = 48
    lags: int = 12

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not 1 <= self.short < self.long or self.long < 6 or not 1 <= self.lags < self.short + self.long:
            raise InvalidInput(
                f"{self} cannot work: 1 <= short < long, long >= 6, 1 <= lags < short + long are needed."
            )

    def begin(self, series: int, step: float) -> Arrays:
        """Return the last samples, and the long window sorted."""
        return {
            "ring": np.zeros((series, self.short + self.long)),
            "ordered": np.zeros((series, self.long + 1)),
            "seen": np.zeros(series, np.int64),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the shift of the level and the size of the jumps."""
        from workbench.detect import kernels

        shift, spread = np.empty_like(values), np.empty_like(values)
        kernels.change(values, self.short, self.lags, state["ring"], state["ordered"], state["seen"], shift, spread)
        return shift, spread
