"""Matrix profile to the left, of stretches freed of level and size: only their shape counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["ZProfile"]


@dataclass(frozen=True)
class ZProfile(Detector):
    """Distance of the last samples from the nearest stretch of a bounded past, both with mean 0 and deviation 1.

    Two flat stretches are 0 apart, a flat and another one sqrt(length). A stretch is flat if its standard deviation is
    within rounding of its values.

    Attributes
    ----------
    length : int
        Samples of a stretch, a multiple of 8.
    history : int
        Samples of the past that are searched.

    References
    ----------
    Yeh et al., "Matrix Profile I", ICDM 2016; of the profile, only the part to the left is causal.
    """

    name: ClassVar[str] = "zprofile"
    features: ClassVar[tuple[str, ...]] = ("form",)
    shape_only: ClassVar[bool] = True
    """A jump or a spike is no stranger than noise to it."""

    length: int = 24
    history: int = 720

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.length < 8 or self.length % 8 or self.history < 4 * self.length:
            raise InvalidInput(f"{self} cannot work: length must be a multiple of 8, history four times that at least.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the past and what each window of it is multiplied with, both twice side by side."""
        return {
            "ring": np.full((series, 2 * self.history), np.nan),
            "size": np.zeros((series, 2 * self.history)),
            "seen": np.zeros(series, np.int64),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the distance to the nearest neighbour."""
        from workbench.detect import member_kernels

        distance = np.empty_like(values)
        member_kernels.zprofile(values, tick, self.length, state["ring"], state["size"], state["seen"], distance)
        return (distance,)
