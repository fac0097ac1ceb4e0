"""One incident laid out for the checks: who served what, who called whom, before the fault and during it.

Built once; every check reads the same arrays. Rows of the spans frame are the common key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench import traces
from workbench.diagnose.investigation import Telemetry, Window

__all__ = ["BEFORE", "DURING", "Facts", "Scene", "build_facts"]

BEFORE, DURING = 0, 1

_LATE = 5.0
"""How many times its usual time a callee takes when giving up on it is its own doing."""
_LATE_LEAST_NS = 200e6
"""Answers sooner than this are not late whatever is usual: a caller that will not wait so long is hasty."""
_GIVING_UP = r"(?i)timeout|timed out|deadline"
_CONNECTION = (
    r"(?i)connect|refused|unreachable|reset|unavailable|broken pipe|operationalerror"
    r"|name or service not known|busyloading"
)


@dataclass(frozen=True, eq=False)
class Facts:
    """What the spans say, independent of any window.

    Attributes
    ----------
    served : DataFrame, one row per request served
        `time` (datetime64[ns]), `service`, `operation`, `duration_ns`, `own_ns` (time spent in the service itself, not
        in its calls), `error` (bool), `root` (bool, nobody recorded called it), `row` (span row).
    calls : DataFrame, one row per call
        The columns of `workbench.traces.calls`, and `wait_ns` (duration less what the callee says it took: network,
        queueing, or all of it where the callee is not recorded), `operation` (of the client span), `statement`
        (database query text or operation, "" otherwise), `problem` (exception or error type, "" for none), `lost` (bool,
        the callee could not be reached) and `home` (row of the request served within which it was made).
    failures : DataFrame, one row per failure where it began
        `time`, `service` (blamed), `reporter` (who recorded it), `operation`, `problem`, `reach` ("own", "unreachable",
        "gave up", "too slow"), `callee` (of a failed call, "" otherwise), `version`, `row`.
    """

    served: pd.DataFrame
    calls: pd.DataFrame
    failures: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Scene:
    """The facts with the two windows that are compared.

    Attributes
    ----------
    telemetry : Telemetry
    facts : Facts
    baseline, fault : (datetime64[ns], datetime64[ns])
    """

    telemetry: Telemetry
    facts: Facts
    baseline: Window
    fault: Window

    def phase(self, time: pd.Series | npt.NDArray[np.datetime64]) -> npt.NDArray[np.int8]:
        """Return `BEFORE`, `DURING` or -1 for each instant, int8."""
        stamps = np.asarray(time, "datetime64[ns]")
        before = (stamps >= self.baseline[0]) & (stamps < self.baseline[1])
        during = (stamps >= self.fault[0]) & (stamps < self.fault[1])
        return np.select([before, during], [BEFORE, DURING], -1).astype(np.int8)

    def seconds(self, phase: int) -> float:
        """Return the length of a phase in seconds."""
        window = self.baseline if phase == BEFORE else self.fault
        return max(float((window[1] - window[0]) / np.timedelta64(1, "s")), 1e-9)

    def split(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows of a frame with a `time` column that lie before, and those during."""
        phase = self.phase(frame["time"])
        return frame[phase == BEFORE], frame[phase == DURING]

    @cached_property
    def served(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Requests served before and during."""
        return self.split(self.facts.served)

    @cached_property
    def calls(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Calls made before and during."""
        return self.split(self.facts.calls)

    @cached_property
    def failures(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Failures before and during."""
        return self.split(self.facts.failures)

    @cached_property
    def arrivals(self) -> tuple[float, float]:
        """Requests per second that entered the system before and during."""
        before, during = (int(frame["root"].sum()) for frame in self.served)
        return before / self.seconds(BEFORE), during / self.seconds(DURING)

    def window_text(self, lead_s: int = 0) -> str:
        """Return the arguments that repeat a query over the fault window, begun `lead_s` seconds earlier."""
        lead = np.timedelta64(lead_s, "s")
        first, last = (str(t.astype("datetime64[ms]")) for t in (self.fault[0] - lead, self.fault[1]))
        return f'start="{first}", end="{last}"'


def build_facts(spans: pd.DataFrame) -> Facts:
    """Return what whole traces say about requests served, calls made and failures begun.

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows.
    """
    table = traces.calls(spans)
    entry = traces.entries(spans)
    self_ns = traces.self_time_ns(spans)
    parent = spans["parent"].to_numpy().astype(np.int64)
    outgoing = spans["kind"].isin(("client", "producer")).to_numpy()
    home = _nearest(entry, parent)
    own = np.bincount(home[~outgoing], weights=self_ns[~outgoing].astype(float), minlength=len(spans))
    rows = np.flatnonzero(entry)
    served = pd.DataFrame(
        {
            "time": spans["time"].to_numpy()[rows],
            "service": spans["service"].to_numpy(object)[rows],
            "operation": spans["name"].to_numpy(object)[rows],
            "duration_ns": spans["duration_ns"].to_numpy()[rows],
            "own_ns": own[rows],
            "error": (spans["status"] == "error").to_numpy()[rows],
            "root": parent[rows] < 0,
            "row": rows,
        }
    )
    problem = _problems(spans)
    table = _describe_calls(spans, table, problem)
    failures = _failures(spans, table, parent, outgoing, problem)
    lost = failures.loc[failures["reach"] == "unreachable", "row"]
    table = table.assign(lost=table["client"].isin(lost), home=home[table["client"].to_numpy()])
    return Facts(served, table, failures)


def _nearest(entry: npt.NDArray[np.bool_], parent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for every span the nearest ancestor, or itself, that is an entry; roots count as such."""
    hop = np.where(entry | (parent < 0), np.arange(len(parent)), parent)
    while True:
        further = hop[hop]
        if np.array_equal(further, hop):
            return hop
        hop = further


def _text(spans: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    if name not in spans.columns:
        return np.full(len(spans), "", object)
    return spans[name].astype("object").fillna("").astype(str).to_numpy(object)


def _problems(spans: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return one text per span that says what went wrong, "" where nothing is known."""
    parts = [_text(spans, name) for name in ("exception.type", "exception.message", "error.type", "status_message")]
    joined = parts[0]
    for part in parts[1:]:
        joined = np.where((part != "") & (joined != ""), joined + ": " + part, np.where(joined == "", part, joined))
    return joined.astype(object)


def _describe_calls(spans: pd.DataFrame, table: pd.DataFrame, problem: npt.NDArray[np.object_]) -> pd.DataFrame:
    table = table[table["client"] >= 0].reset_index(drop=True)
    client = table["client"].to_numpy()
    statement = _text(spans, "db.query.text")
    for name in ("db.statement", "db.query.summary", "db.operation.name"):
        statement = np.where(statement == "", _text(spans, name), statement)
    wait = table["duration_ns"] - np.where(np.isnan(table["server_ns"]), 0.0, table["server_ns"])
    database = (table["connection"] == "database").to_numpy()
    names = spans["name"].to_numpy(object)[client]
    queries = np.where(statement[client] == "", names, statement[client])
    return table.assign(
        wait_ns=np.maximum(wait, 0.0),
        operation=names,
        statement=np.where(database, queries, ""),
        problem=problem[client],
    )


def _failures(
    spans: pd.DataFrame,
    table: pd.DataFrame,
    parent: npt.NDArray[np.int64],
    outgoing: npt.NDArray[np.bool_],
    problem: npt.NDArray[np.object_],
) -> pd.DataFrame:
    """Return the spans where failures began, and who is to blame for each.

    A failure began where a failed span has no failed child. On the client side of a call the callee is blamed when it
    could not be reached or took far longer than it usually does, and the caller when it gave up on a callee that went
    on to answer in its usual time.
    """
    failed = (spans["status"] == "error").to_numpy() & ~_refused(spans, outgoing)
    passed_on = np.zeros(len(spans), bool)
    passed_on[parent[failed & (parent >= 0)]] = True
    began = np.flatnonzero(failed & ~passed_on)
    call_of = np.full(len(spans), -1, np.int64)
    call_of[table["client"].to_numpy()] = np.arange(len(table))
    call = call_of[began]
    is_call = (call >= 0) & outgoing[began]
    callee = table["callee"].to_numpy(object)[call] if len(table) else np.full(len(began), "", object)
    connection = table["connection"].to_numpy(object)[call] if len(table) else callee
    answered = (table["server"].to_numpy()[call] >= 0) if len(table) else np.zeros(len(began), bool)
    texts = pd.Series(problem[began], dtype="object").astype("str")
    lost = (texts.str.contains(_CONNECTION, regex=True) | texts.str.contains(_GIVING_UP, regex=True)).to_numpy(bool)
    unreachable = is_call & ~answered & ((connection == "") | lost)
    late = is_call & answered & (_late(table)[call] if len(table) else answered)
    services = spans["service"].to_numpy(object)[began]
    return pd.DataFrame(
        {
            "time": spans["time"].to_numpy()[began],
            "service": np.where(unreachable | late, callee, services),
            "reporter": services,
            "operation": spans["name"].to_numpy(object)[began],
            "problem": problem[began],
            "reach": np.select([unreachable, late, is_call & answered], ["unreachable", "too slow", "gave up"], "own"),
            "callee": np.where(is_call, callee, ""),
            "version": _text(spans, "version")[began],
            "row": began,
        }
    )


def _late(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which calls were answered far later than calls of that operation to that callee usually are."""
    usual = table.groupby(["callee", "operation"])["server_ns"].transform("median").to_numpy(float)
    took = table["server_ns"].to_numpy(float)
    waited = np.maximum(took, table["duration_ns"].to_numpy(float))
    return np.asarray(np.where(np.isnan(usual), False, (waited > _LATE * usual) & (waited > _LATE_LEAST_NS)), bool)


def _refused(spans: pd.DataFrame, outgoing: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return client spans marked as failed only because the answer was 4xx: the callee worked, the request was wrong."""
    refused = np.zeros(len(spans), bool)
    for name in ("http.response.status_code", "http.status_code"):
        if name in spans.columns:
            code = pd.to_numeric(spans[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
            refused |= (code >= 400) & (code <= 499)
    return refused & outgoing
