"""Forecasts of a week scored at weekly origins, beside the forecasts that anyone could make by hand.

The error of a case is the mean absolute error, in units of the mean absolute difference between its history and that
history a week earlier; 1 is as far off as last week was from the week before. Two readings are given: with gaps bridged
by a straight line, as figures published for these data are, and of samples only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast import Prediction, clock, forecast, seasonal_naive, weekly_median
from workbench.detect.forecast.challengers import available, predict
from workbench.evaluate.hourly import HOUR_S, WEEK, Case

__all__ = ["ForecastScore", "Forecasts", "predict_hourly", "score_hourly"]

_LEVEL = 0.9
_BATCH = 64
Line = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What every model said about every case.

    Attributes
    ----------
    point : dict of str to ndarray of float64, shape (cases, 168)
        By model; the first one is ours.
    low, high : ndarray of float64, shape (cases, 168)
        The 90 % interval of ours.
    cpu_ms : dict of str to float
        Per series, ours in a batch.
    """

    point: dict[str, Line]
    low: Line
    high: Line
    cpu_ms: dict[str, float]

    def write(self, path: Path, cases: Sequence[Case]) -> None:
        """Write our forecasts as CSV, one row per case and hour: series, origin, timestamp, forecast, low, high."""
        import pandas as pd

        hours = np.arange(WEEK)
        frame = pd.DataFrame(
            {
                "series": np.repeat([c.name for c in cases], WEEK),
                "origin": np.repeat([str(c.origin.astype("datetime64[s]")) for c in cases], WEEK),
                "timestamp": np.concatenate([(c.origin + hours).astype("datetime64[s]").astype(str) for c in cases]),
                "forecast": self.point["default"].ravel(), "low": self.low.ravel(), "high": self.high.ravel(),
            }
        )  # fmt: skip
        frame.to_csv(path, index=False)


@dataclass(frozen=True)
class ForecastScore:
    """Errors of each model, and the intervals of ours.

    Attributes
    ----------
    models : list of dict
        Per model: `model`, `mean`, `median` (scaled error, gaps bridged), `mean_samples`, `median_samples` (samples
        only), `cpu_ms` (per series).
    coverage, width : float
        Share of samples in the 90 % interval; its mean width in units of the scale.
    cases : list of dict
        Per case: `series`, `origin`, `coverage` and the scaled error by model.
    """

    models: list[dict[str, Any]]
    coverage: float
    width: float
    cases: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain JSON types."""
        return {
            "horizon_hours": WEEK, "level": _LEVEL, "coverage": self.coverage, "width": self.width,
            "models": self.models, "cases": self.cases,
        }  # fmt: skip

    def __str__(self) -> str:
        """Return one line per model and the intervals, for people."""
        lines = [f"{len(self.cases)} cases, {WEEK} h ahead; mean absolute error / weekly difference of the history"]
        lines.append(f"{'':22}{'gaps bridged':^17}{'samples only':^17}")
        lines.append(f"{'model':22}{'mean':>8}{'median':>9}{'mean':>8}{'median':>9}{'CPU ms/series':>15}")
        for m in self.models:
            figures = "".join(
                f"{m[k]:{w}.3f}"
                for k, w in (("mean", 8), ("median", 9), ("mean_samples", 8), ("median_samples", 9))
            )  # fmt: skip
            lines.append(f"{m['model']:22}{figures}{m['cpu_ms']:15.2f}")
        lines.append(f"90 % intervals of the default cover {self.coverage:.1%}, mean width {self.width:.2f}")
        return "\n".join(lines)


def predict_hourly(cases: Sequence[Case]) -> Forecasts:
    """Forecast every case with the default, seasonal naive, weekly median, and AutoTheta where it is installed.

    The default is given histories with their gaps; the others have them bridged as for published figures.
    """
    made = _default(cases)
    point = {"default": np.stack([p.point[0] for p in made])}
    cpu = {"default": _batch_cost(cases)}
    simple: dict[str, Callable[[Line], Line]] = {
        "seasonal naive": lambda h: seasonal_naive(h[None], WEEK, clock(len(h), HOUR_S))[0],
        "weekly median profile": lambda h: weekly_median(h[None], WEEK, clock(len(h), HOUR_S))[0],
    }
    if "theta" in available():
        simple["AutoTheta"] = lambda h: predict("theta", h, WEEK, 24.0, float(WEEK))
    for name, model in simple.items():
        began = time.process_time()
        point[name] = np.stack([model(case.bridged_history) for case in cases])
        cpu[name] = (time.process_time() - began) / len(cases) * 1e3
    low, high = (np.stack([getattr(p, end)[0] for p in made]) for end in ("low", "high"))
    return Forecasts(point, low, high, cpu)


def _default(cases: Sequence[Case]) -> list[Prediction]:
    return [forecast(case.history[None], WEEK, HOUR_S, _LEVEL) for case in cases]


def _batch_cost(cases: Sequence[Case]) -> float:
    """Return the CPU time per series of a batch, in milliseconds: the least of three runs, the first one warms up."""
    longest = max((case.history for case in cases), key=len)
    rolled = np.stack([np.roll(longest, shift) for shift in range(_BATCH)])
    costs = []
    for _ in range(3):
        began = time.process_time()
        forecast(rolled, WEEK, HOUR_S, _LEVEL)
        costs.append(time.process_time() - began)
    return min(costs) / _BATCH * 1e3


def score_hourly(cases: Sequence[Case], made: Forecasts) -> ForecastScore:
    """Compare forecasts with what came."""
    bridged = {name: _errors(point, cases, bridged=True) for name, point in made.point.items()}
    samples = {name: _errors(point, cases, bridged=False) for name, point in made.point.items()}
    models = [
        {
            "model": name, "mean": float(np.nanmean(bridged[name])), "median": float(np.nanmedian(bridged[name])),
            "mean_samples": float(np.nanmean(samples[name])), "median_samples": float(np.nanmedian(samples[name])),
            "cpu_ms": made.cpu_ms[name],
        }
        for name in made.point
    ]  # fmt: skip
    future = np.stack([case.future for case in cases])
    seen = np.isfinite(future)
    inside = seen & (future >= made.low) & (future <= made.high)
    scale = np.array([_scale(case.bridged_history) for case in cases])
    rows = [
        {
            "series": case.name, "origin": str(case.origin.astype("datetime64[s]")),
            "coverage": float(inside[i].sum() / seen[i].sum()) if seen[i].any() else None,
            "errors": {name: _finite(errors[i]) for name, errors in bridged.items()},
        }
        for i, case in enumerate(cases)
    ]  # fmt: skip
    width = float(np.nanmean((made.high - made.low).mean(1) / scale))
    return ForecastScore(models, float(inside.sum() / max(1, seen.sum())), width, rows)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _errors(point: Line, cases: Sequence[Case], *, bridged: bool) -> Line:
    """Return the scaled error of each case; NaN where the history does not change from week to week."""
    out = np.full(len(cases), np.nan)
    for i, case in enumerate(cases):
        history = case.bridged_history if bridged else case.history
        off = np.abs((case.bridged if bridged else case.future) - point[i])
        if np.isfinite(off).any():
            out[i] = np.nanmean(off) / _scale(history)
    return out


def _scale(history: Line) -> float:
    change = np.abs(history[WEEK:] - history[:-WEEK])
    change = change[np.isfinite(change)]
    return float(change.mean()) if len(change) and change.mean() > 0 else float("nan")
