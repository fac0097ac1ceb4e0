"""Two detectors that remember days: off what is usual at this time, and outside all seen around this time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Band, Detector, as_block, part
from workbench.detect.surprise import HIGHEST, Block
from workbench.errors import InvalidInput

__all__ = ["Envelope", "Seasonal"]

_DAY = 86_400.0
_SLOT, _BLOCK = 300.0, 1800.0
_RECENT = 15
_LATELY = 96
"""Samples over which the level of residuals is taken."""
_LONG = 5000
"""Samples over which their autocorrelation is taken."""


def grain(step: float, width: float) -> tuple[int, int]:
    """Return how many steps make a slot of about `width` seconds, and how many slots make a day: 1 and 1 at least."""
    per = max(1, round(width / step))
    return per, max(1, round(_DAY / (per * step)))


@dataclass(frozen=True)
class Seasonal(Detector):
    """How far a value is from the median of its time of day, of the last hours, of a week ago, or of late.

    Which of the four is decided for each series by which told its past best; the daily one is favoured, as the others
    follow an incident sooner. Slots are of 5 minutes, or of a step where that is longer.

    Attributes
    ----------
    memory : float
        Days over which the four are compared.
    favour : tuple of float
        What the errors of the level, the hours, the days and the week are multiplied with before they are compared.
    """

    name: ClassVar[str] = "seasonal"
    features: ClassVar[tuple[str, ...]] = ("season", "burst")

    memory: float = 3.0
    favour: tuple[float, float, float, float] = (2.0, 2.0, 1.0, 1.5)

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not self.memory > 0 or len(self.favour) != 4 or not min(self.favour) > 0:
            raise InvalidInput(f"{self} cannot work: memory > 0 and four positive numbers to favour are needed.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return 8 days of slots, the slot now, the last samples, and the errors of the four guesses."""
        _, slots = grain(step, _SLOT)
        return {
            "middle": np.full((series, 8 * slots), np.nan),
            "current": np.zeros((series, 2)),
            "recent": np.zeros((series, _RECENT)),
            "seen": np.zeros(series, np.int64),
            "error": np.zeros((series, 4)),
            "drift": np.zeros((series, 8)),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the distance from what was expected, and how well a jump explains the last three."""
        return self.compare(state, tick, step, values)[1:]

    def compare(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, Block, Block]:
        """Return (expected, distance from it, burst), bringing the state up to date."""
        from workbench.detect import kernels

        expected, residual, burst = np.empty_like(values), np.empty_like(values), np.empty_like(values)
        per, slots = grain(step, _SLOT)
        rate = min(1.0, step / (self.memory * _DAY))
        favour = np.array(self.favour, float)
        held = (state[name] for name in ("middle", "current", "recent", "seen", "error", "drift"))
        kernels.season(values, tick, per, slots, rate, favour, 1 / _LATELY, 1 / _LONG, *held, expected, residual, burst)
        return expected, residual, burst

    def expected(self, values: Block, *, step: float = 60.0, score: float = 0.5) -> Band:
        """Return what was expected of each value, and the band outside of which it scores more than `score`."""
        block = as_block(values)
        stream = self.stream(len(block), step=step)
        normal = stream._normal(block)
        center, residual, _ = self.compare(part(stream.state, "of"), 0, stream.step, normal)
        edge = np.full_like(center, np.nan)
        self.calibration.apply(part(stream.state, "season"), residual, edge, score * HIGHEST)
        with np.errstate(over="ignore", under="ignore"):
            power = np.where(stream.exponent > -2000, stream.exponent, 0)[:, None]
            return Band(*(np.ldexp(side, power) for side in (center, center - edge, center + edge)))


@dataclass(frozen=True)
class Envelope(Detector):
    """How far a value lies outside everything the last days showed around the same time of day.

    Attributes
    ----------
    days : int
        How far back it looks; 7 include the same weekday.
    reach : float
        Seconds on either side that count as the same time, in blocks of half an hour, or of a step where that is
        longer, and one block at least: what happens every day a little earlier or later is no news.
    """

    name: ClassVar[str] = "envelope"
    features: ClassVar[tuple[str, ...]] = ("range",)

    days: int = 7
    reach: float = 5400.0

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.days < 1 or not self.reach >= 0:
            raise InvalidInput(f"{self} cannot work: days >= 1 and reach >= 0 are needed.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the extremes of each block of the days looked back, and of today."""
        _, blocks = grain(step, _BLOCK)
        shape = (series, (self.days + 1) * blocks)
        return {"low": np.full(shape, np.inf), "high": np.full(shape, -np.inf)}

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return the distance from the range seen."""
        from workbench.detect import kernels

        beyond = np.empty_like(values)
        per, blocks = grain(step, _BLOCK)
        reach = min(max(1, round(self.reach / (per * step))), (blocks - 1) // 2)
        kernels.envelope(values, tick, per, blocks, reach, state["low"], state["high"], beyond)
        return (beyond,)
