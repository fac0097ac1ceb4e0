"""From strangeness to surprise: how rare is a value at least this strange, by the series' own past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.detect.surprise import HIGHEST, Block
from workbench.errors import InvalidInput

__all__ = ["Arrays", "Calibration"]

Arrays = dict[str, np.ndarray]
"""State: arrays with a row per series, by name."""

_BINS = 321


@dataclass(frozen=True)
class Calibration:
    """A histogram of past strangeness with a Pareto tail, per series; its bins are eighths of an octave.

    A strangeness above the tail's beginning u has the probability P(tail) (v / u) ** (-1 / g). The logarithm keeps one
    great incident from owning the tail: it weighs by its orders of magnitude only.

    Attributes
    ----------
    least : int
        Samples before anything is scored.
    quantile : float
        Where the tail begins.
    most : int
        Samples the tail holds at most: the longer the past, the further out the tail begins.
    shape, weight : float
        Value that g (Hill's estimate) is drawn towards, and the samples that this is worth.
    share : float
        The tail begins no lower than this share of the greatest strangeness seen.
    memory : int
        Samples after which the past is halved.

    References
    ----------
    Hill, "A simple general approach to inference about the tail of a distribution", Annals of Statistics 1975. Siffer
    et al., "Anomaly detection in streams with extreme value theory", KDD 2017, for peaks over threshold in streams.
    """

    least: int = 30
    quantile: float = 0.97
    most: int = 120
    shape: float = 0.3
    weight: float = 20.0
    share: float = 0.05
    memory: int = 20_000

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not (0 < self.quantile < 1 and self.shape > 0 and self.weight > 0 and 0 <= self.share < 1):
            raise InvalidInput(
                f"{self} cannot work: 0 < quantile < 1, shape > 0, weight > 0 and 0 <= share < 1 are needed."
            )
        if not 1 <= self.least <= self.memory / 2:
            raise InvalidInput(f"{self} cannot work: 1 <= least <= memory / 2 is needed.")

    def begin(self, series: int) -> Arrays:
        """Return the state of series without a past."""
        return {
            "count": np.zeros((series, _BINS), np.float32),
            "unit": np.zeros(series),
            "octave": np.zeros(series),
            "total": np.zeros(series),
            "top": np.zeros(series),
        }

    def apply(self, state: Arrays, strange: Block, edge: Block | None = None, level: float = 4.0) -> Block:
        """Return the surprise of each strangeness, -log10 p up to 8, and add it to the past.

        Parameters
        ----------
        state : dict of ndarray
            As `begin` gives it; brought up to date in place.
        strange : ndarray of float64, shape (n, c)
            At least 0, in any unit; NaN where there is none, which scores NaN.
        edge : ndarray of float64, shape (n, c), optional
            Gets the strangeness whose surprise would have been `level`.
        """
        from workbench.detect import kernels

        out = np.empty_like(strange)
        edges = np.empty((0, 0)) if edge is None else edge
        held = (state[name] for name in ("count", "unit", "octave", "total", "top"))
        tail = (self.quantile, float(self.most), self.shape, self.weight, self.share)
        kernels.calibrate(strange, *held, out, edges, float(self.least), *tail, float(self.memory), HIGHEST, level)
        return out
