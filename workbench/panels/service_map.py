"""Service map: who calls whom, how much, how well, and what changed; suspects are ringed.

`prepare` joins the map of the fault window with that of the baseline and lays it out in columns, callers left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Investigation, Window
from workbench.panels.data import MapEdge, MapNode, ServiceMapData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import views
from workbench.panels.layout import layered
from workbench.panels.static import service_map as static
from workbench.signals import build_spans
from workbench.traces import ServiceMap, service_map

__all__ = ["ServiceMapPanel", "prepare"]

_MOST = 40
_NAN = float("nan")


def prepare(
    now: ServiceMap,
    before: ServiceMap | None = None,
    *,
    suspects: Mapping[str, float] | None = None,
    window: Window | None = None,
    title: str = "Service map",
    nodes: int = _MOST,
    accused: bool = True,
) -> ServiceMapData:
    """Return a laid out service map.

    Parameters
    ----------
    now, before : ServiceMap
        The window in question, and the baseline it is compared with.
    suspects : mapping of str to float, optional
        Service to probability, most likely first.
    nodes : int
        Most nodes drawn: suspects, then those with most calls; the note counts the rest.
    accused : bool
        Whether a suspect was named; when not, nothing is drawn in red.
    """
    ranks = {service: i + 1 for i, service in enumerate(suspects or {})}
    table = _joined(now, before)
    order = table.assign(rank=[ranks.get(s, _MOST + 1) for s in table["service"]])
    order = order.sort_values(["rank", "calls", "service"], ascending=[True, False, True], kind="stable")
    kept = set(order["service"].head(nodes))
    edges = _edges(now, before)
    failed = _failed(edges)
    edges = edges[edges["caller"].isin(kept) & edges["callee"].isin(kept)]
    links = list(zip(edges["caller"], edges["callee"], strict=True))
    placed = layered(sorted(kept), links)
    made = [
        MapNode(
            row["service"], row["kind"], row["rate"], row["error_share"], row["p95_ns"], row["rate_before"],
            row["error_share_before"], row["p95_ns_before"], ranks.get(row["service"], 0),
            (suspects or {}).get(row["service"], _NAN), *placed.at[row["service"]],
            *failed.get(row["service"], (row["error_share"], row["error_share_before"])),
        )
        for row in table.to_dict("records")
        if row["service"] in kept
    ]  # fmt: skip
    drawn = [
        MapEdge(
            row["caller"], row["callee"], row["connection"], row["rate"], row["error_share"], row["p95_ns"],
            row["rate_before"], row["error_share_before"], row["p95_ns_before"],
            placed.paths[(row["caller"], row["callee"])],
        )
        for row in edges.to_dict("records")
    ]  # fmt: skip
    note = "No spans lie in this window: there is no map to draw." if not made else ""
    if len(table) > len(kept):
        note = f"{len(table) - len(kept)} services with fewer calls are not shown."
    return ServiceMapData(title, window, tuple(made), tuple(drawn), before is not None, note, accused)


def _with_rates(frame: pd.DataFrame, seconds: float) -> pd.DataFrame:
    calls = frame["calls"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        failed = np.where(calls > 0, frame["errors"].to_numpy(np.float64) / calls, np.nan)
    return frame.assign(rate=calls / seconds if seconds > 0 else np.nan, error_share=failed)


_FIGURES = ["rate", "error_share", "p95_ns"]


def _compared(now: pd.DataFrame, before: pd.DataFrame | None, keys: list[str]) -> pd.DataFrame:
    """Return the rows of both windows; a row of one only has rate 0 in the other."""
    if before is None:
        return now.assign(**{f"{name}_before": np.nan for name in _FIGURES})
    old = before[[*keys, *_FIGURES, *(["kind"] if "kind" in before else [])]]
    joined = now.merge(old, on=keys, how="outer", suffixes=("", "_before"), sort=True)
    if "kind_before" in joined:
        joined["kind"] = joined["kind"].where(joined["kind"].notna(), joined["kind_before"])
    filled = joined[["calls", "rate", "rate_before"]].fillna(0.0)
    return joined.assign(calls=filled["calls"], rate=filled["rate"], rate_before=filled["rate_before"])


def _joined(now: ServiceMap, before: ServiceMap | None) -> pd.DataFrame:
    old = None if before is None else _with_rates(before.nodes, before.seconds)
    return _compared(_with_rates(now.nodes, now.seconds), old, ["service"])


def _edges(now: ServiceMap, before: ServiceMap | None) -> pd.DataFrame:
    """Return one row per caller and callee; of parallel connections the busiest speaks for the pair."""

    def merged(source: ServiceMap) -> pd.DataFrame:
        frame = source.edges.sort_values(["caller", "callee", "calls"], ascending=[True, True, False], kind="stable")
        pair = frame.groupby(["caller", "callee"], sort=True)
        first = pair[["connection", "p95_ns"]].first()
        return _with_rates(first.join(pair[["calls", "errors"]].sum()).reset_index(), source.seconds)

    joined = _compared(merged(now), None if before is None else merged(before), ["caller", "callee"])
    if joined["connection"].isna().any() and before is not None:
        old = before.edges.drop_duplicates(["caller", "callee"]).set_index(["caller", "callee"])["connection"]
        known = old.reindex(pd.MultiIndex.from_frame(joined[["caller", "callee"]])).to_numpy(dtype=object)
        joined["connection"] = joined["connection"].where(joined["connection"].notna(), known)
    return joined


def _failed(edges: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return by callee the share of calls that failed for those who called, now and before."""
    found = {}
    for callee, calls in edges.groupby("callee"):
        shares = []
        for tail in ("", "_before"):
            rate = np.nan_to_num(calls[f"rate{tail}"].to_numpy(np.float64))
            errors = rate * np.nan_to_num(calls[f"error_share{tail}"].to_numpy(np.float64))
            shares.append(float(errors.sum() / rate.sum()) if rate.sum() > 0 else _NAN)
        found[str(callee)] = (shares[0], shares[1])
    return found


class ServiceMapPanel:
    """The panel `service_map`."""

    name: ClassVar[str] = "service_map"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, views.service_map)

    def prepare(self, *inputs: Any, **options: Any) -> ServiceMapData:
        """Return a laid out map; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the map of an investigation's fault window against its baseline, or of service maps given."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        investigation = inputs[0]
        window = investigation.fault or investigation.window
        now = _map_of(investigation, window)
        before = (
            _map_of(investigation, investigation.baseline) if investigation.fault and investigation.baseline else None
        )
        suspects: dict[str, float] = {}
        for hypothesis in () if investigation.abstained else investigation.hypotheses[:3]:
            suspects.setdefault(hypothesis.service, hypothesis.probability)
        told: dict[str, Any] = {"suspects": suspects, "window": window, "accused": not investigation.abstained}
        data = prepare(now, before, **(told | options))
        return Figure(self.name, data, self.drawing)


def _map_of(investigation: Investigation, window: Window) -> ServiceMap:
    spans = investigation.telemetry.spans
    inside = (spans["time"] >= window[0]) & (spans["time"] < window[1])
    chosen = build_spans({str(c): column for c, column in spans[inside].reset_index(drop=True).items()})
    return service_map(chosen, seconds=float((window[1] - window[0]) / np.timedelta64(1, "s")))
