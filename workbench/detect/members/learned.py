"""Base of the members that are taught by another library now and then, on windows of the past only.

What is learnt is kept as arrays with a row per series, and what it says of a window is computed here, by
`learned_kernels.py`: a stream resumes from its arrays without learning again, and nothing is pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.robust import MAD_TO_SIGMA, median_and_mad
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Learned", "Rows", "spread"]

Rows = npt.NDArray[np.int64]

_TINY = 1e-9


def spread(past: Block) -> tuple[Block, Block]:
    """Return (median, robust standard deviation) of each row, (n, t) to (n,); the deviation of a flat row is 0.

    Where more than half of the samples are the same, the mean absolute deviation stands in for the median one. NaN is
    no sample.
    """
    center, mad = median_and_mad(past)
    away = np.abs(past - center[:, None])
    samples = np.isfinite(past).sum(axis=1)
    mean = np.nansum(away, axis=1) / np.maximum(samples, 1)
    least = _TINY * np.max(np.where(np.isfinite(past), np.abs(past), 0.0), axis=1, initial=0.0)
    scale = np.where(mad * MAD_TO_SIGMA > least, mad * MAD_TO_SIGMA, mean)
    return np.nan_to_num(center), np.where(scale > least, scale, 0.0)


@dataclass(frozen=True)
class Learned(Detector):
    """Learns from standardised windows of the past; a subclass says how (`teach`) and what then is strange (`judge`).

    Learning is due when the number of columns seen is a multiple of `every`, and for a series that has four windows by
    then. It depends on nothing else, so a stream and a batch learn the same; a series that joins later waits for the
    next time. One without spread is not learnt, and scores NaN until it has some.

    Attributes
    ----------
    length : int
        Samples of a window.
    history : int
        Samples of the past that windows are taken of, and that median and deviation are those of.
    every : int
        Ticks after which it is learnt anew.
    samples : int
        Windows that are learnt from, evenly spaced.
    seed : int
        Of all that is drawn at random; the same for each series.
    """

    far: ClassVar[float] = 20.0
    """Deviations beyond which a sample is taken to be this far."""

    length: int = 16
    history: int = 1440
    every: int = 288
    samples: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.length < 2 or self.history < 4 * self.length or self.every < 1 or self.samples < 2 or self.seed < 0:
            raise InvalidInput(
                f"{self} cannot work: length >= 2, history >= 4 length, every >= 1, samples >= 2, seed >= 0 are needed."
            )

    def untaught(self, series: int) -> Arrays:
        """Return what is learnt, for series that have learnt nothing."""
        raise NotImplementedError

    def teach(self, state: Arrays, rows: Rows, windows: Block) -> None:
        """Learn from windows (rows, samples, length) of some series, into those rows of the state."""
        raise NotImplementedError

    def judge(self, state: Arrays, windows: Block) -> Block:
        """Return how strange each window is, (n, c, length) to (n, c); NaN for a window that is NaN."""
        raise NotImplementedError

    def begin(self, series: int, step: float) -> Arrays:
        """Return the past, twice side by side, its median and deviation, and what was learnt."""
        return {
            "ring": np.full((series, 2 * self.history), np.nan),
            "seen": np.zeros(series, np.int64),
            "center": np.zeros(series),
            "scale": np.zeros(series),
            **self.untaught(series),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return what `judge` says of the window behind each value; learn first where it is due."""
        from workbench.detect import member_kernels

        n, columns = values.shape
        out = np.full(values.shape, np.nan)
        held = [state[name] for name in ("ring", "seen", "center", "scale")]
        first = 0
        while first < columns:
            due = self.every - (tick + first) % self.every
            if due == self.every:
                self._learn(state, tick + first)
            last = min(first + due, columns)
            windows = np.empty((n, last - first, self.length))
            member_kernels.windows(values, tick, first, last, *held, self.far, windows)
            out[:, first:last] = self.judge(state, windows)
            first = last
        return (out,)

    def _learn(self, state: Arrays, tick: int) -> None:
        """Learn from the past of every series that has enough of it; `tick` is the column that comes next."""
        rows = np.flatnonzero(state["seen"] >= 4 * self.length)
        begin = tick % self.history
        past = state["ring"][rows, begin : begin + self.history]  # oldest first
        center, scale = spread(past)
        state["center"][rows], state["scale"][rows] = center, scale
        kept = scale > 0
        rows, past, center, scale = rows[kept], past[kept], center[kept, None], scale[kept, None]
        if not len(rows):
            return
        with np.errstate(over="ignore"):
            normal = np.clip((past - center) / scale, -self.far, self.far)
        held = np.minimum(state["seen"][rows], self.history)
        room = (held - self.length)[:, None] * np.arange(self.samples) // (self.samples - 1)
        at = (self.history - held)[:, None] + room
        windows = np.take_along_axis(normal[:, None, :], at[:, :, None] + np.arange(self.length), 2)
        self.teach(state, rows, windows)
