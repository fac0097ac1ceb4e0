"""The scale of scores: how rare, in orders of magnitude, brought into [0, 1].

The surprise of a value is -log10 of the probability, by the series' own past, of one at least as strange. A score is
the surprise as a share of `HIGHEST`: 0.5 is one in ten thousand, 1 is one in a hundred million or rarer. What is rarer
than that no history of telemetry can tell apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["HIGHEST", "Block", "to_score", "to_surprise"]

Block = npt.NDArray[np.float64]

HIGHEST = 8.0
"""Surprise of the score 1."""


def to_score(surprise: Block) -> Block:
    """Return scores in [0, 1] of surprises (-log10 p); NaN stays NaN."""
    return np.clip(surprise, 0.0, HIGHEST) / HIGHEST


def to_surprise(score: Block) -> Block:
    """Return the surprise (-log10 p, 0 to 8) of scores in [0, 1]; NaN stays NaN."""
    return np.asarray(score, np.float64) * HIGHEST
