"""Templates: what kinds of log lines there are, how many before and during, and which are new.

Lines are mined into templates; each is ranked by how surprising its count during the fault is, given its rate before.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.investigation import Investigation, Window
from workbench.panels.data import TemplateRow, TemplatesData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import views
from workbench.panels.static import templates as static

__all__ = ["Templates", "prepare", "surprise"]

_PARTS = 36
_ROWS = 14
_TELLING = 9.0  # twice the log-likelihood ratio; chance gives this to three templates in a thousand
_FEW = 3  # lines; fewer of a new template are chance


def prepare(
    logs: pd.DataFrame,
    *,
    window: Window | None = None,
    baseline: Window | None = None,
    fault: Window | None = None,
    service: str = "",
    title: str = "Log templates",
    limit: int = _ROWS,
    accused: bool = True,
) -> TemplatesData:
    """Return the templates of a logs frame, those that changed most first.

    Parameters
    ----------
    logs : DataFrame
        A logs shape.
    window, baseline, fault : (datetime64[ns], datetime64[ns]), optional
        What to show (by default all lines), what was normal, what was faulty.
    service : str, optional
        Keep lines of this service only.
    limit : int
        Most templates shown.
    accused : bool
        Whether `fault` is a fault; when not, it is called what moved.
    """
    kept = logs if not service else logs[logs["service"] == service]
    if window is not None:
        kept = kept[(kept["time"] >= window[0]) & (kept["time"] < window[1])]
    kept = kept.reset_index(drop=True)
    extent = window if window is not None else _extent(kept)
    if not len(kept):
        return TemplatesData(
            title, extent, fault, (), 0, 0, (0, -1), False, "No log lines lie in this window.", accused
        )
    ids, names = _mined(kept["body"])
    table = _table(kept, ids, len(names), extent, baseline, fault)
    compared = fault is not None and baseline is not None
    order = table.sort_values(["score", "severity", "during"], ascending=False, kind="stable").head(limit)
    if compared:
        order = order[(order["score"] >= _TELLING) | (order["new"] & (order["during"] >= _FEW))]
    rows = tuple(
        _row(int(i), row, names, kept, ids, extent)
        for i, row in zip(order.index, order.to_dict("records"), strict=True)
    )
    hot = _parts_of(fault, extent) if fault is not None else (0, -1)
    note = "" if rows else "No template changed: each was written about as often in the fault window as before."
    if not accused:
        note = note.replace("in the fault window", "in what moved")
    return TemplatesData(title, extent, fault, rows, len(table), len(kept), hot, compared, note, accused)


def _extent(logs: pd.DataFrame) -> Window:
    if not len(logs):
        zero = np.datetime64(0, "ns")
        return zero, zero + np.timedelta64(1, "s")
    time = logs["time"].to_numpy("datetime64[ns]")
    return time[0], time[-1] + np.timedelta64(1, "ns")


def _mined(bodies: pd.Series) -> tuple[npt.NDArray[np.int64], list[str]]:
    from workbench.logs import mine

    mined = mine(bodies)
    return np.asarray(mined.ids, np.int64), [str(t) for t in mined.templates]


def _seconds(window: Window | None) -> float:
    return float((window[1] - window[0]) / np.timedelta64(1, "s")) if window is not None else float("nan")


def surprise(
    before: npt.NDArray[np.float64], during: npt.NDArray[np.float64], seconds_before: float, seconds_during: float
) -> npt.NDArray[np.float64]:
    """Return twice the log-likelihood ratio of "its rate changed" against "it did not", for Poisson counts.

    Parameters
    ----------
    before, during : ndarray of float64, shape (n,)
        Counts; half a line is added to each, so that one new line is little and many are much.

    References
    ----------
    Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", 1993.
    """
    a, b = before + 0.5, during + 0.5
    rate = (a + b) / (seconds_before + seconds_during)
    score: npt.NDArray[np.float64] = 2 * (
        a * np.log(a / (rate * seconds_before)) + b * np.log(b / (rate * seconds_during))
    )
    return np.maximum(score, 0.0)


def _table(
    logs: pd.DataFrame,
    ids: npt.NDArray[np.int64],
    n: int,
    extent: Window,
    baseline: Window | None,
    fault: Window | None,
) -> pd.DataFrame:
    """Return one row per template that occurs: counts, severity, first time, score."""
    time = logs["time"].to_numpy("datetime64[ns]")
    inside = {name: _mask(time, w) for name, w in (("before", baseline), ("during", fault or extent))}
    counts = {name: np.bincount(ids[mask], minlength=n).astype(np.float64) for name, mask in inside.items()}
    group = pd.DataFrame({"id": ids, "severity": logs["severity"].to_numpy(), "time": time}).groupby("id")
    table = group.agg(severity=("severity", "max"), first=("time", "min"))
    for name, values in counts.items():
        table[name] = values[table.index]
        table[f"rate_{name}"] = table[name] / _seconds(baseline if name == "before" else fault or extent)
    if fault is None or baseline is None:
        return table.assign(new=False, score=table["during"])
    score = surprise(table["before"].to_numpy(), table["during"].to_numpy(), _seconds(baseline), _seconds(fault))
    new = (table["first"] >= fault[0]) & (table["during"] > 0)
    # Severe lines tell more than chatter of equal surprise; a template that grew more than one that shrank.
    weight = np.where(table["severity"] >= 17, 2.0, np.where(table["severity"] >= 13, 1.4, 1.0))
    grew = table["rate_during"] >= table["rate_before"]
    return table.assign(new=new, score=score * weight * np.where(grew, 1.0, 0.6))


def _mask(time: npt.NDArray[np.datetime64], window: Window | None) -> npt.NDArray[np.bool_]:
    return np.zeros(len(time), bool) if window is None else (time >= window[0]) & (time < window[1])


def _parts_of(fault: Window, extent: Window) -> tuple[int, int]:
    length = max(_seconds(extent), 1e-9)
    first, last = (int(_seconds((extent[0], t)) / length * _PARTS) for t in fault)
    return min(max(first, 0), _PARTS - 1), min(max(last, 0), _PARTS - 1)


def _row(
    template: int, row: dict[Any, Any], names: list[str], logs: pd.DataFrame, ids: npt.NDArray[np.int64], extent: Window
) -> TemplateRow:
    own = ids == template
    lines = logs[own]
    time = lines["time"].to_numpy("datetime64[ns]")
    part = (time - extent[0]) / (extent[1] - extent[0]) * _PARTS
    counts = np.bincount(np.clip(part.astype(np.int64), 0, _PARTS - 1), minlength=_PARTS)
    worst = int(np.argmax(lines["severity"].to_numpy()))
    services = [str(s) for s in lines["service"].value_counts(sort=True).index if s]
    many = services[:3] + ([f"+{len(services) - 3}"] if len(services) > 3 else [])
    return TemplateRow(
        names[template], str(lines["body"].iloc[worst]), ", ".join(many), int(row["severity"]), int(row["before"]),
        int(row["during"]), float(row["rate_before"]), float(row["rate_during"]), bool(row["new"]),
        np.datetime64(row["first"], "ns"), tuple(int(c) for c in counts),
    )  # fmt: skip


class Templates:
    """The panel `templates`."""

    name: ClassVar[str] = "templates"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, views.templates)

    def prepare(self, *inputs: Any, **options: Any) -> TemplatesData:
        """Return the templates of a logs frame; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the templates that changed in an investigation, or those of a logs frame given."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        investigation = inputs[0]
        windows = {
            "window": investigation.window, "baseline": investigation.baseline, "fault": investigation.fault,
            "accused": not investigation.abstained,
        }  # fmt: skip
        return Figure(self.name, prepare(investigation.telemetry.logs, **(windows | options)), self.drawing)
