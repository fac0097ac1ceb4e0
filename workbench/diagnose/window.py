"""When did it begin, and when was it over: the fault window, found from all signals together.

Every service gives a handful of series on one grid (requests, failures, latency, own time, CPU, memory, error logs).
Each is compared with its own past only, so a score never depends on later samples; the scores of one instant are added
up, and the window is the run of instants whose sum of scores stands out most (the maximum-sum segment of Bentley,
"Programming Pearls", 1984; the scan statistic of Kulldorff, 1997, is its statistical reading).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench import detect
from workbench.diagnose.investigation import Telemetry, Window
from workbench.diagnose.resources import resource_series
from workbench.diagnose.scene import Facts
from workbench.signals import build_events, build_metrics

__all__ = ["choose_step", "find_window", "signal_block"]

FloatArray = npt.NDArray[np.float64]

_STEPS_S = (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_STEPS = 400
_FIRE = 3.0
"""A series counts where its own past makes the value less likely than 10^-3."""
_CAP = 6.0
"""What one series can add at most, so that many weak signs weigh more than a single wild one."""


def choose_step(window: Window) -> np.timedelta64:
    """Return the grid step: the finest round one that gives at most 400 steps, whole hours beyond those."""
    seconds = float((window[1] - window[0]) / np.timedelta64(1, "s"))
    hours = 3600 * int(np.ceil(seconds / 3600 / _MOST_STEPS))
    step = next((s for s in _STEPS_S if seconds / s <= _MOST_STEPS), hours)
    return np.timedelta64(step * 10**9, "ns")


def signal_block(telemetry: Telemetry, facts: Facts) -> xr.DataArray:
    """Return the series the window is found from: dims (series, time), labels `service`, `metric`, `unit`.

    Times label the right end of each bin; what is left over at the end of the window, shorter than a bin, is left out.
    """
    start, end = telemetry.window
    step = choose_step(telemetry.window)
    n = int((end - start) // step)
    time = start + step * np.arange(1, n + 1)
    parts = [
        _binned(_until(facts.served, time), start, step, n),
        _counted(_until(facts.failures, time), "failures", start, step, n),
        _counted(_until(telemetry.logs[telemetry.logs["severity"] >= 17], time), "error logs", start, step, n),
        resource_series(telemetry.metrics, start, step, n),
    ]
    labels = pd.concat([labels for labels, _ in parts], ignore_index=True)
    values = np.concatenate([block for _, block in parts]) if len(labels) else np.empty((0, n))
    if labels.empty:
        labels = pd.DataFrame({"service": [], "metric": [], "unit": []}, dtype=object)
    return build_metrics(values, time, labels)


def _until(frame: pd.DataFrame, time: npt.NDArray[np.datetime64]) -> pd.DataFrame:
    return frame[frame["time"] < time[-1]] if len(time) else frame[:0]


def _bins(time: pd.Series, start: np.datetime64, step: np.timedelta64, n: int) -> npt.NDArray[np.int64]:
    return np.clip(((time.to_numpy() - start) // step).astype(np.int64), 0, n - 1)


def _table(services: npt.NDArray[np.object_], metric: str, unit: str) -> pd.DataFrame:
    return pd.DataFrame({"service": services, "metric": metric, "unit": unit}, dtype=object)


def _counted(
    frame: pd.DataFrame, metric: str, start: np.datetime64, step: np.timedelta64, n: int
) -> tuple[pd.DataFrame, FloatArray]:
    codes, services = pd.factorize(frame["service"].astype(object))
    flat = np.bincount(codes * n + _bins(frame["time"], start, step, n), minlength=len(services) * n)
    return _table(np.asarray(services, object), metric, "1"), flat.reshape(len(services), n).astype(float)


def _binned(
    served: pd.DataFrame, start: np.datetime64, step: np.timedelta64, n: int
) -> tuple[pd.DataFrame, FloatArray]:
    """Return requests per bin, and mean duration and own time per request, of every service."""
    codes, services = pd.factorize(served["service"].astype(object))
    cell = codes * n + _bins(served["time"], start, step, n)
    size = len(services) * n
    count = np.bincount(cell, minlength=size).astype(float)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(cell, weights=served["duration_ns"], minlength=size) / np.where(count, count, np.nan)
        own = np.bincount(cell, weights=served["own_ns"], minlength=size) / np.where(count, count, np.nan)
    names = np.asarray(services, object)
    labels = pd.concat(
        [_table(names, "requests", "1"), _table(names, "duration", "ms"), _table(names, "own time", "ms")],
        ignore_index=True,
    )
    return labels, np.concatenate([count, mean / 1e6, own / 1e6]).reshape(len(labels), n)


def find_window(block: xr.DataArray) -> tuple[Window | None, float, pd.DataFrame]:
    """Return the fault window (None when no run of instants stands out), its weight, and the anomalies as events.

    Parameters
    ----------
    block : DataArray, shape (n, t)
        As `signal_block` makes it.
    """
    values = np.asarray(block.values, float)
    if values.shape[0] == 0 or values.shape[1] < 6:
        return None, 0.0, build_events({"time": np.empty(0, "datetime64[ns]")})
    scores = np.nan_to_num(detect.LevelShift().surprise(values), nan=0.0)
    events = detect.to_events(block, scores)
    total = np.clip(scores - _FIRE, 0.0, _CAP - _FIRE).sum(axis=0)
    run = _heaviest_run(total)
    if run is None:
        return None, 0.0, events
    run = _without_aftermath(total, run)
    time = block["time"].values
    step = time[1] - time[0]
    return (time[run[0]] - step, time[run[1]]), float(total[run[0] : run[1] + 1].sum()), events


def _heaviest_run(total: FloatArray) -> tuple[int, int] | None:
    """Return the first and last index of the run that stands out most, or None.

    What an ordinary instant scores (half as much again as the median, and no less than 1) is taken off first, so a run
    has to stay above the ordinary; it must last two steps and outweigh three series at their cap.
    """
    ordinary = max(float(np.median(total)) * 1.5, 1.0)
    gain = total - ordinary
    best, best_run, current, begin = 0.0, None, 0.0, 0
    for i, value in enumerate(gain.tolist()):
        if current <= 0.0:
            current, begin = 0.0, i
        current += value
        if current > best:
            best, best_run = current, (begin, i)
    if best_run is None or best_run[1] - best_run[0] < 1 or best < 3 * (_CAP - _FIRE):
        return None
    return best_run


def _without_aftermath(total: FloatArray, run: tuple[int, int]) -> tuple[int, int]:
    """Return the run without a tail in which less than half of what it usually shows is left."""
    part = total[run[0] : run[1] + 1]
    lively = np.flatnonzero(part >= 0.5 * float(np.median(part)))
    return run[0], run[0] + int(lively[-1])
