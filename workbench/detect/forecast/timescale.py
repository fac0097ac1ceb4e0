"""How long a day and a week are in steps, and where in the history forecasts are tried out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput

__all__ = ["Clock", "clock"]

_DAY = 86_400.0
_ORIGINS = 28
_LEAST_BLOCKS = 8


@dataclass(frozen=True)
class Clock:
    """The time scale of one forecast, all in steps.

    Attributes
    ----------
    day, week : float
        Length of a day and of a week; they need not be whole.
    block : int
        Length of what counts as "now": a day, or an eighth of a history shorter than two days.
    origins : ndarray of int64, shape (k + 1,)
        Number of samples known at each origin, oldest first; the last one is the end of the history.
    daily, weekly : bool
        Whether the history is long enough (two days, two weeks) for that season.
    """

    day: float
    week: float
    block: int
    origins: npt.NDArray[np.int64]
    daily: bool
    weekly: bool


def clock(samples: int, step_s: float) -> Clock:
    """Return the time scale of a history of so many samples.

    Origins lie whole blocks before the end, at most 28 of them and none in the first two weeks, or in the first half
    of a history shorter than four weeks.

    Raises
    ------
    InvalidInput
        If the step is not a positive, finite number of seconds.
    """
    if not (math.isfinite(step_s) and step_s > 0):
        raise InvalidInput(f"step {step_s!r} is not a positive number of seconds: give the distance of two samples.")
    day, week = _DAY / step_s, 7 * _DAY / step_s
    whole = max(1, round(day)) if day < samples else samples
    block = whole if samples >= 2 * day else max(1, samples // _LEAST_BLOCKS)
    blocks = samples // block
    first = max(1, min(2 * round(week / block), blocks // 2))
    back = np.arange(min(_ORIGINS, max(0, blocks - first)), -1, -1, dtype=np.int64)
    origins = samples - back * block
    return Clock(day, week, block, origins, day >= 2 and samples >= 2 * day, week >= 2 and samples >= 2 * week)
