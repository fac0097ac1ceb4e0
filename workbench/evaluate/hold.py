"""Which scores may become an alarm: not those that only follow one.

Scores are judged after a refractory, as they would page. The same one is given to every detector and to the static rule.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from workbench.evaluate.labelled import Block

__all__ = ["Hold", "keep_all", "quiet_after", "usual_hold"]

Hold = Callable[[Block, float], Block]
"""Scores (n, t) and the seconds between columns to scores (n, t), 0 where there cannot be an alarm."""


def usual_hold() -> Hold:
    """Return the refractory that detectors are used with: that of `workbench.detect` where it has one."""
    try:
        apply = import_module("workbench.detect.refractory").Refractory().apply
    except ModuleNotFoundError:
        return quiet_after
    return lambda scores, step: apply(scores, step=step)


def keep_all(scores: Block, step: float) -> Block:
    """Return the scores as they are."""
    return scores


def quiet_after(
    scores: Block, step: float, seconds: float = 43_200.0, steps: int = 24, escalation: float = 1.3
) -> Block:
    """Return the scores with those silenced (0) that follow a higher one too soon.

    A score stays if nothing was let through within `seconds` (or `steps`, where these are longer), or if it is more than
    `escalation` times what was: the same incident may speak again only when it became worse.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, t)
        NaN stays.
    step : float
        Seconds between columns.
    seconds, steps, escalation : float, int, float, optional
        `escalation` at least 1.
    """
    span = max(steps, int(seconds / step))
    kept = np.where(np.isnan(scores), np.nan, 0.0)
    # What was let through within the span only rises, so the last one is the highest.
    level, until = np.zeros(len(scores)), np.full(len(scores), -1)
    for column in np.flatnonzero((scores > 0).any(axis=0)).tolist():
        now = scores[:, column]
        level[column > until] = 0.0
        passes = (now > 0) & (now > escalation * level)
        kept[passes, column] = level[passes] = now[passes]
        until[passes] = column + span
    return kept
