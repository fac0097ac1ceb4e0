"""Metric: series over time with the band that was expected of each and the stretches where it left it.

The band is causal: at every instant it rests on earlier samples only, so what a chart calls strange was strange then.
For an investigation the charts are those that say most: requests, errors and latency of each suspect, and the metrics
that the evidence names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.diagnose.investigation import Investigation, Window
from workbench.incidents.timeline import anomalies
from workbench.panels.data import Chart, Episode, Line, MetricData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import charts
from workbench.panels.metric_choice import choose
from workbench.panels.static import metric as static
from workbench.panels.units import middle
from workbench.signals import check_metrics, labels_of

__all__ = ["Metric", "chart", "prepare"]

_THRESHOLD = 4.0
_LINES = 8
_MIN_BAND = 8
_MUCH = 0.25


def prepare(
    metrics: xr.DataArray,
    *,
    window: Window | None = None,
    baseline: Window | None = None,
    fault: Window | None = None,
    title: str = "Metric",
    unit: str | None = None,
) -> MetricData:
    """Return the charts of a metrics array: one chart per metric and service, a line per series.

    Parameters
    ----------
    metrics : DataArray, shape (n, t)
        A metrics shape.
    window, baseline, fault : (datetime64[ns], datetime64[ns]), optional
        What it covers (by default the array's times), what was normal, what was faulty.
    unit : str, optional
        UCUM unit; the array's own by default.
    """
    check_metrics(metrics)
    time = metrics["time"].values
    unit = str(metrics.attrs.get("unit", "")) if unit is None else unit
    labels = labels_of(metrics)
    values = np.asarray(metrics.values, np.float64)
    made = []
    for (name, service), rows in _groups(labels).items():
        names = _names(labels.iloc[rows])
        made.append(chart(name, service, unit, time, names, values[rows], baseline=baseline, fault=fault))
    extent = window if window is not None else _extent(time)
    note = "" if made and len(time) else "No series matches: there is nothing to draw."
    return MetricData(title, extent, baseline, fault, tuple(made) if len(time) else (), note)


def _extent(time: npt.NDArray[np.datetime64]) -> Window:
    if not len(time):
        zero = np.datetime64(0, "ns")
        return zero, zero + np.timedelta64(1, "s")
    step = time[1] - time[0] if len(time) > 1 else np.timedelta64(1_000_000_000, "ns")
    return time[0], time[-1] + step


def _groups(labels: pd.DataFrame) -> dict[tuple[str, str], list[int]]:
    """Return rows by (metric, service), in order of first appearance."""
    blank = [""] * len(labels)
    metric = labels["metric"].tolist() if "metric" in labels else blank
    service = labels["service"].tolist() if "service" in labels else blank
    groups: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(metric, service, strict=True)):
        groups.setdefault((str(key[0]), str(key[1])), []).append(row)
    return groups


def _names(labels: pd.DataFrame) -> list[str]:
    """Name each series by the labels that differ between the series of one chart."""
    varying = [c for c in labels.columns if c not in ("metric", "service") and labels[c].nunique() > 1]
    if not varying:
        return [""] * len(labels)
    return [", ".join(f"{c}={row[c]}" for c in varying if row[c]) for row in labels[varying].to_dict("records")]


def chart(
    title: str,
    service: str,
    unit: str,
    time: npt.NDArray[np.datetime64],
    names: Sequence[str],
    values: npt.NDArray[np.float64],
    *,
    baseline: Window | None = None,
    fault: Window | None = None,
    episodes: Sequence[Episode] | None = None,
) -> Chart:
    """Return one chart of k series, float64 of shape (k, t).

    Of more than eight series those whose median moved most between baseline and fault stay. A single series gets its
    expected band, and its episodes where none are given.
    """
    moved = np.array([_moved(row, time, baseline, fault) for row in values])
    order = np.sort(np.argsort(-moved, kind="stable")[:_LINES])
    lines = tuple(Line(str(names[i]), values[i]) for i in order)
    most = int(np.argmax(moved)) if len(moved) else 0
    before, during = (_median(values[most], time, w) if len(order) else np.nan for w in (baseline, fault))
    low = high = None
    found = tuple(episodes or ())
    if len(lines) == 1 and np.isfinite(lines[0].values).sum() >= _MIN_BAND:
        low, high, own = _expected(lines[0].values, time)
        found = found if episodes is not None else own
    return Chart(
        title,
        service,
        unit,
        time,
        lines,
        low,
        high,
        found,
        before,
        during,
        str(names[most]) if len(lines) > 1 else "",
        max(0, len(values) - len(order)),
    )


def _median(values: npt.NDArray[np.float64], time: npt.NDArray[np.datetime64], window: Window | None) -> float:
    if window is None:
        return float("nan")
    return middle(values[(time >= window[0]) & (time < window[1])])


def _moved(
    values: npt.NDArray[np.float64], time: npt.NDArray[np.datetime64], baseline: Window | None, fault: Window | None
) -> float:
    """Return how far the median moved, in units of its own size; of no windows, how much the series varies."""
    finite = values[np.isfinite(values)]
    size = float(np.abs(finite).mean()) if len(finite) else 0.0
    if not size:
        return 0.0
    shift = _median(values, time, fault) - _median(values, time, baseline)
    return abs(shift) / size if np.isfinite(shift) else float(finite.std()) / size


def _expected(
    values: npt.NDArray[np.float64], time: npt.NDArray[np.datetime64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[Episode, ...]]:
    """Return the causal band of one series and its episodes, from the detectors' room."""
    from workbench.detect import LevelShift, episodes, expected

    block = values[None, :]
    _, low, high = expected(block)
    scores = LevelShift().surprise(block)
    table = episodes(scores, _THRESHOLD)
    half = (time[1] - time[0]) // 2
    found = tuple(
        Episode(time[int(a)] - half, time[min(int(b), len(time)) - 1] + half, float(score))
        for a, b, score in zip(table["start"], table["end"], table["score"], strict=True)
    )
    return low[0], high[0], found


class Metric:
    """The panel `metric`."""

    name: ClassVar[str] = "metric"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, charts.metric)

    def prepare(self, *inputs: Any, **options: Any) -> MetricData:
        """Return the charts of a metrics array; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the series of an investigation that say most (`most` charts of them), or those of a metrics array."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        return Figure(self.name, _of_investigation(inputs[0], **options), self.drawing)


def _of_investigation(investigation: Investigation, most: int = 8) -> MetricData:
    baseline, fault = investigation.baseline, investigation.fault
    made = [
        chart(
            s.title, s.service, s.unit, s.time, s.names, s.values, baseline=baseline, fault=fault,
            episodes=_episodes_of(investigation, s.service, s.metric),
        )
        for s in choose(investigation)
    ]  # fmt: skip
    # A series that kept its range says little beside those that left it.
    told = tuple([c for c in made if _left(c, fault)] or made)[:most]
    note = "" if made else "No traces and no metrics of a suspect lie in this window: there is nothing to draw."
    return MetricData("What moved", investigation.window, baseline, fault, told, note, not investigation.abstained)


def _left(drawn: Chart, fault: Window | None) -> bool:
    """Return whether a chart has an anomaly, in the fault window where there is one, or several lines that moved."""
    if fault is not None and len(drawn.lines) > 1 and not drawn.episodes:
        size = max(abs(drawn.before), abs(drawn.during))
        return bool(abs(drawn.during - drawn.before) >= _MUCH * size > 0)
    return any(fault is None or (e.start < fault[1] and e.end > fault[0]) for e in drawn.episodes)


def _episodes_of(investigation: Investigation, service: str, metric: str) -> list[Episode] | None:
    """Return the anomalies the investigation itself found on this series; None where it found none."""
    found = anomalies(investigation)
    if not len(found) or not metric or "series" not in found.columns:
        return None
    names = found["series"].fillna("").astype("str").str.partition("{")[0]
    rows = found[
        (found["service"] == service) & names.isin([metric + part for part in ("", "_bucket", "_count", "_sum")])
    ]
    if not len(rows):
        return None
    scores = rows["score"] if "score" in rows.columns else pd.Series(0.0, index=rows.index)
    ends = rows["end"].fillna(rows["time"])
    return [
        Episode(a, b, float(s))
        for a, b, s in zip(
            rows["time"].to_numpy("datetime64[ns]"), ends.to_numpy("datetime64[ns]"), scores, strict=True
        )
    ]
