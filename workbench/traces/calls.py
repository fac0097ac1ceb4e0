"""Calls between services: one row per call, found from parent links.

A call has a client side (CLIENT or PRODUCER span) and a server side (the first span of the other service). Both, or
one of them, may be recorded; INTERNAL spans between them are walked through. Where the other side is not instrumented
(databases, queues, foreign systems) it is a virtual node named from the client span's attributes.

References
----------
OpenTelemetry semantic conventions for databases, messaging and general attributes; the behaviour of Grafana Tempo's
service graphs, without its waiting window: whole traces are at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.traces.tree import parents

__all__ = ["DATABASE_NAMES", "MESSAGING_NAMES", "PEER_NAMES", "calls", "entries"]

DATABASE_NAMES = (
    "peer.service", "db.system.name", "db.system", "server.address", "network.peer.address", "net.peer.name",
    "db.namespace", "db.name",
)  # fmt: skip
"""Attributes that name a database node, first present wins: the system (`postgresql`) rather than its address, so that
one database has one name however it is reached."""

MESSAGING_NAMES = ("peer.service", "messaging.system", "messaging.destination.name", "server.address")
"""Attributes that name a queue or broker node, first present wins."""

PEER_NAMES = ("peer.service", "server.address", "network.peer.address", "net.peer.name", "http.host")
"""Attributes that name any other uninstrumented peer, first present wins, then the host in `url.full` or `http.url`."""

_DATABASE_MARKS = ("db.system.name", "db.system", "db.namespace", "db.name")
_CLIENT_KINDS = ("client", "producer")
_SERVER_KINDS = ("server", "consumer")

USER = "user"
"""Name of the node that calls a root SERVER span."""


def entries(spans: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which spans are requests served: where a call enters a service.

    That is every span whose parent belongs to another service, every SERVER or CONSUMER span that is a root or answers
    a client, and every INTERNAL root (background work).

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows, whole traces.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    parent = parents(spans)
    kind = _codes(spans["kind"], _CLIENT_KINDS, _SERVER_KINDS)
    service = pd.factorize(spans["service"])[0]
    background = (parent < 0) & (kind != 1)
    receives, _ = _entries(parent, kind, service)
    receives |= background
    return receives


def _codes(kind: pd.Series, client: Sequence[str], server: Sequence[str]) -> npt.NDArray[np.int8]:
    """Return 1 for client sides, 2 for server sides, 0 for spans to walk through."""
    return np.select([kind.isin(client), kind.isin(server)], [1, 2], 0).astype(np.int8)


def _entries(
    parent: npt.NDArray[np.int64], kind: npt.NDArray[np.int8], service: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return (which spans receive a call, the nearest ancestor that is not INTERNAL, or -1)."""
    n = len(parent)
    if not n:
        return np.zeros(0, bool), np.zeros(0, np.int64)
    hop = np.where((kind == 0) & (parent >= 0), parent, np.arange(n))
    while True:
        further = hop[hop]
        if np.array_equal(further, hop):
            break
        hop = further
    near = np.where(parent >= 0, hop[parent], -1)
    crosses = (parent >= 0) & (service != service[parent])
    to_itself = (kind == 2) & (near >= 0) & (kind[near] == 1) & (service == service[near])
    return crosses | to_itself, near


def calls(spans: pd.DataFrame) -> pd.DataFrame:
    """Return one row per call between two nodes.

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows, whole traces.

    Returns
    -------
    DataFrame
        `caller`, `callee` (str), `connection` ("" | "database" | "messaging" | "virtual"), `client`, `server` (int64
        rows of the spans, -1 where that side was not recorded), `time` (start), `duration_ns` (int64, as the client saw
        it, else as the server did; for messaging the wait from sending to receiving, 0 where clocks disagree),
        `server_ns` (float64, NaN where the server side was not recorded) and `error` (bool, either side failed).
    """
    parent = parents(spans)
    kind = _codes(spans["kind"], _CLIENT_KINDS, _SERVER_KINDS)
    service = pd.factorize(spans["service"])[0]
    receives, near = _entries(parent, kind, service)
    server = np.flatnonzero(receives)
    client = np.where((near[server] >= 0) & (kind[near[server]] == 1), near[server], -1)
    # A client whose own service goes on to another client span only wraps it: the inner one is the call.
    inner = np.flatnonzero((kind == 1) & (near >= 0))
    wraps = np.zeros(len(spans), bool)
    wraps[near[inner]] = (kind[near[inner]] == 1) & (service[near[inner]] == service[inner])
    wraps[client[client >= 0]] = True
    lonely = np.flatnonzero((kind == 1) & ~wraps)
    root = np.flatnonzero((kind == 2) & (parent < 0) & (spans["parent_span_id"] == "").to_numpy())
    table = pd.concat(
        [_paired(spans, client, server, parent), _unpaired(spans, lonely, client, server), _from_outside(spans, root)],
        ignore_index=True,
    )
    return _measure(spans, table[table["callee"] != ""].reset_index(drop=True))


def _paired(
    spans: pd.DataFrame, client: npt.NDArray[np.int64], server: npt.NDArray[np.int64], parent: npt.NDArray[np.int64]
) -> pd.DataFrame:
    service = _texts(spans["service"])
    caller = np.where(client >= 0, client, parent[server])
    queued = (spans["kind"] == "consumer").to_numpy()[server]
    queued |= (spans["kind"] == "producer").to_numpy()[client] & (client >= 0)
    connection = pc.if_else(pa.array(queued), _word("messaging"), _word(""))
    return _table(service.take(pa.array(caller)), service.take(pa.array(server)), connection, client, server)


def _unpaired(
    spans: pd.DataFrame, lonely: npt.NDArray[np.int64], client: npt.NDArray[np.int64], server: npt.NDArray[np.int64]
) -> pd.DataFrame:
    rows = spans.iloc[lonely]
    service = _texts(spans["service"])
    known = pc.unique(service)
    database = pc.is_valid(_first(rows, _DATABASE_MARKS))
    queued = pc.or_(pa.array((rows["kind"] == "producer").to_numpy()), pc.is_valid(_first(rows, ("messaging.system",))))
    messaging = pc.and_(queued, pc.invert(database))
    # What the address of an answered call leads to, the same address of an unanswered one leads to as well.
    address = _address(rows)
    met = client >= 0
    at, leads_to = _address_book(_address(spans.iloc[client[met]]), service.take(pa.array(server[met])))
    booked = leads_to.take(pc.index_in(address, value_set=at))
    first_label = pc.replace_substring_regex(address, r"[.:].*", "")
    named = pc.if_else(pc.is_in(first_label, value_set=known), first_label, _word(None))
    instrumented = pc.if_else(pc.is_valid(_first(rows, ("peer.service",))), _word(None), pc.coalesce(booked, named))
    host = pc.replace_substring_regex(address, r":\d+$", "")
    other = pc.coalesce(instrumented, _first(rows, PEER_NAMES), host)
    callee = pc.if_else(
        database, _first(rows, DATABASE_NAMES), pc.if_else(messaging, _first(rows, MESSAGING_NAMES), other)
    )
    is_service = pc.is_in(callee, value_set=known)
    elsewhere = pc.if_else(is_service, _word(""), _word("virtual"))
    connection = pc.if_else(database, _word("database"), pc.if_else(messaging, _word("messaging"), elsewhere))
    nobody = np.full(len(lonely), -1)
    return _table(service.take(pa.array(lonely)), pc.fill_null(callee, _word("")), connection, lonely, nobody)


def _from_outside(spans: pd.DataFrame, root: npt.NDArray[np.int64]) -> pd.DataFrame:
    rows = spans.iloc[root]
    queued = pa.array((rows["kind"] == "consumer").to_numpy())
    caller = pc.if_else(
        queued, _first(rows, MESSAGING_NAMES), pc.coalesce(_first(rows, ("peer.service",)), _word(USER))
    )
    connection = pc.if_else(queued, _word("messaging"), _word("virtual"))
    table = _table(pc.fill_null(caller, _word("")), _texts(rows["service"]), connection, np.full(len(root), -1), root)
    return table[table["caller"] != ""]


def _table(
    caller: pa.Array,
    callee: pa.Array,
    connection: pa.Array,
    client: npt.NDArray[np.int64],
    server: npt.NDArray[np.int64],
) -> pd.DataFrame:
    text = {"caller": caller, "callee": callee, "connection": connection}
    columns = {name: pd.Series(pd.array(values, dtype="str")) for name, values in text.items()}
    return pd.DataFrame({**columns, "client": client.astype(np.int64), "server": server.astype(np.int64)})


def _measure(spans: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add time, durations and errors to the rows of calls."""
    client, server = table["client"].to_numpy(), table["server"].to_numpy()
    if not len(table):
        start, duration, failed = np.empty(0, "datetime64[ns]"), np.empty(0, np.int64), np.empty(0, bool)
        return table.assign(time=start, duration_ns=duration, server_ns=duration.astype(np.float64), error=failed)
    start = spans["time"].to_numpy()
    duration = spans["duration_ns"].to_numpy()
    failed = (spans["status"] == "error").to_numpy()
    has_client, has_server = client >= 0, server >= 0
    seen = np.where(has_client, client, server)
    took = duration[seen]
    queued = (table["connection"] == "messaging").to_numpy() & has_client & has_server
    wait = (start[server] - start[client]).view(np.int64) - duration[client]
    return table.assign(
        time=start[seen],
        duration_ns=np.where(queued, np.maximum(wait, 0), took),
        server_ns=np.where(has_server, duration[server].astype(np.float64), np.nan),
        error=(has_client & failed[client]) | (has_server & failed[server]),
    )


def _word(text: str | None) -> pa.Scalar:
    """Return one text for Arrow's functions, which want all of one type."""
    return pa.scalar(text, pa.large_string())


def _texts(column: pd.Series) -> pa.Array:
    """Return a column as Arrow text, missing and empty values as null."""
    values = pa.array(column, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    # A column of port numbers with gaps is float64: 8080.0 is 8080.
    text = pc.cast(values, pa.large_string())
    if not pd.api.types.is_string_dtype(column.dtype):
        text = pc.replace_substring_regex(text, r"\.0$", "")
    return text


def _first(rows: pd.DataFrame, names: Sequence[str]) -> pa.Array:
    """Return the first non-empty value of several columns per row, null where there is none; columns may be absent."""
    columns = [_texts(rows[name]) for name in names if name in rows.columns]
    filled = [pc.if_else(pc.equal(text, _word("")), _word(None), text) for text in columns]
    return pc.coalesce(*filled) if filled else pa.nulls(len(rows), pa.large_string())


def _address(rows: pd.DataFrame) -> pa.Array:
    """Return `host:port` of the peer of each client span, from address attributes, else from its URL; null if unknown."""
    host = _first(rows, ("server.address", "net.peer.name", "http.host"))
    port = _first(rows, ("server.port", "net.peer.port"))
    url = _first(rows, ("url.full", "http.url"))
    authority = pc.replace_substring_regex(
        url, r"(?s)^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?([^/?#:]+(?::\d+)?).*", r"\1"
    )
    from_url = pc.if_else(pc.match_substring(authority, "/"), _word(None), authority)
    return pc.coalesce(pc.binary_join_element_wise(host, port, _word(":")), host, from_url)


def _address_book(address: pa.Array, callee: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return (addresses, the service behind each) of answered calls, where all calls to an address agree."""
    pairs = pa.table({"address": address, "callee": callee}).group_by(["address", "callee"]).aggregate([]).to_pandas()
    pairs = pairs[pairs["address"].notna()].drop_duplicates("address", keep=False)
    return pa.array(pairs["address"], pa.large_string()), pa.array(pairs["callee"], pa.large_string())
