"""Anomalies: each series with the band expected of it, what each feature thought of it below, and where it alarmed.

The strips show why: one per feature of the detector, the darker the rarer, and the score they make together. For one
series the parts may be shown too: trend, season and rest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.detect import Anomalies
from workbench.detect.decompose import decompose
from workbench.detect.events import units_of
from workbench.diagnose.investigation import Investigation
from workbench.errors import InvalidInput, ShapeError
from workbench.panels.data import Episode
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import anomalies as live
from workbench.panels.outlook import Outlook, names
from workbench.panels.static import anomalies as static
from workbench.panels.track import AnomaliesData, Track, shown_part, track
from workbench.signals import labels_of

__all__ = ["AnomaliesPanel", "prepare", "rows_of"]

_SEVERITY = {13: "warning", 17: "error", 21: "fatal"}
_ASK = "This panel draws what bench.anomalies returns; of an investigation, the panel metric draws what moved."


def prepare(
    found: Anomalies, *, charts: int = 6, decomposed: int | None = None, title: str = "Anomalies"
) -> AnomaliesData:
    """Return tracks and table of the anomalies of a window.

    Parameters
    ----------
    found : Anomalies
        From `bench.anomalies` or `workbench.detect.find_anomalies`.
    charts : int, optional
        Most series drawn; those with the highest scores of alarms in the window come first, then the highest scores.
    decomposed : int, optional
        Which of the series drawn (0 is the first) is shown as trend, season and rest as well.

    Raises
    ------
    ShapeError
        If it is something else.
    InvalidInput
        If no series so numbered is drawn.
    """
    if not isinstance(found, Anomalies):
        raise ShapeError(f"{type(found).__name__} are no anomalies: give what bench.anomalies returns.")
    order, cells = _order(found), shown_part(found.scan, found.window)
    table = labels_of(found.scan.metrics)
    called, units = names(table.drop(columns="unit", errors="ignore")), units_of(found.scan.metrics)
    drawn = [_track(found, int(row), called[row], units[row], cells) for row in order[:charts]]
    if decomposed is not None:
        if not 0 <= decomposed < len(drawn):
            raise InvalidInput(f"series {decomposed} cannot be decomposed: {len(drawn)} are drawn, from 0 on.")
        parts = _parts(found, int(order[decomposed]), drawn[decomposed], cells)
        drawn[decomposed] = replace(drawn[decomposed], parts=parts)
    time = found.scan.time
    if not drawn or not len(time):
        return AnomaliesData(title, found.window, (), (), note="No series matches: there is nothing to draw.")
    judged = int(found.judged.sum())
    quiet = f"Nothing unusual in {judged} series." if judged else ""
    blind = len(order) - judged
    note = f"{blind} of {len(order)} series have too short a past to be judged." if blind else ""
    rows, more = rows_of(found.events), len(order) - len(drawn)
    return AnomaliesData(title, found.window, tuple(drawn), rows, more, "" if rows else quiet, note)


def _track(found: Anomalies, row: int, name: str, unit: str, cells: slice) -> Track:
    mine = found.events[found.rows == row]
    ends = mine["end"].fillna(mine["time"]).to_numpy("datetime64[ns]")
    marks = zip(mine["time"].to_numpy("datetime64[ns]"), ends, mine["score"].tolist(), strict=True)
    episodes = [Episode(a, b, float(score)) for a, b, score in marks]
    return track(found.scan, row, name, unit, cells, episodes, [str(title) for title in mine["title"]])


def _order(found: Anomalies) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the series to draw: those that alarmed by their score, then the others by theirs in the window."""
    scores, time = found.scan.scores, found.scan.time
    inside = (time >= found.window[0]) & (time < found.window[1])
    height = np.nanmax(scores[:, inside], axis=1, initial=0.0)
    loudest = np.zeros(len(scores))
    np.maximum.at(loudest, found.rows, found.events["score"].to_numpy(np.float64))
    return np.lexsort((-height, -loudest))


def _parts(found: Anomalies, row: int, drawn: Track, cells: slice) -> tuple[Outlook, ...]:
    """Return trend, season and rest of one series, as charts."""
    parts = decompose(found.scan.values[row], step=found.scan.step)
    none = np.full(len(drawn.chart.time), np.nan)
    lines = {"trend": parts.trend, "season": parts.season, "rest": parts.rest}
    return tuple(
        replace(drawn.chart, title=name, says="", point=line[cells], low=none, high=none)
        for name, line in lines.items()
        if name != "season" or parts.period
    )


def rows_of(events: pd.DataFrame, most: int = 100) -> tuple[tuple[str, ...], ...]:
    """Return the rows of a table of anomaly events: since, severity, service, what, why, moved with it."""
    made = []
    for event in events.head(most).to_dict("records"):
        why = "; ".join(str(words) for words, _ in json.loads(event["reasons"]))
        along = ", ".join(str(each["series"]) for each in json.loads(event["correlated"])[:3])
        level = _SEVERITY.get(int(event["severity"]), str(event["severity"]))
        since = f"{event['time']:%Y-%m-%d %H:%M}"
        made.append((since, level, str(event["service"]), str(event["title"]), why, along))
    return tuple(made)


class AnomaliesPanel:
    """The panel `anomalies`."""

    name: ClassVar[str] = "anomalies"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, live.anomalies)

    def prepare(self, *inputs: Any, **options: Any) -> AnomaliesData:
        """Return the tracks of what was found; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the picture of what was found; of an investigation, a sentence that says what to give instead."""
        if inputs and isinstance(inputs[0], Investigation):
            empty = AnomaliesData("Anomalies", inputs[0].window, (), (), note=f"Nothing to draw. {_ASK}")
            return Figure(self.name, empty, self.drawing)
        return Figure(self.name, prepare(*inputs, **options), self.drawing)
