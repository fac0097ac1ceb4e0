"""How bad an anomaly is, as OpenTelemetry's number.

The rule: every alarm is a warning (13). One that is high, or long, is an error (17); one that is both is fatal (21).
High is a peak that went at least a quarter of the way from the alarm threshold to the highest score there is; long is
at least half an hour, in three samples or more, outside of the expected band. On the labelled series that detection is
tuned on, one alarm in eight is high, one in eleven long, and one in thirty both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ERROR", "FATAL", "WARNING", "severity"]

WARNING, ERROR, FATAL = 13, 17, 21
"""Severities of an anomaly; those of OpenTelemetry's logs."""

_HIGH = 0.25
_LONG_S = 1800.0
_SAMPLES = 3


def severity(
    score: npt.NDArray[np.float64], outside: npt.NDArray[np.int64], step: float, threshold: float
) -> npt.NDArray[np.int8]:
    """Return the severity of anomalies, int8 of shape (m,).

    Parameters
    ----------
    score : ndarray of float64, shape (m,)
        Highest score of each, 0 to 1.
    outside : ndarray of int64, shape (m,)
        Samples of each outside of the expected band.
    step : float
        Seconds between samples.
    threshold : float
        Score of an alarm at that step, as `Alarm.at` gives it.
    """
    high = np.asarray(score, np.float64) >= threshold + _HIGH * (1 - threshold)
    long = (np.asarray(outside) * step >= _LONG_S) & (np.asarray(outside) >= _SAMPLES)
    return np.asarray(WARNING + (ERROR - WARNING) * (high.astype(int) + long.astype(int)), np.int8)
