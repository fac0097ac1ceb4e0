"""Off the level of late: follows a wanted shift within minutes, and forgets a long incident as soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Agile"]


@dataclass(frozen=True)
class Agile(Detector):
    """Distance of each value from the exponentially weighted mean of those before it.

    Attributes
    ----------
    span : float
        Samples over which a sample's weight falls to about 1 / e; in the first `span`, all weigh the same.

    References
    ----------
    Roberts, "Control chart tests based on geometric moving averages", Technometrics 1959.
    """

    name: ClassVar[str] = "agile"
    features: ClassVar[tuple[str, ...]] = ("level",)

    span: float = 12.0

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not self.span >= 1:
            raise InvalidInput(f"{self} cannot work: a span of at least 1 sample is needed.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the level, and how many samples there were."""
        return {"level": np.zeros(series), "seen": np.zeros(series, np.int64)}

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the distance from the level."""
        from workbench.detect import member_kernels

        distance = np.empty_like(values)
        member_kernels.agile(values, 1.0 / self.span, state["level"], state["seen"], distance)
        return (distance,)
