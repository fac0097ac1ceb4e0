"""What happened when, in UTC, each line with the query that shows it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Investigation
from workbench.diagnose.window import choose_step
from workbench.incidents import wording
from workbench.incidents.impact import Impact, impact

__all__ = ["CHANGE_KINDS", "anomalies", "timeline"]

CHANGE_KINDS = ("deploy", "config", "scale", "flag")
"""Kinds of events that change a system."""

_COLUMNS = ["time", "what", "service", "source", "query"]
_MOST_ANOMALIES = 12
_NEAR = np.timedelta64(1, "s")


def timeline(investigation: Investigation, cost: Impact | None = None) -> pd.DataFrame:
    """Return the events, first anomalies and onsets of an incident in order.

    Parameters
    ----------
    investigation : Investigation
    cost : Impact, optional
        What `impact` returned for it, if that is at hand.

    Returns
    -------
    DataFrame
        `time` (datetime64[ns]), `what`, `service`, `source` ("event", "anomaly", "evidence", "impact"), `query`;
        sorted by time. Of the anomalies only the first of each service is listed, the earliest twelve.
    """
    lines = [*_events(investigation), *_anomalies(investigation), *_onsets(investigation), *_edges(investigation, cost)]
    frame = pd.DataFrame(lines, columns=_COLUMNS)
    frame["time"] = frame["time"].astype("datetime64[ns]")
    return frame.sort_values("time", kind="stable", ignore_index=True)


def anomalies(investigation: Investigation) -> pd.DataFrame:
    """Return the anomalies of an investigation with `time` and `end` at the begin of their bins.

    The investigation labels bins by their right end, so an anomaly would seem to begin one bin after what shows it.
    """
    found, step = investigation.anomalies, choose_step(investigation.window)
    return found.assign(time=found["time"] - step, end=found["end"] - step) if len(found) else found


def _around(time: np.datetime64) -> tuple[np.datetime64, np.datetime64]:
    return time - _NEAR, time + _NEAR


def _events(investigation: Investigation) -> list[tuple[np.datetime64, str, str, str, str]]:
    events = investigation.telemetry.events
    kept = events[(events["kind"] != "anomaly").to_numpy(bool)]
    return [
        (time, f"{kind}{f', {service}' if service else ''}: {title}", service, "event",
         wording.call("events", f"kind:{kind}", _around(time)))
        for time, kind, title, service in zip(
            kept["time"].to_numpy(), kept["kind"], kept["title"], kept["service"], strict=True
        )
    ]  # fmt: skip


def _anomalies(investigation: Investigation) -> list[tuple[np.datetime64, str, str, str, str]]:
    found = anomalies(investigation)
    if found.empty or investigation.fault is None:
        return []
    found = found[(found["time"].to_numpy() >= investigation.fault[0] - np.timedelta64(60, "s"))]
    first = found.sort_values("time", kind="stable").drop_duplicates("service").head(_MOST_ANOMALIES)
    counts = found["service"].value_counts()
    lines = []
    for time, title, service in zip(first["time"].to_numpy(), first["title"], first["service"], strict=True):
        more = int(counts[service]) - 1
        what = f"first anomaly of {service or 'the system'}: {title}" + (f" (and {more:,} more later)" if more else "")
        where = wording.term("service", str(service)) if service else ""
        lines.append((time, what, str(service), "anomaly", wording.call("spans", where, _around(time))))
    return lines


def _onsets(investigation: Investigation) -> list[tuple[np.datetime64, str, str, str, str]]:
    if not investigation.hypotheses:
        return []
    return [
        (item.onset, item.statement, item.service, "evidence", item.query)
        for item in investigation.hypotheses[0].evidence
        if not np.isnat(item.onset)
    ]


def _edges(investigation: Investigation, cost: Impact | None) -> list[tuple[np.datetime64, str, str, str, str]]:
    if investigation.fault is None:
        return []
    cost = cost or impact(investigation)
    service = cost.services[0] if cost.services else ""
    lines = [(cost.window[0], "the signals left their usual range", service, "impact", cost.query)]
    if not np.isnat(cost.recovered):
        lines.append((cost.recovered, "the signals were back in their usual range", service,
                      "impact", wording.call("spans", "kind:server", _around(cost.recovered))))  # fmt: skip
    return lines
