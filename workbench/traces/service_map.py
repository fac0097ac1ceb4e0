"""The service map: calls grouped into edges and nodes, as frames and as a NetworkX graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput
from workbench.traces.calls import USER, calls, entries
from workbench.traces.quantiles import grouped, grouped_quantiles

__all__ = ["ServiceMap", "service_map"]

_KIND_OF_CONNECTION = {"database": "database", "messaging": "messaging", "virtual": "external"}


@dataclass(frozen=True, eq=False)
class ServiceMap:
    """Who calls whom.

    Attributes
    ----------
    edges : DataFrame
        `caller`, `callee`, `connection` ("" between services, "database", "messaging", "virtual"), `calls`, `errors`
        (int64), `p50_ns`, `p95_ns` (float64, as the caller saw them), `server_p50_ns`, `server_p95_ns` (float64, NaN
        where the callee was not recorded), `rate` (calls per second). Sorted by caller and callee.
    nodes : DataFrame
        `service`, `kind` ("service", "database", "messaging", "external", "user"), `calls`, `errors`, `p50_ns`,
        `p95_ns` of what the node served. Sorted by name.
    seconds : float
        Length of the window the rates refer to.
    """

    edges: pd.DataFrame
    nodes: pd.DataFrame
    seconds: float

    @cached_property
    def graph(self) -> Any:
        """The map as `networkx.DiGraph`, columns as attributes; parallel connections of a pair become one edge."""
        import networkx as nx

        graph: Any = nx.DiGraph(seconds=self.seconds)
        for node in self.nodes.to_dict("records"):
            graph.add_node(node.pop("service"), **{str(name): value for name, value in node.items()})
        # The connection with most calls is added last and names the edge.
        for edge in self.edges.sort_values("calls", kind="stable").to_dict("records"):
            pair = edge.pop("caller"), edge.pop("callee")
            graph.add_edge(*pair, **{str(name): value for name, value in edge.items()})
        return graph

    def callees(self, service: str) -> list[str]:
        """Return the nodes that a service calls, sorted."""
        return sorted(set(self.edges.loc[self.edges["caller"] == service, "callee"]))

    def callers(self, service: str) -> list[str]:
        """Return the nodes that call a service, sorted."""
        return sorted(set(self.edges.loc[self.edges["callee"] == service, "caller"]))

    def show(self) -> Any:
        """Return the panel that draws the map."""
        from workbench import registry

        return registry.load("workbench.panels", "service_map")().figure(self)


def service_map(spans: pd.DataFrame, seconds: float | None = None) -> ServiceMap:
    """Return who calls whom in whole traces, with counts, failures and latency quantiles.

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows.
    seconds : float, optional
        Length of the window for rates; by default from the first start to the last end.

    Raises
    ------
    ShapeError
        If `spans` is not a spans frame.
    InvalidInput
        If `seconds` is not positive.
    """
    if seconds is not None and not seconds > 0:
        raise InvalidInput(f"a window of {seconds} s has no rate: give a positive number of seconds.")
    found = calls(spans)
    length = _length(spans) if seconds is None else float(seconds)
    keys = ["caller", "callee", "connection"]
    edges, group = _summary(found, keys)
    served = found["server_ns"].notna().to_numpy()
    at_server = found["server_ns"].to_numpy()[served].astype(np.int64)
    server_p50, server_p95 = grouped_quantiles(group[served], at_server, len(edges), (0.5, 0.95))
    rate = edges["calls"] / length if length > 0 else np.nan
    edges = edges.assign(server_p50_ns=server_p50, server_p95_ns=server_p95, rate=rate)
    return ServiceMap(edges, _nodes(spans, found), length)


def _nodes(spans: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return every node: services from their own spans, others from the calls they took part in."""
    own = spans.loc[entries(spans), ["service", "duration_ns", "status"]]
    own = own.assign(error=(own["status"] == "error"))
    services = pd.Index(spans["service"].unique())
    outside = found[~found["callee"].isin(services)].rename(columns={"callee": "service"})
    nodes, _ = _summary(pd.concat([own, outside], ignore_index=True), ["service"])
    kind = outside.groupby("service")["connection"].first().map(_KIND_OF_CONNECTION)
    callers = found[~found["caller"].isin(services)].groupby("caller")["connection"].first()
    kind_of_caller = pd.Series(np.where(callers.index == USER, "user", callers.map(_KIND_OF_CONNECTION)), callers.index)
    names = pd.Index(sorted({*services, *nodes["service"], *callers.index}), name="service", dtype="str")
    nodes = nodes.set_index("service").reindex(names)
    kinds = pd.concat([pd.Series("service", services, dtype="object"), kind, kind_of_caller])
    nodes.insert(0, "kind", kinds[~kinds.index.duplicated()].reindex(names).astype("str"))
    nodes[["calls", "errors"]] = nodes[["calls", "errors"]].fillna(0).astype(np.int64)
    return nodes.reset_index()


def _summary(rows: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return (calls, errors and quantiles of `duration_ns` per group, sorted by the keys; group of every row)."""
    group, table = grouped(rows, keys)
    n = len(table)
    p50, p95 = grouped_quantiles(group, rows["duration_ns"].to_numpy().astype(np.int64), n, (0.5, 0.95))
    errors = np.bincount(group, weights=rows["error"].to_numpy(np.float64), minlength=n)
    counts = np.bincount(group, minlength=n)
    return table.assign(calls=counts.astype(np.int64), errors=errors.astype(np.int64), p50_ns=p50, p95_ns=p95), group


def _length(spans: pd.DataFrame) -> float:
    if not len(spans):
        return 0.0
    start = spans["time"].to_numpy().view(np.int64).astype(np.float64)
    return float((start + spans["duration_ns"].to_numpy()).max() - start.min()) / 1e9
