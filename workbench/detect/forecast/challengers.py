"""Models that may replace the default where they forecast a series clearly better; each costs a hundred times more.

A challenger takes one gapless series, scaled to about 1, and returns so many steps ahead.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CHALLENGERS", "available"]

Line = npt.NDArray[np.float64]
_LONGEST_SEASON = 60
"""Exponential smoothing holds one state per phase; beyond this it is fitted without a season."""
_LONGEST_FIT = 3_000
_KEEP_ZERO = ("theta",)
"""Those that take seasons as factors where a series is positive: moving it would take that away."""


def _ets(history: Line, horizon: int, day: float, week: float) -> Line:
    """Exponential smoothing: additive error, damped trend, additive season of a day."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    period = round(day) if 2 <= day <= _LONGEST_SEASON else round(week) if 2 <= week <= _LONGEST_SEASON else 0
    season: dict[str, Any] = {"seasonal": "add", "seasonal_periods": period} if len(history) >= 3 * period > 0 else {}
    model = ETSModel(history[-_LONGEST_FIT:], error="add", trend="add", damped_trend=True, **season)
    return np.asarray(model.fit(disp=False, maxiter=100).forecast(horizon), np.float64)


def _sarimax(history: Line, horizon: int, day: float, week: float) -> Line:
    """ARMA(1, 1) errors around a constant and waves of the day and the week (dynamic harmonic regression)."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    used = history[-_LONGEST_FIT:]
    at = np.arange(len(used) + horizon)
    waves = [np.ones(len(at))]
    for period, most in ((day, 4), (week, 3)):
        if len(used) >= 2 * period:
            for k in range(1, min(most, int(period / 2 - 1e-9)) + 1):
                waves += [np.sin(2 * np.pi * k * at / period), np.cos(2 * np.pi * k * at / period)]
    exog = np.stack(waves, axis=1)
    model = SARIMAX(used, exog[: len(used)], order=(1, 0, 1), enforce_stationarity=True)
    found = model.fit(disp=False, maxiter=50)
    return np.asarray(found.forecast(horizon, exog=exog[len(used) :]), np.float64)


def _theta(history: Line, horizon: int, day: float, week: float) -> Line:
    """AutoTheta of statsforecast."""
    # Found by name: it is no dependency, so a type checker need not see it.
    models = importlib.import_module("statsforecast.models")

    period = round(day) if day >= 2 else max(1, round(week))
    model = models.AutoTheta(season_length=period if len(history) >= 3 * period else 1)
    return np.asarray(model.forecast(history[-_LONGEST_FIT:], horizon)["mean"], np.float64)


CHALLENGERS: dict[str, Callable[[Line, int, float, float], Line]] = {"ets": _ets, "sarimax": _sarimax, "theta": _theta}
"""Name -> function of (history, horizon, steps per day, steps per week)."""


def available() -> tuple[str, ...]:
    """Return the challengers whose package is installed; "theta" needs statsforecast."""
    return tuple(n for n in CHALLENGERS if n != "theta" or importlib.util.find_spec("statsforecast") is not None)


def predict(name: str, history: Line, horizon: int, day: float, week: float) -> Line:
    """Return what a challenger says, NaN where it fails on this history (a fit may; that is a loss, not an error).

    Parameters
    ----------
    history : ndarray of float64, shape (t,)
        Gaps are filled on a straight line.
    """
    known = np.flatnonzero(np.isfinite(history))
    if len(known) < 10:
        return np.full(horizon, np.nan)
    used = history[known[0] :]
    filled = np.interp(np.arange(len(used)), known - known[0], history[known])
    center, size = float(np.median(filled)), float(np.std(filled))
    if not size > 0:
        return np.full(horizon, center)
    if name in _KEEP_ZERO:
        center = 0.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            said = CHALLENGERS[name]((filled - center) / size, horizon, day, week)
        except (ValueError, np.linalg.LinAlgError, FloatingPointError, IndexError, ZeroDivisionError):
            return np.full(horizon, np.nan)
        back: Line = said * size + center
        return back
