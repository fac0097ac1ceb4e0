"""Matrix profile to the left: how far is the newest stretch from its nearest neighbour in the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Profile"]


@dataclass(frozen=True)
class Profile(Detector):
    """Euclidean distance of the last samples from the nearest stretch of a bounded past, on the raw scale.

    The level is part of the shape: it is information that z-normalising would throw away.

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

    name: ClassVar[str] = "profile"
    features: ClassVar[tuple[str, ...]] = ("shape",)

    length: int = 16
    history: int = 720

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.length < 8 or self.length % 8 or self.history < 4 * self.length:
            raise InvalidInput(f"{self} cannot work: length must be a multiple of 8, history four times that at least.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the past, twice side by side."""
        return {"ring": np.full((series, 2 * self.history), np.nan), "seen": np.zeros(series, np.int64)}

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the distance to the nearest neighbour."""
        from workbench.detect import kernels

        distance = np.empty_like(values)
        kernels.profile(values, tick, self.length // 8, state["ring"], state["seen"], distance)
        return (distance,)
