"""Which series of a service are worth watching when nobody says which: rates of counters, means of histograms, gauges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from workbench.diagnose.outlook import history
from workbench.diagnose.resources import service_column
from workbench.errors import NotFound, closest
from workbench.signals import build_metrics, labels_of
from workbench.store import Store

__all__ = ["load_service", "service_of", "watchable"]

_METRICS = 60
_EACH = 20
"""Series of one gauge and service that are watched one by one; of more, their mean."""
_TRAFFIC = ("request", "http", "rpc", "error", "latency", "duration")


@dataclass(frozen=True)
class _Watched:
    """One thing to ask: a name, PromQL, the unit of the answer."""

    name: str
    expr: str
    unit: str


def service_of(store: Store, asked: str | None) -> str | None:
    """Return the service that a text names, None where it is PromQL; a metric of that name comes first."""
    if asked is None:
        return None
    table = store.series()
    if not len(table) or (table["metric"] == asked).any():
        return None
    return asked if (service_column(table) == asked).any() else None


def load_service(
    store: Store, service: str | None, window: tuple[np.datetime64, np.datetime64], step_ns: int, interval: float
) -> xr.DataArray:
    """Return the series of a service, or of all, on a regular grid; a label `unit` has the unit of each.

    Parameters
    ----------
    store : Store
    service : str or None
    window : (datetime64[ns], datetime64[ns])
        Half-open.
    step_ns : int
    interval : float
        Seconds between samples: rates reach over four of them, and over a step at least.

    Raises
    ------
    NotFound
        If nothing that can be watched has samples there.
    """
    values, tables, time = [], [], None
    for each in watchable(store.series(), service, step_ns / 1e9, interval):
        try:
            array = history(store, each.expr, window, step_ns, step_ns)
        except NotFound:
            continue
        values.append(array.values)
        tables.append(labels_of(array).assign(metric=each.name, unit=each.unit))
        time = array["time"].values
    if time is None:
        known = sorted(set(service_column(store.series())) - {""})
        near = closest(service, known) if service else None
        hint = f"; did you mean {near!r}?" if near else "."
        raise NotFound(f"{service or 'the store'} has no metrics to watch in this window: give PromQL{hint}")
    return build_metrics(np.concatenate(values), time, pd.concat(tables, ignore_index=True).fillna(""))


def watchable(series: pd.DataFrame, service: str | None, step: float, interval: float) -> list[_Watched]:
    """Return what to ask of the series of a store, traffic first, at most sixty metrics.

    Parameters
    ----------
    series : DataFrame
        One row per series: its labels, `kind` and `unit`, as `Store.series` gives them.
    service : str or None
        Only this one.
    step, interval : float
        Seconds between steps, and between samples.
    """
    if not len(series):
        return []
    own = service_column(series)
    mine = series[own == service] if service is not None else series
    names = sorted(set(mine["metric"]), key=lambda name: (not any(word in name for word in _TRAFFIC), name))
    made = []
    for name in names:
        found = _asked(mine[mine["metric"] == name], name, service, (step, interval), set(names))
        made += [found] if found is not None else []
    return made[:_METRICS]


def _asked(
    rows: pd.DataFrame, name: str, service: str | None, pace: tuple[float, float], names: set[str]
) -> _Watched | None:
    """Return how one metric is watched, None for what is part of another."""
    label = next((n for n in ("service", "service_name", "job") if n in rows.columns and (rows[n] != "").any()), "job")
    kind, unit = str(rows["kind"].iloc[0]), str(rows["unit"].iloc[0])
    base = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
    parts = {f"{base}_count", f"{base}_sum"} <= names
    step, interval = pace
    given = f"[{max(1, round(max(4 * interval, step)))}s]"
    pick = _selector(name, label, service)
    if name.endswith("_bucket") and kind in ("histogram", "unknown"):
        return None
    if parts and name == f"{base}_sum":
        whole, count = (
            f"sum by ({label}) (rate({each}{given}))" for each in (pick, _selector(f"{base}_count", label, service))
        )
        return _Watched(f"{base} mean", f"{whole} / {count}", unit)
    if kind == "counter" or name.endswith("_total") or (parts and name == f"{base}_count"):
        per = f"{unit}/s" if unit and unit != "1" and not parts else "/s"
        return _Watched(f"{name} per second", f"sum by ({label}) (rate({pick}{given}))", per)
    # Between two steps lie samples that a plain selector would not see.
    pick = f"avg_over_time({pick}[{round(step)}s])" if step > 1.5 * interval else pick
    many = rows.groupby(label).size().max() > _EACH if label in rows.columns else len(rows) > _EACH
    return _Watched(name, f"avg by ({label}) ({pick})" if many else pick, unit)


def _selector(name: str, label: str, service: str | None) -> str:
    only = "" if service is None else f', {label}="{_quoted(service)}"'
    return f'{{"{_quoted(name)}"{only}}}'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
