"""Timeline: what happened where and when; changes, alerts and anomalies on one lane per service.

`prepare` takes an events frame to lanes; anomalies of one service that overlap become one episode that says how many
series it holds, so a hundred alarms read as one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Investigation, Window
from workbench.incidents.timeline import anomalies
from workbench.panels.data import Lane, Mark, TimelineData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import charts
from workbench.panels.static import timeline as static

__all__ = ["Timeline", "prepare"]

_LANES = 12
_MARKS = 24


def prepare(
    events: pd.DataFrame,
    *,
    window: Window | None = None,
    baseline: Window | None = None,
    fault: Window | None = None,
    suspects: Sequence[str] = (),
    title: str = "Timeline",
    lanes: int = _LANES,
    accused: bool = True,
) -> TimelineData:
    """Return the lanes of a timeline.

    Parameters
    ----------
    events : DataFrame
        An events shape, anomalies among them; optional columns `score` and `series` are used.
    window, baseline, fault : (datetime64[ns], datetime64[ns]), optional
        What to show (by default what the events cover), what was normal, what was faulty.
    suspects : sequence of str
        Services to put first, most likely first.
    lanes : int
        Most services shown; the rest are counted.
    accused : bool
        Whether `fault` is a fault; when not, it is called what moved.
    """
    shown = _inside(events, window)
    extent = window if window is not None else _extent(shown)
    anomalous = (shown["kind"] == "anomaly").to_numpy(bool)
    order = _order(shown, suspects)
    made = []
    for service in order[:lanes]:
        own = (shown["service"] == service).to_numpy(bool)
        marks, hidden = _marks(shown[own & ~anomalous])
        episodes = _episodes(shown[own & anomalous], extent)
        rank = suspects.index(service) + 1 if service in suspects else 0
        made.append(Lane(service, rank, marks, episodes, hidden))
    return TimelineData(
        title,
        extent,
        baseline,
        fault,
        tuple(made),
        max(0, len(order) - lanes),
        len(shown),
        int(anomalous.sum()),
        accused,
    )


def _inside(events: pd.DataFrame, window: Window | None) -> pd.DataFrame:
    if window is None:
        return events
    ends = events["end"].fillna(events["time"])
    return events[(ends >= window[0]) & (events["time"] < window[1])]


def _extent(events: pd.DataFrame) -> Window:
    if not len(events):
        zero = np.datetime64(0, "ns")
        return zero, zero + np.timedelta64(1, "s")
    first = events["time"].to_numpy("datetime64[ns]").min()
    last = events["end"].fillna(events["time"]).to_numpy("datetime64[ns]").max()
    margin = max((last - first) // 20, np.timedelta64(1_000_000_000, "ns"))
    return first - margin, last + margin


def _order(events: pd.DataFrame, suspects: Sequence[str]) -> list[str]:
    """Suspects first, then services by their first event, events without a service at the very top."""
    first = events.groupby("service", sort=True)["time"].min().sort_values(kind="stable")
    names = [str(name) for name in first.index]
    ranked = [s for s in dict.fromkeys(suspects) if s in names]
    rest = [name for name in names if name not in ranked and name]
    return ([""] if "" in names else []) + ranked + rest


def _column(frame: pd.DataFrame, name: str, default: Any) -> list[Any]:
    return frame[name].tolist() if name in frame.columns else [default] * len(frame)


def _marks(frame: pd.DataFrame) -> tuple[tuple[Mark, ...], int]:
    """Return the marks of one lane in time order; of too many, the most severe stay."""
    kept = frame
    if len(frame) > _MARKS:
        kept = frame.sort_values("severity", ascending=False, kind="stable").head(_MARKS).sort_values("time")
    columns = zip(
        kept["time"].to_numpy("datetime64[ns]"), kept["end"].to_numpy("datetime64[ns]"), kept["kind"], kept["title"],
        kept["severity"].tolist(), strict=True,
    )  # fmt: skip
    return tuple(Mark(t, e, str(k), str(title), int(s)) for t, e, k, title, s in columns), len(frame) - len(kept)


def _episodes(frame: pd.DataFrame, extent: Window) -> tuple[Mark, ...]:
    """Return anomalies joined where they overlap or nearly touch (1 % of the window)."""
    if not len(frame):
        return ()
    frame = frame.sort_values("time", kind="stable")
    start = frame["time"].to_numpy("datetime64[ns]")
    end = frame["end"].fillna(frame["time"]).to_numpy("datetime64[ns]")
    gap = (extent[1] - extent[0]) // 100
    reach = np.maximum.accumulate(end.view(np.int64))
    fresh = np.append(True, start[1:].view(np.int64) > reach[:-1] + gap.astype(np.int64))
    scores = np.nan_to_num(np.asarray(_column(frame, "score", 0.0), np.float64))
    titles, series = frame["title"].tolist(), _column(frame, "series", "")
    made = []
    for rows in np.split(np.arange(len(frame)), np.flatnonzero(fresh)[1:]):
        top = rows[int(np.argmax(scores[rows]))]
        named = titles[top] or series[top]
        distinct = len({series[r] or titles[r] for r in rows})
        made.append(
            Mark(
                start[rows].min(), end[rows].max(), "anomaly", str(named), int(frame["severity"].iloc[top]),
                float(scores[top]), distinct,
            )
        )  # fmt: skip
    return tuple(made)


class Timeline:
    """The panel `timeline`."""

    name: ClassVar[str] = "timeline"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, charts.timeline)

    def prepare(self, *inputs: Any, **options: Any) -> TimelineData:
        """Return lanes of an events frame; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the events and anomalies of an investigation, its suspects first, or those of an events frame."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        investigation = inputs[0]
        named = () if investigation.abstained else investigation.hypotheses
        suspects = tuple(dict.fromkeys(h.service for h in named))[:3]
        told = {
            "window": investigation.window, "baseline": investigation.baseline, "fault": investigation.fault,
            "suspects": suspects, "accused": not investigation.abstained,
        }  # fmt: skip
        return Figure(self.name, prepare(_together(investigation), **(told | options)), self.drawing)


def _together(investigation: Investigation) -> pd.DataFrame:
    """Return stored events and the investigation's anomalies as one table, without stored anomalies of another run."""
    events = investigation.telemetry.events
    events = events[events["kind"] != "anomaly"]
    parts = [part for part in (events, anomalies(investigation)) if len(part)]
    if not parts:
        return events
    return pd.concat(parts, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
