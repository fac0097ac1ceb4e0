"""Spectral residual: what sticks out of a short window once every frequency is as loud as its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Spectral"]


@lru_cache(maxsize=8)
def _waves(places: int) -> tuple[Block, Block]:
    """Return cosine and sine of each place (row) at each frequency above 0 up to the middle one (column)."""
    angle = 2 * np.pi * (np.outer(np.arange(places), np.arange(1, places // 2 + 1)) % places) / places
    return np.cos(angle), np.sin(angle)


@dataclass(frozen=True)
class Spectral(Detector):
    """How salient the newest sample is among those just before it, in the window that it ends.

    The window is freed of its mean and continued by what its last slopes foretell, so that the newest sample is not at
    its edge; each amplitude is divided by the geometric mean of itself and its neighbours, phases stay; back in time,
    the newest place is compared with the mean of those before it. Only the newest sample of each window is scored.

    Attributes
    ----------
    length : int
        Places of the window, an even number, those foretold included.
    ahead : int
        Places foretold.
    near : int
        Places before the newest that it is compared with.

    References
    ----------
    Ren et al., "Time-series anomaly detection service at Microsoft", KDD 2019.
    """

    name: ClassVar[str] = "spectral"
    features: ClassVar[tuple[str, ...]] = ("saliency",)

    length: int = 64
    ahead: int = 5
    near: int = 21

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.length % 2 or self.ahead < 1 or not 1 <= self.near < self.length - self.ahead - 1:
            raise InvalidInput(
                f"{self} cannot work: an even length, ahead >= 1 and 1 <= near < length - ahead - 1 are needed."
            )
        if self.ahead + 1 >= self.length - self.ahead:
            raise InvalidInput(f"{self} cannot work: length must be more than twice ahead + 1.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the last samples, twice side by side."""
        return {
            "ring": np.full((series, 2 * (self.length - self.ahead)), np.nan),
            "seen": np.zeros(series, np.int64),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the saliency of each sample as a multiple of that around it."""
        from workbench.detect import member_kernels

        ratio = np.empty_like(values)
        held = (state["ring"], state["seen"])
        member_kernels.saliency(values, tick, self.ahead, self.near, *_waves(self.length), *held, ratio)
        return (ratio,)
