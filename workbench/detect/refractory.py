"""Which of many high scores in a row are worth an alarm: the first, those that go far beyond it, and not too many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.detect.detector import as_block
from workbench.detect.surprise import HIGHEST, Block
from workbench.errors import InvalidInput

__all__ = ["Refractory"]


@dataclass(frozen=True)
class Refractory:
    """Scores in, scores out: what cannot be an alarm becomes 0, whatever the threshold will be.

    Attributes
    ----------
    seconds : float
        How long an alarm covers what follows it.
    steps : int
        Or how many steps, where these are longer.
    escalate : float
        Within that time, a score passes that is this many times the one let through.
    habit : float
        Share of all that was let through lately that is taken off the next one.
    most : float
        What is taken off at most, as a score: a series that cries often has to be that much rarer, not silent.
    lately : float
        Seconds in which the weight of what was let through falls to 1 / e.
    """

    seconds: float = 43_200.0
    steps: int = 24
    escalate: float = 1.3
    habit: float = 0.06
    most: float = 0.09
    lately: float = 604_800.0

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not (
            self.seconds >= 0
            and self.steps >= 0
            and self.escalate >= 1
            and min(self.habit, self.most) >= 0
            and self.lately > 0
        ):
            raise InvalidInput(f"{self} cannot work: nothing below 0, escalate >= 1 and lately > 0 are needed.")

    def begin(self, series: int) -> dict[str, np.ndarray]:
        """Return the state of series that have not alarmed yet."""
        return {"until": np.full(series, -1, np.int64), "height": np.zeros(series), "load": np.zeros(series)}

    def apply(
        self,
        scores: Block,
        *,
        step: float = 60.0,
        least: float = 0.0,
        state: dict[str, np.ndarray] | None = None,
        tick: int = 0,
    ) -> Block:
        """Return what of scores in [0, 1], shape (n, c), may become an alarm; NaN stays NaN.

        What is below `least` is none, and covers nothing that follows. With a `state` (brought up to date in place) and
        the number of the first column, a stream goes on.
        """
        from workbench.detect import kernels

        block = as_block(scores)
        held = max(self.steps, int(self.seconds / step))
        state = self.begin(len(block)) if state is None else state
        out = np.empty_like(block)
        limits = (least * HIGHEST, self.most * HIGHEST)
        rest = (state[name] for name in ("until", "height", "load"))
        decay = float(np.exp(-step / self.lately))
        kernels.hold(block * HIGHEST, tick, held, self.habit, decay, self.escalate, *limits, *rest, out)
        return out / HIGHEST
