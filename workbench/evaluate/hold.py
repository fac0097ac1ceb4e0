"""Which scores may become an alarm: not those that only follow one.

Scores are judged after a refractory, as they would page. The same one is given to every detector and to the static rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from workbench.detect import Refractory
from workbench.evaluate.labelled import Block

__all__ = ["Hold", "keep_all", "usual_hold"]

Hold = Callable[[Block, float], Block]
"""Scores (n, t) and the seconds between columns to scores (n, t), 0 where there cannot be an alarm."""


def usual_hold(*, bounded: bool = True) -> Hold:
    """Return the refractory that detectors are used with; `bounded` says whether scores end at 1, as theirs do."""
    usual = Refractory()
    apply = (usual if bounded else replace(usual, most=float("inf"))).apply
    return lambda scores, step: apply(scores, step=step)


def keep_all(scores: Block, step: float) -> Block:
    """Return the scores as they are."""
    return scores
