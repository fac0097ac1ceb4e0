"""Forecast and capacity as HoloViews charts: pan, zoom, hover. Text is treated as in `charts.py`."""

from __future__ import annotations

import math
from typing import Any

from workbench.panels.escape import clean, clip, escape
from workbench.panels.outlook import Outlook, OutlookData
from workbench.panels.palette import LIGHT, SERIES

__all__ = ["outlook"]


def outlook(data: OutlookData) -> Any:
    """Return the charts as a HoloViews layout in two columns; empty data give a line of text."""
    import holoviews as hv

    if "bokeh" not in hv.Store.renderers:
        hv.renderer("bokeh")
    if not data.charts:
        return hv.Div(escape(data.note))
    drawn = [_chart(hv, chart, i) for i, chart in enumerate(data.charts)]
    return hv.Layout(drawn).cols(2).opts(backend="bokeh", merge_tools=True)


def _label(text: object, length: int) -> str:
    return clip(clean(text), length).replace("$$", "$ $").replace("<math", "< math")


def _chart(hv: Any, chart: Outlook, index: int) -> Any:
    from bokeh.models import HoverTool

    unit = _label(chart.unit or "value", 20)
    value, time = hv.Dimension(f"value{index}", label=unit), hv.Dimension("time")
    band = hv.Area((chart.time, chart.low, chart.high), kdims=[time], vdims=[value, f"high{index}"])
    parts = [band.opts(color=LIGHT["band"], alpha=0.15, line_alpha=0.0, backend="bokeh")]
    for colour, at, values in ((SERIES[0], chart.past, chart.history), (SERIES[1], chart.time, chart.point)):
        hover = HoverTool(
            tooltips=[("time", "@time{%Y-%m-%d %H:%M}"), ("value", f"@value{index}{{0.000a}}")],
            formatters={"@time": "datetime"},
        )
        curve = hv.Curve((at, values), kdims=[time], vdims=[value])
        parts.append(curve.opts(color=colour, line_width=1.6, tools=[hover], backend="bokeh"))
    if math.isfinite(chart.limit):
        parts.append(hv.HLine(chart.limit).opts(color=LIGHT["bad"], line_dash="dashed", line_width=1, backend="bokeh"))
    return hv.Overlay(parts).opts(
        title=_label(chart.title, 60), width=470, height=220, xlabel="", ylabel=unit, show_legend=False,
        toolbar="above", backend="bokeh",
    )  # fmt: skip
