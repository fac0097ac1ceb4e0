"""Forecast: what comes next, with the interval that past errors give, and when a threshold will be crossed."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from workbench.detect.forecast import crossings
from workbench.diagnose.investigation import Investigation
from workbench.errors import ShapeError
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import outlook as live
from workbench.panels.outlook import LOOKS_BACK, Outlook, OutlookData, names
from workbench.panels.static import outlook as static
from workbench.panels.units import likelihood, quantity, span
from workbench.signals import labels_of

__all__ = ["ForecastPanel", "prepare"]

_NEEDED = {"forecast", "low", "high", "history", "residuals", "model", "blend", "error"}
_COLUMNS = ("series", "at the end", "interval", "usual error", "model")
_CROSSING = ("crosses", "10 %", "50 %", "90 %")


def prepare(
    forecast: xr.Dataset,
    *,
    threshold: float | None = None,
    unit: str | None = None,
    charts: int = 12,
    title: str = "Forecast",
) -> OutlookData:
    """Return charts and table of a forecast.

    Parameters
    ----------
    forecast : Dataset
        From `bench.forecast`.
    threshold : float, optional
        Drawn as a line; the series likeliest to cross it come first.
    unit : str, optional
        UCUM, such as "By"; the forecast's own by default.
    charts : int, optional
        Most charts.
    """
    missing = _NEEDED - set(forecast.data_vars)
    if missing:
        raise ShapeError(f"the dataset lacks {', '.join(sorted(missing))}: give what bench.forecast returns.")
    n = forecast.sizes["series"]
    unit = str(forecast.attrs.get("unit", "")) if unit is None else unit
    found = crossings(forecast, threshold) if threshold is not None and n else None
    likely = np.zeros(n) if found is None else found["probability"].fillna(-1.0).to_numpy(np.float64)
    order = np.argsort(-likely, kind="stable")
    called = names(labels_of(forecast["forecast"]))
    band = f"{float(forecast.attrs.get('level', 0.9)):.0%} interval"
    limit = float("nan") if threshold is None else float(threshold)
    drawn = tuple(_chart(forecast, int(i), called[i], unit, limit) for i in order[:charts])
    rows = tuple(_row(forecast, int(i), called[i], unit, found) for i in order)
    columns = _COLUMNS + (_CROSSING if found is not None else ())
    time = forecast["time"].values
    subtitle = span(time[0], time[-1]) if len(time) else ""
    note = "" if n and len(time) else "No series was forecast: there is nothing to draw."
    return OutlookData("forecast", title, subtitle, band, drawn, columns, rows, (1, 2, 3), n - len(drawn), note)


def _chart(forecast: xr.Dataset, i: int, name: str, unit: str, limit: float) -> Outlook:
    ahead = forecast.sizes["time"]
    # Two horizons of history show what repeats without pressing what comes into a corner.
    recent = slice(max(0, forecast.sizes["past"] - 2 * ahead), None)
    point, low, high = (forecast[name].values[i] for name in ("forecast", "low", "high"))
    says = f"{forecast['model'].values[i]}: {forecast['blend'].values[i]}".removesuffix(": ")
    if not np.isfinite(point).any():
        says = "no samples to forecast from"
    return Outlook(
        name, unit, says, forecast["past"].values[recent], forecast["history"].values[i, recent],
        forecast["time"].values, point, low, high, limit,
    )  # fmt: skip


def _row(forecast: xr.Dataset, i: int, name: str, unit: str, found: pd.DataFrame | None) -> tuple[str, ...]:
    point, low, high = (forecast[name].values[i] for name in ("forecast", "low", "high"))
    cells = [
        name, quantity(float(point[-1]), unit) if len(point) else "",
        f"{quantity(float(low[-1]), unit)} to {quantity(float(high[-1]), unit)}" if len(point) else "",
        quantity(float(forecast["error"].values[i]), unit), str(forecast["model"].values[i]),
    ]  # fmt: skip
    if found is not None:
        row = found.iloc[i]
        cells += [likelihood(float(row["probability"])), *(_instant(row[f"time_{q}"]) for q in (10, 50, 90))]
    return tuple(cells)


def _instant(when: pd.Timestamp) -> str:
    return "" if pd.isna(when) else when.strftime("%Y-%m-%d %H:%M")


class ForecastPanel:
    """The panel `forecast`."""

    name: ClassVar[str] = "forecast"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, live.outlook)

    def prepare(self, *inputs: Any, **options: Any) -> OutlookData:
        """Return the charts of a forecast; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the picture of a forecast; of an investigation, a sentence that says what to give instead."""
        if inputs and isinstance(inputs[0], Investigation):
            empty = OutlookData(
                "forecast", "Forecast", "", "", (), _COLUMNS, (), (), 0, f"Nothing to draw. {LOOKS_BACK}"
            )
            return Figure(self.name, empty, self.drawing)
        return Figure(self.name, prepare(*inputs, **options), self.drawing)
