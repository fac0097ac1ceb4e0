"""One pass of a detector over a metrics array: everything that alarms, events and pictures are made of afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from workbench.detect.detector import Band, Detector
from workbench.detect.members.seasonal import Seasonal
from workbench.detect.surprise import Block, to_score, to_surprise
from workbench.detect.watchdog import Watchdog
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import check_metrics

__all__ = ["Scan", "scan", "step_of"]

_USUAL = 0.25
"""Score at which the expected band ends: one sample of a hundred lies outside of it."""
_CELLS = 2_000_000
"""Values whose surprises are held as float64 at once."""
_ALONE = 60.0
"""Seconds between columns where there are too few of them to tell."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What a detector says of n series at t times.

    Attributes
    ----------
    metrics : DataArray, shape (n, t)
    detector : str
        Its name.
    step : float
        Seconds between columns.
    features : tuple of str
        The k things that the score is made of; of a detector that does not tell them, its name.
    weights : ndarray of float64, shape (k,)
        They add up to 1.
    parts : ndarray of float32, shape (k, n, t)
        Surprise of each feature, -log10 p; NaN where it is not ready.
    scores : ndarray of float64, shape (n, t)
        From 0 to 1.
    band : Band
        What was expected by the season and the level, each of shape (n, t); one sample in a hundred lies outside.
    """

    metrics: xr.DataArray
    detector: str
    step: float
    features: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    parts: npt.NDArray[np.float32]
    scores: Block
    band: Band

    @property
    def values(self) -> Block:
        """The samples, float64 of shape (n, t); infinities are no samples."""
        return finite(self.metrics)

    @property
    def time(self) -> npt.NDArray[np.datetime64]:
        """The times, datetime64[ns] of shape (t,)."""
        found: npt.NDArray[np.datetime64] = self.metrics["time"].values.astype("datetime64[ns]")
        return found


def finite(array: xr.DataArray) -> Block:
    """Return the values of an array with infinities as NaN."""
    block = np.asarray(array.values, np.float64)
    return np.where(np.isfinite(block), block, np.nan)


def step_of(array: xr.DataArray) -> float:
    """Return the seconds between the columns of a metrics array; a minute where there are fewer than two.

    Raises
    ------
    ShapeError
        If the times are not equally far apart.
    """
    steps = np.diff(array["time"].values.astype("datetime64[ns]").view(np.int64))
    if not len(steps):
        return _ALONE
    if (steps != steps[0]).any():
        raise ShapeError(
            f"a detector needs equally distant times; these lie {steps.min() / 1e9:g} to {steps.max() / 1e9:g} s apart:"
            " query with a step."
        )
    return float(steps[0]) / 1e9


def scan(array: xr.DataArray, detector: Any = None) -> Scan:
    """Score a metrics array and keep what the score is made of.

    Parameters
    ----------
    array : DataArray, shape (n, t)
        Metrics at equally distant times.
    detector : object, optional
        A detector, `Watchdog()` by default; a plug-in needs a name and `score(values, step=...)` only.

    Raises
    ------
    ShapeError
        If it is no metrics array on a regular grid (two series with the same labels, for one).
    InvalidInput
        If a plug-in's scores have another shape or leave [0, 1].
    """
    check_metrics(array)
    step, chosen = step_of(array), Watchdog() if detector is None else detector
    values = finite(array)
    name = str(getattr(chosen, "name", type(chosen).__name__))
    if isinstance(chosen, Detector):
        parts, scores = _scored(chosen, values, step)
        features, weights = tuple(chosen.features), _weights(chosen, step)
    else:
        scores = _foreign(name, chosen, values, step)
        features, weights, parts = (name,), np.ones(1), to_surprise(scores)[None].astype(np.float32)
    banded = chosen if isinstance(chosen, Detector) and hasattr(chosen, "expected") else Seasonal()
    return Scan(array, name, step, features, weights, parts, scores, banded.expected(values, step=step, score=_USUAL))


def _scored(detector: Detector, values: Block, step: float) -> tuple[npt.NDArray[np.float32], Block]:
    """Return surprises and scores, a slice of series at a time where each stands alone."""
    n, t = values.shape
    rows = max(1, _CELLS // max(1, t)) if detector.alone else max(1, n)
    parts = np.empty((len(detector.features), n, t), np.float32)
    scores = np.empty((n, t))
    for first in range(0, n, rows):
        cells = slice(first, first + rows)
        found = detector.parts(values[cells], step=step)
        parts[:, cells], scores[cells] = found, to_score(detector.combine(found, step))
    return parts, scores


def _weights(detector: Detector, step: float) -> npt.NDArray[np.float64]:
    shares = getattr(detector, "shares", None)
    if shares is not None:
        return np.asarray(shares(step), np.float64)
    return np.full(len(detector.features), 1 / max(1, len(detector.features)))


def _foreign(name: str, detector: Any, values: Block, step: float) -> Block:
    """Return the scores of a plug-in, checked."""
    scores: Block = np.asarray(detector.score(values, step=step), np.float64)
    if scores.shape != values.shape:
        raise InvalidInput(f"detector {name!r} scored {values.shape} values as {scores.shape}: keep the shape.")
    if bool(((scores < 0) | (scores > 1)).any()):
        raise InvalidInput(f"detector {name!r} scored {np.nanmin(scores):g} to {np.nanmax(scores):g}: keep to 0 to 1.")
    return np.where(np.isnan(values), np.nan, scores)
