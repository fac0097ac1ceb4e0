"""Anomalies as HoloViews charts: pan, zoom, hover. Text is treated as in `charts.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.panels.escape import clean, clip, escape
from workbench.panels.outlook import Outlook
from workbench.panels.palette import LIGHT, SERIES
from workbench.panels.track import AnomaliesData, Track

__all__ = ["anomalies"]

_FAINTEST = 0.25


def anomalies(data: AnomaliesData) -> Any:
    """Return a layout: each series, and below it its strips (and parts); empty data give a line of text."""
    import holoviews as hv

    if "bokeh" not in hv.Store.renderers:
        hv.renderer("bokeh")
    if not data.tracks:
        return hv.Div(escape(data.note))
    drawn = []
    for index, each in enumerate(data.tracks):
        drawn += [_chart(hv, each, index), _strips(hv, each, index)]
        drawn += [_part(hv, part, f"{index}{i}") for i, part in enumerate(each.parts)]
    return hv.Layout(drawn).cols(1).opts(backend="bokeh", merge_tools=True)


def _label(text: object, length: int) -> str:
    return clip(clean(text), length).replace("$$", "$ $").replace("<math", "< math")


def _curve(hv: Any, chart: Outlook, value: Any, colour: str) -> Any:
    from bokeh.models import HoverTool

    hover = HoverTool(
        tooltips=[("time", "@time{%Y-%m-%d %H:%M}"), ("value", f"@{value.name}{{0.000a}}")],
        formatters={"@time": "datetime"},
    )
    curve = hv.Curve((chart.time, chart.point), kdims=[hv.Dimension("time")], vdims=[value])
    return curve.opts(color=colour, line_width=1.6, tools=[hover], backend="bokeh")


def _chart(hv: Any, drawn: Track, index: int) -> Any:
    chart, unit = drawn.chart, _label(drawn.chart.unit or "value", 20)
    value, time = hv.Dimension(f"value{index}", label=unit), hv.Dimension("time")
    parts: list[Any] = []
    if drawn.episodes:
        spans = hv.VSpans(([e.start for e in drawn.episodes], [e.end for e in drawn.episodes]))
        parts.append(spans.opts(color=LIGHT["bad"], alpha=0.12, line_alpha=0.0, backend="bokeh"))
    band = hv.Area((chart.time, chart.low, chart.high), kdims=[time], vdims=[value, f"high{index}"])
    parts.append(band.opts(color=LIGHT["band"], alpha=0.15, line_alpha=0.0, backend="bokeh"))
    parts.append(_curve(hv, chart, value, SERIES[0]))
    return hv.Overlay(parts).opts(
        title=_label(chart.title, 80), width=940, height=210, xlabel="", ylabel=unit, show_legend=False,
        xlim=(drawn.edges[0], drawn.edges[-1]), toolbar="above", backend="bokeh",
    )  # fmt: skip


def _strips(hv: Any, drawn: Track, index: int) -> Any:
    """Return the cells of all features as rectangles, the more opaque the rarer."""
    strength = np.nan_to_num(drawn.strength)
    feature, at = np.nonzero(strength >= _FAINTEST)
    height = len(drawn.features) - 1.0 - feature
    cells = (drawn.edges[at], height - 0.45, drawn.edges[at + 1], height + 0.45, strength[feature, at])
    axis = hv.Dimension(f"feature{index}", label=" ")
    boxes = hv.Rectangles(cells, kdims=["time", axis, "until", f"top{index}"], vdims=["strength"])
    count = len(drawn.features)
    names = [(count - 1 - i, _label(name, 16)) for i, name in enumerate(drawn.features)]
    return boxes.opts(
        color=LIGHT["bad"], alpha="strength", line_alpha=0.0, width=940, height=50 + 16 * count, yticks=names,
        ylim=(-0.6, count - 0.4), xlim=(drawn.edges[0], drawn.edges[-1]), xlabel="", ylabel="", toolbar=None,
        backend="bokeh",
    )  # fmt: skip


def _part(hv: Any, part: Outlook, index: str) -> Any:
    value = hv.Dimension(f"part{index}", label=_label(part.title, 20))
    return _curve(hv, part, value, SERIES[1]).opts(
        width=940, height=120, xlabel="", ylabel=_label(part.title, 20), toolbar=None, backend="bokeh"
    )
