"""Seasons: the period of each series from its own past, and what that past says about now.

References
----------
The period is the first strong peak of the autocorrelation, computed by FFT (Wiener-Khinchin theorem).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import MAD_TO_SIGMA, Block, median, median_and_mad

__all__ = ["find_period", "seasonal_median"]

SHORTEST = 8
"""Shortest period looked for, in steps; anything faster is noise to a level."""


def find_period(past: Block, least: float = 0.3) -> npt.NDArray[np.int64]:
    """Return the period of each series in steps, 0 where none is seen in at least two cycles.

    Parameters
    ----------
    past : ndarray of float64, shape (n, t)
        NaN is no sample.
    least : float, optional
        Smallest autocorrelation that counts as a season.
    """
    n, t = past.shape
    longest = t // 2
    if longest <= SHORTEST:
        return np.zeros(n, np.int64)
    center, mad = median_and_mad(past)
    reach = 5 * MAD_TO_SIGMA * mad[:, None]
    level = np.nan_to_num(np.clip(past - center[:, None], -reach, reach), posinf=0.0, neginf=0.0)
    level -= level.mean(axis=1, keepdims=True)
    size = 1 << (2 * t - 1).bit_length()
    spectrum = np.fft.rfft(level, size, axis=1)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)[:, : longest + 1]
    # Fewer pairs lie far apart: without this weight long periods would look weak.
    correlation = correlation / np.arange(t, t - longest - 1, -1) * t
    power = correlation[:, :1]
    correlation = np.divide(correlation, power, out=np.zeros_like(correlation), where=power > 0)
    inner = correlation[:, 1:-1]
    peak = (inner >= correlation[:, :-2]) & (inner > correlation[:, 2:]) & (inner >= least)
    peak[:, : SHORTEST - 1] = False
    strength = np.where(peak, inner, 0.0)
    strong = peak & (strength >= 0.9 * strength.max(axis=1, keepdims=True))
    return np.where(strong.any(axis=1), strong.argmax(axis=1) + 1, 0)


def seasonal_median(values: Block, columns: npt.NDArray[np.int64], period: int, cycles: int = 5) -> Block:
    """Return the median of the same phase, one step more and less, in the cycles before each column.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
    columns : ndarray of int, shape (c,)
    period : int
        In steps, at least 3, so that only the past is read.
    cycles : int, optional
        How many cycles to look back at most.

    Returns
    -------
    ndarray of float64, shape (n, c)
        NaN where no earlier cycle has a sample.
    """
    back = period * np.arange(1, cycles + 1)[:, None] + np.array([-1, 0, 1])
    at = columns[:, None] - back.ravel()
    seen = values[:, np.maximum(at, 0)]
    return median(np.where(at >= 0, seen, np.nan))
