"""Anomalies from a store: what to ask, how much history to learn from, what was expected to be unusual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench import registry
from workbench.detect import Alarm, Anomalies, expectations, find_anomalies, scan
from workbench.diagnose.outlook import history
from workbench.diagnose.resources import service_column
from workbench.diagnose.watched import load_service, service_of
from workbench.errors import InvalidInput, LimitExceeded
from workbench.query import promql
from workbench.query.promql.ast import Aggregate, Call, MatrixSelector, Node, Paren, VectorSelector
from workbench.signals import build_metrics, labels_of
from workbench.store import Store

__all__ = ["Question", "watch"]

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_POINTS = 3_000
"""Steps of history and window together, where no step is given."""
_CELLS = 10_000_000
_NAME = 120
_PLANNED = ("deploy", "config", "scale", "flag", "note")
_SAME_UNIT = {
    "avg_over_time", "max_over_time", "min_over_time", "last_over_time", "quantile_over_time", "delta", "abs", "sum",
    "avg", "min", "max", "topk", "bottomk", "quantile", "sort", "sort_desc", "increase", "clamp_min", "clamp_max",
}  # fmt: skip
_PER_SECOND = {"rate", "irate", "deriv"}


@dataclass(frozen=True)
class Question:
    """What anomalies are asked for.

    Attributes
    ----------
    asked : str or None
        PromQL; the name of a service; None for all services.
    window : (datetime64[ns], datetime64[ns])
        Alarms in it are told; half-open.
    history_ns : int
        How much before the window the detector may learn from, as far as the store goes back.
    step_ns : int or None
        By default as fine as samples come, and as coarse as 3,000 steps make it.
    detector : object
        A detector, or its name in the group `workbench.detectors`.
    alarm : Alarm, float or None
        A number is the threshold of an `Alarm`.
    events : bool
        Whether stored deploys, changes and notes raise the threshold while they last.
    """

    asked: str | None
    window: tuple[np.datetime64, np.datetime64]
    history_ns: int
    step_ns: int | None = None
    detector: Any = "watchdog"
    alarm: Alarm | float | None = None
    events: bool = True


def watch(store: Store, question: Question) -> Anomalies:
    """Return the anomalies of a store's metrics.

    Raises
    ------
    NotFound
        If the expression, the service or the detector finds nothing.
    InvalidInput, LimitExceeded
        If the step or the history makes no sense, or the answer has more than ten million values.
    QueryError
        If the expression is not understood.
    """
    if question.history_ns < 0:
        raise InvalidInput(f"a history of {question.history_ns / 1e9:g} s is below 0: give a duration such as '7d'.")
    detector, alarm = _detector(question.detector), _alarm(question.alarm)
    first, last = question.window
    held = store.extent("metrics")
    begin = first - np.timedelta64(question.history_ns, "ns")
    begin = begin if held is None else max(begin, min(held[0], first))
    array = _load(store, question, begin, last)
    if array.size > _CELLS:
        raise LimitExceeded(
            f"{array.sizes['series']:,} series of {array.sizes['time']:,} steps are more than ten million values: take a"
            " longer step, a shorter history or fewer series."
        )
    services = [str(name) for name in service_column(labels_of(array))]
    happened = store.rows("events", begin, last) if question.events else None
    factor = None if happened is None else _factor(services, array["time"].values, happened)
    return find_anomalies(scan(array, detector), alarm, window=(first, last), factor=factor, past=_past(store, last))


def _factor(
    services: list[str], time: npt.NDArray[np.datetime64], happened: pd.DataFrame
) -> npt.NDArray[np.float64] | None:
    """Return what thresholds are multiplied with, None where nothing was planned."""
    planned = happened[happened["kind"].isin(_PLANNED)]
    return expectations(services, time, planned) if len(planned) else None


def _past(store: Store, last: np.datetime64) -> pd.DataFrame | None:
    """Return the anomalies the store keeps."""
    held = store.extent("events")
    if held is None or held[0] >= last:
        return None
    return store.rows("events", held[0], last, where={"kind": ["anomaly"]})


def _detector(given: Any) -> Any:
    if isinstance(given, str):
        return registry.load("workbench.detectors", given)()
    if not callable(getattr(given, "score", None)):
        raise InvalidInput(f"{type(given).__name__} is no detector: give a name of the group, or one with a score.")
    return given


def _alarm(given: Any) -> Alarm:
    if given is None or isinstance(given, Alarm):
        return Alarm() if given is None else given
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Alarm(threshold=float(given))
    raise InvalidInput(f"alarm {given!r} is no Alarm: give one, or a threshold between 0 and 1.")


def _load(store: Store, question: Question, begin: np.datetime64, last: np.datetime64) -> xr.DataArray:
    """Return the series to watch on a regular grid."""
    span_ns = int((last - begin) / np.timedelta64(1, "ns"))
    service = service_of(store, question.asked)
    if question.asked is None or service is not None:
        interval = _interval(store, VectorSelector((), 0, 0), last)
        return load_service(store, service, (begin, last), _step(question.step_ns, interval, span_ns), interval)
    node = promql.parse(question.asked)
    selectors = list(_selectors(node))
    interval = _interval(store, selectors[0], last) if selectors and question.step_ns is None else 1.0
    array = history(store, question.asked, (begin, last), span_ns, _step(question.step_ns, interval, span_ns))
    unit = _unit(store, node)
    array = array.assign_attrs(unit=unit) if unit and not array.attrs.get("unit") else array
    return array if (array["metric"].values != "").any() else _called(array, question.asked)


def _called(array: xr.DataArray, expr: str) -> xr.DataArray:
    """Return series that have lost their metric's name under the expression itself, so that events can be told apart."""
    name = " ".join(expr.split())
    name = name if len(name) <= _NAME else name[: _NAME - 1] + "\u2026"
    return build_metrics(array.values, array["time"].values, labels_of(array).assign(metric=name), array.attrs)


def _step(given: int | None, interval: float, span_ns: int) -> int:
    """Return a step in nanoseconds: as samples come, but at most 3,000 of them."""
    if given is not None:
        return given
    wanted = max(interval, span_ns / 1e9 / _POINTS)
    return next((s for s in _STEPS_S if s >= wanted * 0.999), _STEPS_S[-1]) * 10**9


def _interval(store: Store, selector: VectorSelector, last: np.datetime64) -> float:
    """Return the usual seconds between the newest samples of what a selector names; a minute if that cannot be told."""
    held = store.extent("metrics")
    end = last if held is None else min(last, held[1] + np.timedelta64(1, "ns"))
    for seconds in (300, 3_600, 86_400, 7 * 86_400):
        found = store.select(selector.matchers, end - np.timedelta64(seconds, "s"), end)
        apart = np.diff(found.time.view(np.int64))
        apart = apart[apart > 0]
        if len(apart):
            return float(np.median(apart)) / 1e9
    return 60.0


def _selectors(node: Any) -> Iterator[VectorSelector]:
    if isinstance(node, VectorSelector):
        yield node
    elif isinstance(node, tuple):
        for each in node:
            yield from _selectors(each)
    elif is_dataclass(node):
        for each in fields(node):
            yield from _selectors(getattr(node, each.name))


def _unit(store: Store, node: Node | None) -> str:
    """Return the unit of what an expression gives, "" where it cannot be told without doubt."""
    if isinstance(node, VectorSelector):
        units = set(store.series(node.matchers)["unit"])
        return str(units.pop()) if len(units) == 1 else ""
    if isinstance(node, MatrixSelector):
        return _unit(store, node.vector)
    if isinstance(node, Paren) or (isinstance(node, Aggregate) and node.op in _SAME_UNIT):
        return _unit(store, node.expr)
    if isinstance(node, Call):
        inner = next((each for each in node.args if each.type in ("vector", "matrix")), None)
        unit = _unit(store, inner) if node.func in _SAME_UNIT | _PER_SECOND else ""
        return f"{unit}/s" if unit and node.func in _PER_SECOND else unit
    return ""
