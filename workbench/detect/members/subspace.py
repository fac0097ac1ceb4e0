"""Principal components of short windows, learnt anew every few samples: what they leave of the newest window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Subspace"]


@dataclass(frozen=True)
class Subspace(Detector):
    """Length of what is left of the last samples when the components that windows of the past vary in are taken out.

    A component of variance v is taken out but for the share cut / (v + cut) of its square: a strong one whole, a weak one
    not at all, with no step between, so that no rounding decides which of two alike components counts. That
    needs no eigenvectors: it is the length of L^-1 (window - mean) with L L' = 1 + covariance / cut.

    Attributes
    ----------
    length : int
        Samples of a window.
    history : int
        Samples of the past that are learnt from.
    every : int
        Ticks after which it is learnt anew, counted from the first column: where a stream is cut makes no difference.
    share : float
        The cut as a share of the mean variance of the samples.

    References
    ----------
    Aggarwal, "Outlier Analysis", 2017, chapter 3 (soft weights of components); Sub-PCA of Liu and Paparrizos, "The
    elephant in the room: towards a reliable time-series anomaly detection benchmark", NeurIPS 2024.
    """

    name: ClassVar[str] = "subspace"
    features: ClassVar[tuple[str, ...]] = ("rest",)

    length: int = 16
    history: int = 720
    every: int = 24
    share: float = 0.1

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.length < 2 or self.history < 4 * self.length or self.every < 1 or not self.share > 0:
            raise InvalidInput(
                f"{self} cannot work: length >= 2, history >= 4 length, every >= 1 and share > 0 are needed."
            )

    def begin(self, series: int, step: float) -> Arrays:
        """Return the past, twice side by side, and what was learnt of it."""
        return {
            "ring": np.full((series, 2 * self.history), np.nan),
            "seen": np.zeros(series, np.int64),
            "center": np.zeros((series, self.length)),
            "factor": np.zeros((series, self.length, self.length)),
            "fitted": np.zeros(series, np.int8),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the length of what is left."""
        from workbench.detect import member_kernels

        rest = np.empty_like(values)
        held = (state[name] for name in ("ring", "seen", "center", "factor", "fitted"))
        member_kernels.subspace(values, tick, self.every, self.share, *held, rest)
        return (rest,)
