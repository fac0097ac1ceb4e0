"""Which model forecasts each series: the default, or a challenger that wins clearly at past origins.

The same origins, steps and samples count for all. A challenger must be at least a tenth better in mean absolute error
over all origins and better at most of them: with few origins, less is luck.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.challengers import available, predict
from workbench.detect.forecast.conformal import half_widths
from workbench.detect.forecast.default import Prediction, forecast, from_one, to_one
from workbench.detect.forecast.timescale import Clock, clock
from workbench.detect.robust import Block
from workbench.errors import MissingDependency, check_one_of

__all__ = ["choose"]

_CLEARLY = 0.9
_ORIGINS = 4


def choose(
    values: Block, horizon: int, step_s: float, level: float = 0.9, model: str = "default"
) -> tuple[Prediction, tuple[str, ...]]:
    """Forecast every series with a named model, or with the one that did best in its past.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
    horizon, step_s, level
        As `forecast` takes them.
    model : str, optional
        "default"; "auto", which tries every challenger installed (about a second per series); or one challenger:
        "ets", "sarimax", "theta".

    Returns
    -------
    prediction : Prediction
        `weights` are zero for a series that a challenger forecasts.
    models : tuple of str
        The model of each series.

    Raises
    ------
    InvalidInput
        If the model is not known.
    MissingDependency
        If it needs a package that is not installed.
    """
    check_one_of(model, ("auto", "default", "ets", "sarimax", "theta"), "model")
    if model == "theta" and model not in available():
        raise MissingDependency("model 'theta' needs statsforecast: install it, or use 'default', 'ets' or 'sarimax'.")
    base = forecast(values, horizon, step_s, level)
    names = () if model == "default" else available() if model == "auto" else (model,)
    chosen = ["default"] * len(base.point)
    time = clock(values.shape[1], step_s)
    for name in names:
        for row in range(len(base.point)):
            won = _challenge(name, values[row], base, row, time, horizon, level, forced=model == name)
            if won is not None:
                base, chosen[row] = won, name
    return base, tuple(chosen)


def _challenge(
    name: str,
    line: npt.NDArray[np.float64],
    base: Prediction,
    row: int,
    time: Clock,
    horizon: int,
    level: float,
    *,
    forced: bool,
) -> Prediction | None:
    """Return the prediction with one series replaced, where the challenger wins on it or is forced."""
    scaled, exponent = to_one(line[None])
    history, power = scaled[0], int(exponent[0])
    tried = _origins(time, horizon, len(line))
    off = np.full((len(time.origins) - 1, horizon), np.nan)
    for k in tried:
        origin = int(time.origins[k])
        ahead = min(horizon, len(line) - origin)
        said = predict(name, history[:origin], ahead, time.day, time.week)
        off[k, :ahead] = history[origin : origin + ahead] - said
    if not forced and not _wins(off[tried], np.ldexp(base.residuals[row, tried], -power)):
        return None
    point = predict(name, history, horizon, time.day, time.week)
    if not np.isfinite(point).all():
        return None
    half = half_widths(off[None], time, level)[0]
    error = np.abs(off[np.isfinite(off)]).mean(keepdims=True) if np.isfinite(off).any() else np.array([np.nan])
    parts = [from_one(part, np.int64(power)) for part in (point, point - half, point + half, off, error)]
    return _replaced(base, row, *parts)


def _origins(time: Clock, horizon: int, samples: int) -> list[int]:
    """Return the positions of up to four origins, the horizon (or a quarter of what there is) apart, newest first."""
    apart = max(time.block, min(horizon, (samples - int(time.origins[0])) // _ORIGINS))
    wanted = samples - apart * np.arange(1, _ORIGINS + 1)
    return [int(np.argmin(np.abs(time.origins - w))) for w in wanted if len(time.origins) > 1 and w >= time.origins[0]]


def _wins(challenger: Block, incumbent: Block) -> bool:
    both = np.isfinite(challenger) & np.isfinite(incumbent)
    if not both.any() or (np.isfinite(incumbent) & ~np.isfinite(challenger)).any():
        return False
    new, old = (np.where(both, np.abs(off), 0.0) for off in (challenger, incumbent))
    better = (new.sum(1) < old.sum(1)).sum()
    return bool(new.sum() < _CLEARLY * old.sum() and 2 * better > len(new))


def _replaced(
    base: Prediction, row: int, point: Block, low: Block, high: Block, residuals: Block, error: Block
) -> Prediction:
    new = {
        "point": point, "low": low, "high": high, "residuals": residuals, "error": error[0], "weights": np.float64(0.0),
    }  # fmt: skip
    changed = {}
    for name, value in new.items():
        array = getattr(base, name).copy()
        array[row] = value
        changed[name] = array
    return replace(base, **changed)
