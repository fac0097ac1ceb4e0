"""Capacity: the trend of each resource, with its peaks, against its limit; those that end soonest first."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.diagnose.capacity import Capacity
from workbench.diagnose.investigation import Investigation
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import outlook as live
from workbench.panels.outlook import LOOKS_BACK, Outlook, OutlookData, names
from workbench.panels.static import outlook as static
from workbench.panels.units import likelihood, quantity, span
from workbench.signals import labels_of

__all__ = ["CapacityPanel", "prepare"]

_COLUMNS = ("resource", "limit", "headroom", "at the horizon", "grows a day", "reached", "between", "probability")
_AHEAD_POINTS = 60
_PAST_POINTS = 2_000


def prepare(capacity: Capacity, *, unit: str | None = None, charts: int = 12, title: str = "Capacity") -> OutlookData:
    """Return charts and table of resources and their limits.

    Parameters
    ----------
    capacity : Capacity
        From `bench.capacity`.
    unit : str, optional
        UCUM, such as "By"; the metrics' own by default.
    charts : int, optional
        Most charts.
    """
    table = capacity.table()
    labels = labels_of(capacity.metrics)
    called = names(labels)
    unit = str(capacity.metrics.attrs.get("unit", "")) if unit is None else unit
    order = _order(capacity)
    time = capacity.metrics["time"].values
    rows = tuple(_row(table.iloc[k], called[i], unit, capacity.level) for k, i in enumerate(order))
    drawn = tuple(_chart(capacity, int(i), called[i], unit, rows[k]) for k, i in enumerate(order[:charts]))
    note = "" if len(labels) else "No resource matches: there is nothing to draw."
    days = capacity.horizon_ns / 86_400e9
    subtitle = f"history {span(time[0], time[-1])}, horizon {days:.3g} days" if len(time) else ""
    band = f"trend and peaks, {capacity.level:.0%} interval"
    return OutlookData(
        "capacity", title, subtitle, band, drawn, _COLUMNS, rows, (1, 2, 3, 4, 7), len(labels) - len(drawn), note
    )


def _order(capacity: Capacity) -> Any:
    found = capacity.exhaustion
    return np.lexsort((np.nan_to_num(found.soonest, nan=np.inf), np.nan_to_num(found.expected, nan=np.inf)))


def _chart(capacity: Capacity, i: int, name: str, unit: str, row: tuple[str, ...]) -> Outlook:
    grown, found = capacity.growth, capacity.exhaustion
    time = capacity.metrics["time"].values
    every = max(1, len(time) // _PAST_POINTS)
    steps = np.linspace(0.0, capacity.horizon_ns / capacity.step_ns, _AHEAD_POINTS)
    later = time[-1] + (steps * capacity.step_ns).astype(np.int64).astype("timedelta64[ns]")
    with np.errstate(over="ignore", invalid="ignore"):
        lines = [found.peak[i] + s * steps for s in (grown.slope[i], grown.slope_low[i], grown.slope_high[i])]
    says = f"{row[2]} of headroom; " + (f"limit reached {row[5]}" if row[5] else "limit not reached by its trend")
    count = int(grown.breaks[i].sum())
    says += f"; {count} break{'s' * (count != 1)} in its growth" if count else ""
    return Outlook(
        name, unit, says, time[::every], np.asarray(capacity.metrics.values, np.float64)[i, ::every], later,
        lines[0], np.minimum(lines[1], lines[2]), np.maximum(lines[1], lines[2]), float(capacity.limit[i]),
    )  # fmt: skip


def _row(row: pd.Series, name: str, unit: str, level: float) -> tuple[str, ...]:
    soonest, latest = _day(row["soonest"]), _day(row["latest"])
    return (
        name, quantity(float(row["limit"]), unit), quantity(float(row["headroom"]), unit),
        quantity(float(row["headroom_then"]), unit), quantity(float(row["growth_per_day"]), unit), _day(row["expected"]),
        f"{soonest} \N{EN DASH} {latest or 'never'}" if soonest else "", likelihood(float(row["probability"])),
    )  # fmt: skip


def _day(when: pd.Timestamp) -> str:
    return "" if pd.isna(when) else when.strftime("%Y-%m-%d %H:%M")


class CapacityPanel:
    """The panel `capacity`."""

    name: ClassVar[str] = "capacity"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, live.outlook)

    def prepare(self, *inputs: Any, **options: Any) -> OutlookData:
        """Return the charts of resources; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the picture of a capacity; of an investigation, a sentence that says what to give instead."""
        if inputs and isinstance(inputs[0], Investigation):
            empty = OutlookData(
                "capacity", "Capacity", "", "", (), _COLUMNS, (), (), 0, f"Nothing to draw. {LOOKS_BACK}"
            )
            return Figure(self.name, empty, self.drawing)
        return Figure(self.name, prepare(*inputs, **options), self.drawing)
