"""Timeline and metrics as HoloViews charts: pan, zoom, hover, with one shared time axis.

Text from telemetry reaches a chart as cleaned cells of a column or as painted labels. Hover boxes have fixed names and
show columns in Bokeh's escaping form, never its `safe` one; `$$` is broken up so that no label is taken for TeX.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Window
from workbench.panels.data import Chart, MetricData, TimelineData
from workbench.panels.escape import clean, clip
from workbench.panels.palette import KIND_MARK, LIGHT, SERIES
from workbench.panels.units import clock, duration

__all__ = ["metric", "timeline"]

_SHAPES = {
    "deploy": "diamond",
    "alert": "triangle",
    "incident": "triangle",
    "config": "square",
    "flag": "inverted_triangle",
}

_SCALE = {"ns": (1e-6, "ms"), "share": (100.0, "%")}


def _holoviews() -> Any:
    """Return holoviews with its Bokeh backend loaded, whether or not the notebook extension is."""
    import holoviews as hv

    if "bokeh" not in hv.Store.renderers:
        hv.renderer("bokeh")
    return hv


def _label(text: object, length: int = 80) -> str:
    return clip(clean(text), length).replace("$$", "$ $").replace("<math", "< math")


def _spans(hv: Any, windows: list[Window], colour: str, alpha: float) -> Any:
    low, high = [w[0] for w in windows], [w[1] for w in windows]
    return hv.VSpans((low, high)).opts(color=colour, alpha=alpha, line_alpha=0.0, backend="bokeh")


def metric(data: MetricData) -> Any:
    """Return the charts as a HoloViews layout in two columns; empty data give a line of text."""
    hv = _holoviews()
    if not data.charts:
        return hv.Div(_plain(data.note))
    return (
        hv.Layout([_chart(hv, c, data, i) for i, c in enumerate(data.charts)])
        .cols(2)
        .opts(backend="bokeh", merge_tools=True)
    )


def _plain(text: str) -> str:
    """Return text for HoloViews' `Div`, which takes markup."""
    from workbench.panels.escape import escape

    return escape(text)


def _chart(hv: Any, chart: Chart, data: MetricData, index: int) -> Any:
    from bokeh.models import HoverTool

    # Bokeh links axes of equal names: `time` is shared, values of different charts are not.
    factor, unit = _SCALE.get(chart.unit, (1.0, _label(chart.unit or "value", 20)))
    value, time = hv.Dimension(f"value{index}", label=unit), hv.Dimension("time")
    parts: list[Any] = []
    if data.fault is not None:
        parts.append(_spans(hv, [data.fault], LIGHT["bad" if data.accused else "muted"], 0.08))
    if chart.episodes:
        parts.append(_spans(hv, [(e.start, e.end) for e in chart.episodes], LIGHT["bad"], 0.1))
    if chart.low is not None and chart.high is not None:
        band = hv.Area(
            (chart.time, factor * chart.low, factor * chart.high), kdims=[time], vdims=[value, f"high{index}"]
        )
        parts.append(band.opts(color=LIGHT["band"], alpha=0.15, line_alpha=0.0, backend="bokeh"))
    for i, line in enumerate(chart.lines):
        hover = HoverTool(
            tooltips=[("time", "@time{%H:%M:%S}"), ("value", f"@value{index}{{0.000a}}")],
            formatters={"@time": "datetime"},
        )
        curve = hv.Curve((chart.time, factor * line.values), kdims=[time], vdims=[value], label=_label(line.name, 40))
        parts.append(curve.opts(color=SERIES[i], line_width=1.6, tools=[hover], backend="bokeh"))
    service = f" of {_label(chart.service, 40)}" if chart.service else ""
    return hv.Overlay(parts).opts(
        title=_label(chart.title, 60) + service, width=470, height=210, xlabel="", ylabel=unit, show_legend=len(chart.lines) > 1,
        legend_position="top_left", toolbar="above", backend="bokeh",
    )  # fmt: skip


def timeline(data: TimelineData) -> Any:
    """Return the timeline as a HoloViews overlay: a row per service, marks for events, bars for episodes."""
    hv = _holoviews()
    rows = _rows(data)
    if not len(rows):
        return hv.Div("Nothing happened that was recorded in this window.")
    from bokeh.models import HoverTool

    tips = [("time", "@at"), ("kind", "@kind"), ("service", "@who"), ("what", "@what"), ("lasted", "@lasted")]
    columns = ["kind", "who", "what", "at", "lasted", "strength"]
    axis = hv.Dimension("lane")
    parts: list[Any] = (
        [_spans(hv, [data.fault], LIGHT["bad" if data.accused else "muted"], 0.08)] if data.fault is not None else []
    )
    long = rows[rows["end"].notna()]
    if len(long):
        bars = hv.Segments(
            long.assign(lane_end=long["lane"]), kdims=["time", axis, "end", "lane_end"], vdims=[*columns, "colour"]
        )
        parts.append(
            bars.opts(color="colour", alpha="strength", line_width=8, tools=[HoverTool(tooltips=tips)], backend="bokeh")
        )
    points = rows[rows["kind"] != "anomaly"]
    if len(points):
        marks = hv.Points(points, kdims=["time", axis], vdims=[*columns, "colour", "shape"])
        parts.append(
            marks.opts(color="colour", marker="shape", size=10, tools=[HoverTool(tooltips=tips)], backend="bokeh")
        )
    names = [(len(data.lanes) - 1 - i, _label(lane.service, 30) or "everywhere") for i, lane in enumerate(data.lanes)]
    return hv.Overlay(parts).opts(
        title=_label(data.title), width=940, height=90 + 42 * len(data.lanes), yticks=names,
        ylim=(-0.7, len(names) - 0.3), xlim=data.window, xlabel="", ylabel="", show_legend=False, toolbar="above",
        backend="bokeh",
    )  # fmt: skip


def _rows(data: TimelineData) -> pd.DataFrame:
    rows = []
    for i, lane in enumerate(data.lanes):
        for mark in (*lane.marks, *lane.episodes):
            height = len(data.lanes) - 1 - i + (-0.18 if mark.kind == "anomaly" else 0.18)
            lasted = "" if np.isnat(mark.end) else duration(float((mark.end - mark.start) / np.timedelta64(1, "ns")))
            more = f" and {mark.count - 1} more series" if mark.count > 1 else ""
            rows.append(
                (
                    mark.start, mark.end, float(height), _label(mark.kind), _label(lane.service) or "everywhere",
                    _label(mark.title, 140) + more, clock(mark.start), lasted,
                    0.35 + 0.6 * min(mark.score, 20.0) / 20.0 if mark.kind == "anomaly" else 0.45,
                    LIGHT[KIND_MARK.get(mark.kind, "muted")], _SHAPES.get(mark.kind, "circle"),
                )
            )  # fmt: skip
    names = ["time", "end", "lane", "kind", "who", "what", "at", "lasted", "strength", "colour", "shape"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype({"time": "datetime64[ns]", "end": "datetime64[ns]"})
