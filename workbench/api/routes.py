"""The answers of the API, one function per address, on plain parameters.

References
----------
Prometheus, "HTTP API"; `web/api/v1/api.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from workbench.api import parameters
from workbench.api.answers import instant_answer, quoted, range_answer, success
from workbench.api.parameters import Form, Refused
from workbench.errors import LimitExceeded, QueryError
from workbench.query import promql
from workbench.query.promql import Answer
from workbench.signals.names import to_prometheus
from workbench.store import Store

__all__ = ["ROUTES", "label_values"]

_MOST_POINTS = 11_000
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_MS = np.timedelta64(1, "ms")


def query(store: Store, form: Form) -> str:
    """Answer `/api/v1/query`."""
    at = parameters.instant(form, "time", parameters.now())
    text = parameters.first(form, "query")
    parameters.parsed(text, "query")
    answer = _evaluated(store, text, at, at, 1)
    return success(instant_answer(answer), answer.notes)


def query_range(store: Store, form: Form) -> str:
    """Answer `/api/v1/query_range`."""
    start, end = parameters.instant(form, "start"), parameters.instant(form, "end")
    if end < start:
        raise parameters.bad("end", "end timestamp must not be before start time")
    step = parameters.step(form)
    if (end - start) // step > _MOST_POINTS:
        raise Refused(
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            400,
        )
    text = parameters.first(form, "query")
    kind = parameters.parsed(text, "query").type
    if kind not in ("vector", "scalar"):
        found = {"matrix": "range vector"}.get(kind, kind)
        why = f'invalid expression type "{found}" for range query, must be Scalar or instant Vector'
        raise Refused("bad_data", why, 400)
    answer = _evaluated(store, text, start, end, step)
    return success(range_answer(answer), answer.notes)


def _evaluated(store: Store, text: str, start: int, end: int, step: int) -> Answer:
    """Evaluate between two instants, in ms; what goes wrong then is an error of execution."""
    first, last = (np.datetime64(ms, "ms").astype("datetime64[ns]") for ms in (start, end))
    try:
        return promql.evaluate_value(store, text, first, last, np.timedelta64(step, "ms"))
    except QueryError as error:
        raise Refused("execution", error.message, 422) from error
    except LimitExceeded as error:
        raise Refused("execution", str(error), 422) from error


def _found(store: Store, form: Form, *, needed: bool = False) -> pd.DataFrame:
    """Return the labels of the series that a request means: named as Prometheus names them, "" where absent."""
    if needed and not form.get("match[]"):
        raise Refused("bad_data", "no match[] parameter provided", 400)
    chosen = parameters.selectors(form) or [()]
    start = parameters.instant(form, "start", -1)
    end = parameters.instant(form, "end", -1)
    if start >= 0 and 0 <= end < start:
        raise parameters.bad("end", "end timestamp must not be before start time")
    extent = store.extent("metrics")
    if extent is None:
        return pd.DataFrame()
    low, high = (int(t.astype("datetime64[ms]").astype(np.int64)) for t in extent)
    parts = []
    for matchers in chosen:
        if start <= low and (end < 0 or end > high):
            parts.append(store.series(matchers).drop(columns=["kind", "unit"]))
            continue
        first = np.datetime64(max(start, 0), "ms")
        last = np.datetime64(high if end < 0 else end, "ms") + _MS
        parts.append(store.select(matchers, first.astype("datetime64[ns]"), last.astype("datetime64[ns]")).labels)
    frame = pd.concat(parts, ignore_index=True).fillna("").drop_duplicates()
    frame = frame.rename(columns={"kind_": "kind", "unit_": "unit"}).rename(
        columns=lambda name: to_prometheus(str(name))
    )
    return frame.loc[:, (frame != "").any(axis=0)]


def series(store: Store, form: Form) -> str:
    """Answer `/api/v1/series`."""
    frame = _found(store, form, needed=True)
    most = parameters.limit(form)
    names = sorted(str(name) for name in frame.columns)
    rows = frame[names].to_numpy(object).tolist() if names else []
    found = sorted(
        ({n: v for n, v in zip(names, row, strict=True) if v} for row in rows), key=lambda r: sorted(r.items())
    )
    return success(quoted(found[:most] if most else found))


def labels(store: Store, form: Form) -> str:
    """Answer `/api/v1/labels`."""
    names = sorted(str(name) for name in _found(store, form).columns)
    most = parameters.limit(form)
    return success(quoted(names[:most] if most else names))


def label_values(store: Store, form: Form, name: str) -> str:
    """Answer `/api/v1/label/<name>/values`."""
    if not _LABEL.fullmatch(name) and not name.startswith("U__"):
        raise Refused("bad_data", f'invalid label name: "{name}"', 400)
    frame = _found(store, form)
    wanted = _unescaped(name)
    values = sorted(set(frame[wanted]) - {""}) if wanted in frame.columns else []
    most = parameters.limit(form)
    return success(quoted(values[:most] if most else values))


def _unescaped(name: str) -> str:
    """Return a label name that is escaped as Prometheus 3 does for addresses: `U__`, `__` for `_`, `_2e_` for `.`."""
    if not name.startswith("U__"):
        return name
    return re.sub(r"__|_([0-9a-fA-F]{1,6})_", lambda m: chr(min(int(m[1], 16), 0xFFFD)) if m[1] else "_", name[3:])


def metadata(store: Store, form: Form) -> str:
    """Answer `/api/v1/metadata`: kinds and units as far as sources gave them; what metrics mean is not stored."""
    frame = store.series(())
    wanted, most = parameters.first(form, "metric"), parameters.limit(form)
    known = frame[(frame["kind"] != "unknown") | (frame["unit"] != "")] if len(frame) else frame
    found: dict[str, list[Mapping[str, str]]] = {}
    pairs = known[["metric", "kind", "unit"]].drop_duplicates().sort_values("metric") if len(known) else known
    for metric, kind, unit in pairs.itertuples(index=False):
        if wanted in ("", metric):
            found.setdefault(metric, []).append({"type": kind, "help": "", "unit": unit})
    return success(quoted(dict(list(found.items())[:most]) if most else found))


def build_info(store: Store, form: Form) -> str:
    """Answer `/api/v1/status/buildinfo`: the version of Prometheus whose API and language this is, and who speaks."""
    from importlib.metadata import version

    said = {
        "version": "3.0.0",
        "revision": version("workbench-observability"),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
    return success(quoted(said | {"application": "workbench"}))


def _nothing(data: str) -> Callable[[Store, Form], str]:
    return lambda store, form: success(data)


ROUTES: dict[str, Callable[[Store, Form], str]] = {
    "/api/v1/query": query,
    "/api/v1/query_range": query_range,
    "/api/v1/series": series,
    "/api/v1/labels": labels,
    "/api/v1/metadata": metadata,
    "/api/v1/status/buildinfo": build_info,
    "/api/v1/rules": _nothing('{"groups":[]}'),
    "/api/v1/alerts": _nothing('{"alerts":[]}'),
    "/api/v1/query_exemplars": _nothing("[]"),
}
"""Addresses that take GET and POST, and what answers them; the last three are asked by Grafana, and empty here."""
