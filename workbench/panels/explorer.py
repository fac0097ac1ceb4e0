"""Anomaly explorer: what would have paged over the last weeks, had the threshold been another.

Scores are computed once; another service, metric or threshold only applies the alarm to them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect import Anomalies
from workbench.detect.events import units_of
from workbench.diagnose.investigation import Investigation, Window
from workbench.diagnose.resources import service_column
from workbench.errors import NotFound, ShapeError, closest
from workbench.panels.data import Episode
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import explorer_view as live
from workbench.panels.outlook import names
from workbench.panels.static import explorer as static
from workbench.panels.track import Track, shown_part, track
from workbench.panels.units import number
from workbench.signals import labels_of

__all__ = ["ExplorerData", "ExplorerPanel", "prepare"]

_WEEK = np.timedelta64(7 * 86_400, "s")
_LISTED = 50


@dataclass(frozen=True, eq=False)
class ExplorerData:
    """What would have paged.

    Attributes
    ----------
    title : str
    window : (datetime64[ns], datetime64[ns])
    threshold : float
        Score of an alarm at steps of five minutes.
    weeks : tuple of (datetime64[ns], int)
        First instant of each stretch of seven days, the newest last, and the pages in it.
    rows : tuple of (since, series, score)
        Pages, newest first, at most fifty.
    pages, watched : int
        How many pages in all, and series whose past is long enough to be judged.
    track : Track or None
        The series that would have paged most.
    services, metrics : tuple of str
        What can be chosen.
    service, metric : str or None
        What is chosen; None for all.
    source : Anomalies or None
        What to ask again.
    """

    title: str
    window: Window
    threshold: float
    weeks: tuple[tuple[np.datetime64, int], ...] = ()
    rows: tuple[tuple[str, str, str], ...] = ()
    pages: int = 0
    watched: int = 0
    track: Track | None = None
    services: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    service: str | None = None
    metric: str | None = None
    note: str = ""
    source: Anomalies | None = field(default=None, repr=False)


def prepare(
    found: Anomalies,
    *,
    service: str | None = None,
    metric: str | None = None,
    threshold: float | None = None,
    title: str = "What would have paged",
) -> ExplorerData:
    """Return what would have paged in the window of `found`.

    Parameters
    ----------
    found : Anomalies
        From `bench.anomalies` over some weeks.
    service, metric : str, optional
        Only series of these; the others then do not count as their fleet either.
    threshold : float, optional
        Score of an alarm, 0 to 1; that of `found` by default.

    Raises
    ------
    ShapeError, NotFound, InvalidInput
        If it is something else, there is no such service or metric, or the threshold is not in (0, 1].
    """
    if not isinstance(found, Anomalies):
        raise ShapeError(f"{type(found).__name__} are no anomalies: give what bench.anomalies returns.")
    alarm = found.alarm if threshold is None else replace(found.alarm, threshold=float(threshold))
    scan, table = found.scan, labels_of(found.scan.metrics)
    owner, called = service_column(table), table["metric"].to_numpy(object) if "metric" in table else None
    called = np.full(len(table), "", object) if called is None else called
    mine = _picked(owner, service, "service")
    offered = tuple(sorted({str(name) for name in called[mine]} - {""}))
    mine &= _picked(called, metric, "metric")
    rows = np.flatnonzero(mine)
    factor = None if found.factor is None else found.factor[rows]
    episodes = alarm.episodes(scan.scores[rows], step=scan.step, factor=factor)
    time = scan.time
    begin = time[episodes["start"].to_numpy(np.int64)]
    pages = episodes[(begin >= found.window[0]) & (begin < found.window[1])].assign(row=lambda e: rows[e["series"]])
    pages = pages.sort_values("start", kind="stable", ignore_index=True)
    shown = names(table.drop(columns="unit", errors="ignore"))
    note = "" if len(rows) and len(time) else "No series matches: there is nothing to explore."
    return ExplorerData(
        title, found.window, alarm.threshold, _weeks(time[pages["start"]], found.window),
        _rows(pages, time, shown), len(pages), int(found.judged[rows].sum()), _track(found, pages, rows, shown),
        tuple(sorted({str(name) for name in owner} - {""})), offered, service, metric, note, found,
    )  # fmt: skip


def _picked(texts: npt.NDArray[np.object_], wanted: str | None, what: str) -> npt.NDArray[np.bool_]:
    """Return which rows have a text; all where none is wanted."""
    if wanted is None:
        return np.ones(len(texts), bool)
    picked: npt.NDArray[np.bool_] = np.asarray(texts == wanted, bool)
    if not picked.any():
        near = closest(wanted, {str(text) for text in texts})
        raise NotFound(f"no series has the {what} {wanted!r}{f'; did you mean {near!r}?' if near else '.'}")
    return picked


def _weeks(begin: npt.NDArray[np.datetime64], window: Window) -> tuple[tuple[np.datetime64, int], ...]:
    """Return pages per seven days, counted back from the end of the window."""
    first, last = window
    count = max(1, int(np.ceil((last - first) / _WEEK)))
    edges = last - _WEEK * np.arange(count, 0, -1)
    which = np.searchsorted(edges, begin, side="right") - 1
    pages = np.bincount(np.clip(which, 0, count - 1), minlength=count)
    return tuple(zip(edges, (int(n) for n in pages), strict=True))


def _rows(pages: pd.DataFrame, time: npt.NDArray[np.datetime64], shown: list[str]) -> tuple[tuple[str, str, str], ...]:
    newest = pages.iloc[::-1].head(_LISTED)
    cells = zip(newest["start"], newest["row"], newest["score"], strict=True)
    return tuple((f"{pd.Timestamp(time[at]):%Y-%m-%d %H:%M}", shown[row], number(score)) for at, row, score in cells)


def _track(found: Anomalies, pages: pd.DataFrame, rows: npt.NDArray[np.int64], shown: list[str]) -> Track | None:
    """Return the series with most pages, the first one where none has any."""
    time = found.scan.time
    if not len(rows) or not len(time):
        return None
    counts = np.bincount(pages["row"].to_numpy(np.int64), minlength=len(shown))
    row = int(rows[np.argmax(counts[rows])])
    mine = pages[pages["row"] == row]
    cells = zip(mine["start"], mine["end"], mine["score"], strict=True)
    episodes = [Episode(time[a], time[min(int(b), len(time) - 1)], float(score)) for a, b, score in cells]
    titles = [f"page with a score of {episode.score:.2f}" for episode in episodes]
    unit = units_of(found.scan.metrics)[row]
    inside = shown_part(found.scan, found.window)
    begin = int(np.searchsorted(time, found.window[0]))
    return track(found.scan, row, shown[row], unit, slice(min(begin, inside.stop - 1), inside.stop), episodes, titles)


class ExplorerPanel:
    """The panel `anomaly_explorer`."""

    name: ClassVar[str] = "anomaly_explorer"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, live.explorer)

    def prepare(self, *inputs: Any, **options: Any) -> ExplorerData:
        """Return what would have paged; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return what would have paged; of an investigation, a sentence that says what to give instead."""
        if inputs and isinstance(inputs[0], Investigation):
            says = "Nothing to explore: this panel takes what bench.anomalies returns, over some weeks."
            empty = ExplorerData("What would have paged", inputs[0].window, 0.0, note=says)
            return Figure(self.name, empty, self.drawing)
        return Figure(self.name, prepare(*inputs, **options), self.drawing)
