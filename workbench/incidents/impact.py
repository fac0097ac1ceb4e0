"""What an incident cost, counted on the requests that came in from outside.

An entry span is the first server span on its path: what a user, not another service, was waiting for. An entry request
failed when its span says so or answered with HTTP 5xx; it was slow when it took longer than 95 of 100 requests of the
same operation did before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.investigation import Investigation, Window
from workbench.incidents import wording

__all__ = ["SLOW_QUANTILE", "Impact", "Period", "entry_spans", "impact"]

SLOW_QUANTILE = 0.95
"""A request is slow when it takes longer than this share of requests of its operation did before."""

_ENOUGH_CALLS = 30
_NEAR_THE_END = 100


@dataclass(frozen=True)
class Period:
    """Entry requests of one part of the window.

    Attributes
    ----------
    requests, failed, slow, affected : int
        `affected` are failed, slow, or both.
    p50_ns, p95_ns : float
        Quantiles of duration, nanoseconds; NaN without requests.
    seconds : float
        Length of the part.
    """

    requests: int
    failed: int
    slow: int
    affected: int
    p50_ns: float
    p95_ns: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Impact:
    """What the incident cost.

    Attributes
    ----------
    before, during : Period
        The part taken as normal, and the fault window.
    window : (datetime64[ns], datetime64[ns])
        The part that `during` counts.
    looked : (datetime64[ns], datetime64[ns])
        The whole window of the investigation.
    recovered : datetime64[ns]
        End of the fault window; NaT when it was still going on at the end of the window.
    accused : bool
        Whether the investigation named a suspect; when not, `during` is only the part in which something moved.
    services : tuple of str
        Services where the requests came in, busiest first.
    jobs, failed_jobs : int
        Messages taken from queues (consumer spans) in `window`, and those that failed.
    query, failed_query, jobs_query : str
        What to type to see the requests, the failed ones, and the failed jobs.
    """

    before: Period
    during: Period
    window: Window
    looked: Window
    recovered: np.datetime64
    accused: bool
    services: tuple[str, ...]
    jobs: int
    failed_jobs: int
    query: str
    failed_query: str
    jobs_query: str

    @property
    def length(self) -> str:
        """Length of `window` in words, and whether it was still going on at the end of what was looked at."""
        said = wording.duration(self.window[1] - self.window[0])
        return f"{said} and was still going on at the end of the window" if np.isnat(self.recovered) else said

    def to_frame(self) -> pd.DataFrame:
        """Return a small table to read: one row per figure, columns `incoming`, `before` and `during`.

        Where no suspect was named, `during` is called `what moved`.
        """
        rows: dict[str, Callable[[Period], str]] = {
            "requests": lambda p: f"{p.requests:,}",
            "failed": lambda p: f"{p.failed:,} ({wording.share(p.failed, p.requests)})",
            "slow": lambda p: f"{p.slow:,} ({wording.share(p.slow, p.requests)})",
            "failed or slow": lambda p: f"{p.affected:,} ({wording.share(p.affected, p.requests)})",
            "median": lambda p: wording.milliseconds(p.p50_ns),
            "95th percentile": lambda p: wording.milliseconds(p.p95_ns),
            "length": lambda p: wording.duration(np.timedelta64(round(p.seconds * 1e9), "ns")),
        }
        cells = {
            name: [f(period) for f in rows.values()]
            for name, period in (("before", self.before), ("during" if self.accused else "what moved", self.during))
        }
        return pd.DataFrame({"incoming": list(rows), **cells})

    def __repr__(self) -> str:
        """Return the table as plain text."""
        return self.to_frame().to_string(index=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        # A table of figures and fixed words: nothing in it comes from telemetry.
        data = {"text/plain": repr(self), "text/html": self.to_frame().to_html(border=0, index=False)}
        return data, {"workbench": {"window": [f"{t}Z" for t in self.looked]}}


def entry_spans(spans: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which spans are entry spans: server spans below no other server or consumer span.

    Parameters
    ----------
    spans : DataFrame
        A spans shape of n rows; `parent` holds row numbers.

    Returns
    -------
    ndarray of bool, shape (n,)
        Root spans instead where there is no server span at all.
    """
    n = len(spans)
    kind = spans["kind"].to_numpy(object)
    server = np.append(np.isin(kind, ("server", "consumer")), False)
    parent = spans["parent"].to_numpy(np.int64)
    jump = np.append(np.where(parent < 0, n, parent), n)
    above = server[jump]
    while (jump != n).any():
        above = above | above[jump]
        jump = jump[jump]
    found: npt.NDArray[np.bool_] = (kind == "server") & ~above[:n]
    return found if found.any() else np.asarray(parent < 0)


def impact(investigation: Investigation) -> Impact:
    """Count what the fault cost, on entry requests.

    Parameters
    ----------
    investigation : Investigation
        Where it found no fault, `during` covers its whole window and `before` is empty.
    """
    spans = investigation.telemetry.spans
    entry = spans[entry_spans(spans)]
    fault = investigation.fault or investigation.window
    baseline = investigation.baseline or (investigation.window[0], fault[0])
    requests = _judge(entry, baseline)
    during = (fault[0], max(fault[1], fault[0] + np.timedelta64(1, "ns")))
    jobs = spans[(spans["kind"] == "consumer").to_numpy(bool) & _within(spans["time"].to_numpy(), during)]
    services = tuple(str(name) for name in requests["service"].value_counts().index[:3])
    where = f"{wording.term('service', services[0])} kind:server" if services else "kind:server"
    return Impact(
        before=_period(requests, baseline),
        during=_period(requests, during),
        window=during,
        looked=investigation.window,
        recovered=_recovered(investigation),
        accused=not investigation.abstained,
        services=services,
        jobs=len(jobs),
        failed_jobs=int((jobs["status"] == "error").sum()),
        query=wording.call("spans", where, during),
        failed_query=wording.call("spans", f"{where} status:error", during),
        jobs_query=wording.call("spans", "kind:consumer status:error", during),
    )


def _judge(entry: pd.DataFrame, baseline: Window) -> pd.DataFrame:
    """Return the entry requests with `failed`, `slow` and `affected`, as one small frame."""
    frame = entry[["time", "duration_ns", "service", "name"]].reset_index(drop=True)
    failed = entry["status"].to_numpy(object) == "error"
    if "http.response.status_code" in entry:
        code = pd.to_numeric(entry["http.response.status_code"], errors="coerce").to_numpy(np.float64)
        failed = failed | (code >= 500)
    before = frame[_within(frame["time"].to_numpy(), baseline)]
    usual = before["duration_ns"].quantile(SLOW_QUANTILE) if len(before) else np.inf
    operations = before.groupby(["service", "name"])["duration_ns"]
    limits = operations.quantile(SLOW_QUANTILE)[operations.size() >= _ENOUGH_CALLS]
    keys = pd.MultiIndex.from_frame(frame[["service", "name"]])
    limit = limits.reindex(keys).fillna(usual).to_numpy(np.float64)
    slow = frame["duration_ns"].to_numpy(np.float64) > limit
    return frame.assign(failed=failed, slow=slow, affected=failed | slow)


def _within(time: npt.NDArray[np.datetime64], window: Window) -> npt.NDArray[np.bool_]:
    return (time >= window[0]) & (time < window[1])


def _period(requests: pd.DataFrame, window: Window) -> Period:
    part = requests[_within(requests["time"].to_numpy(), window)]
    p50, p95 = part["duration_ns"].quantile([0.5, 0.95]) if len(part) else (np.nan, np.nan)
    return Period(
        requests=len(part),
        failed=int(part["failed"].sum()),
        slow=int(part["slow"].sum()),
        affected=int(part["affected"].sum()),
        p50_ns=float(p50),
        p95_ns=float(p95),
        seconds=max(0.0, float((window[1] - window[0]) / np.timedelta64(1, "s"))),
    )


def _recovered(investigation: Investigation) -> np.datetime64:
    """Return the end of the fault window, NaT where there is none or it reaches (to 1 %) the end of what was looked at."""
    (start, end), fault = investigation.window, investigation.fault
    if fault is None or fault[1] > end - (end - start) // _NEAR_THE_END:
        return np.datetime64("NaT", "ns")
    return fault[1]
