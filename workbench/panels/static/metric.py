"""Metric charts as text and as static markup."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.panels.data import Chart, MetricData
from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.units import clock, quantity, ratio, span, ticks, time_ticks

__all__ = ["html", "reduce", "text"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460.0, 150.0, 58.0, 8.0, 10.0, 20.0
_POINTS = 400
_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def text(data: MetricData) -> str:
    """Return the charts as lines of text with sparklines."""
    lines = [clean(data.title), span(*data.window)]
    if data.fault is not None:
        lines.append(
            f"{'fault' if data.accused else 'what moved'} {clock(data.fault[0])} \u2013 {clock(data.fault[1])}"
        )
    for chart in data.charts:
        lines += ["", f"  {_heading(chart)}  {_change(chart)}".rstrip()]
        for line in chart.lines:
            lines.append(f"    {_spark(line.values)}  {clip(clean(line.name), 60)}".rstrip())
        lines += [f"    {_episode_sentence(chart, i)}" for i in range(len(chart.episodes))]
    return "\n".join([*lines, *([clean(data.note)] if data.note else [])])


def _heading(chart: Chart) -> str:
    return clip(clean(chart.title), 80) + (f" of {clip(clean(chart.service), 40)}" if chart.service else "")


def _change(chart: Chart) -> str:
    if not (math.isfinite(chart.before) and math.isfinite(chart.during)):
        return ""
    arrow = ratio(chart.during, chart.before)
    named = f"{clip(clean(chart.moved), 30)} " if chart.moved else ""
    return f"{named}{quantity(chart.before, chart.unit)} \u2192 {quantity(chart.during, chart.unit)} {arrow}".rstrip()


def _spark(values: npt.NDArray[np.float64], width: int = 60) -> str:
    parts = [p[np.isfinite(p)] for p in np.array_split(values, min(width, max(len(values), 1)))]
    means = np.array([p.mean() if len(p) else np.nan for p in parts])
    if not np.isfinite(means).any():
        return "no samples"
    low, high = np.nanmin(means), np.nanmax(means)
    scaled = (means - low) / (high - low) if high > low else np.zeros_like(means)
    return "".join(" " if math.isnan(s) else _BLOCKS[1 + round(float(s) * 7)] for s in scaled)


def _episode_sentence(chart: Chart, index: int) -> str:
    episode = chart.episodes[index]
    return f"anomalous {clock(episode.start)} \u2013 {clock(episode.end)}, score {episode.score:.1f}"


def html(data: MetricData) -> str:
    """Return the charts as a fragment: small multiples on one time axis."""
    if not data.charts:
        return fragment("metric", data.title, span(*data.window), note(data.note))
    entries = []
    if any(c.low is not None for c in data.charts):
        entries.append(swatch("band", "expected from the past"))
    if any(c.episodes for c in data.charts):
        entries.append(swatch("anomaly", "anomalous"))
    if data.fault is not None:
        kind, name = ("fault", "fault window") if data.accused else ("moved", "what moved")
        entries.append(swatch(kind, f"{name} {clock(data.fault[0])}\u2013{clock(data.fault[1])}"))
    cells = el("div", *(_cell(chart, data) for chart in data.charts), class_="wb-grid2")
    rows = [
        (clip(clean(c.title), 80), clean(c.service), quantity(c.before, c.unit), quantity(c.during, c.unit), _when(c))
        for c in data.charts
    ]
    listed = table("Medians", ("metric", "service", "before", "during", "anomalous"), rows, (2, 3))
    return fragment(
        "metric", data.title, span(*data.window), legend(*entries), cells, note(data.note) if data.note else None,
        details("Medians as a table", listed),
    )  # fmt: skip


def _when(chart: Chart) -> str:
    return ", ".join(f"{clock(e.start)}\u2013{clock(e.end)}" for e in chart.episodes[:6])


def _cell(chart: Chart, data: MetricData) -> Safe:
    of = el("span", f" \u00b7 {clean(chart.service)}", class_="wb-of") if chart.service else None
    name = el("span", clip(clean(chart.title), 120), of, class_="wb-name")
    head = el("div", name, _delta(chart), class_="wb-cellhead")
    keys = None
    if len(chart.lines) > 1:
        entries = [swatch(f"c{i}", clip(clean(line.name) or "series", 60)) for i, line in enumerate(chart.lines)]
        keys = legend(*entries, el("span", f"and {chart.more} more") if chart.more else None)
    return el("div", head, _picture(chart, data), keys, class_="wb-cell")


def _delta(chart: Chart) -> Safe | None:
    if not (math.isfinite(chart.before) and math.isfinite(chart.during)):
        return None
    arrow = ratio(chart.during, chart.before)
    after = el("b", quantity(chart.during, chart.unit))
    named = f"{clip(clean(chart.moved), 24)} " if chart.moved else ""
    return el(
        "span",
        f"{named}{quantity(chart.before, chart.unit)} \u2192 ",
        after,
        f" {arrow}" if arrow else "",
        class_="wb-delta",
    )


def reduce(
    time: npt.NDArray[np.float64], values: npt.NDArray[np.float64], points: int = _POINTS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return at most about `points` points that keep every extreme: the lowest and highest of each part."""
    if len(values) <= points:
        return time, values
    keep: list[int] = []
    for part in np.array_split(np.arange(len(values)), points // 2):
        finite = part[np.isfinite(values[part])]
        if len(finite):
            keep += sorted({int(finite[np.argmin(values[finite])]), int(finite[np.argmax(values[finite])])})
        else:
            keep.append(int(part[0]))
    return time[keep], values[keep]


class _Axes:
    """Times and values to pixels of one chart."""

    def __init__(self, chart: Chart, data: MetricData) -> None:
        self.t0 = data.window[0]
        self.length = max(float((data.window[1] - data.window[0]) / np.timedelta64(1, "ns")), 1.0)
        parts = [line.values for line in chart.lines]
        finite = np.concatenate([p[np.isfinite(p)] for p in parts]) if parts else np.empty(0)
        top = float(finite.max()) if len(finite) else 1.0
        bottom = float(finite.min()) if len(finite) else 0.0
        if chart.high is not None and np.isfinite(chart.high).any():
            # A band may be very wide while it learns; it may stretch the axis by half, no more.
            top = max(top, min(float(np.nanmax(chart.high)), top + 0.5 * abs(top)))
        bottom = 0.0 if 0 <= bottom < 0.6 * top else bottom - 0.08 * (top - bottom)
        self.low, self.high = bottom, top if top > bottom else bottom + 1.0
        self.high += 0.06 * (self.high - self.low)
        if chart.unit == "share":
            self.low, self.high = max(self.low, 0.0), min(max(self.high, 0.01), 1.03)

    def x(self, time: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float64]:
        part = (time - self.t0) / np.timedelta64(1, "ns") / self.length
        return _LEFT + np.clip(part, 0, 1) * (_WIDTH - _LEFT - _RIGHT)

    def one(self, time: np.datetime64) -> float:
        return float(self.x(np.array([time]))[0])

    def y(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        part = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)


def _picture(chart: Chart, data: MetricData) -> Safe:
    axes = _Axes(chart, data)
    below = _HEIGHT - _BOTTOM
    parts: list[str | None] = [*_grid(axes, chart, data)]
    if data.fault is not None:
        a, b = axes.one(data.fault[0]), axes.one(data.fault[1])
        parts.append(
            el(
                "rect",
                x=a,
                y=_TOP,
                width=max(b - a, 1.0),
                height=below - _TOP,
                class_="wb-faultband" if data.accused else "wb-movedband",
            )
        )
    for i, episode in enumerate(chart.episodes):
        a, b = axes.one(episode.start), axes.one(episode.end)
        wide = max(b - a, 2.0)
        box = el("rect", x=a, y=_TOP, width=wide, height=below - _TOP, class_="wb-episode")
        bar = el("rect", x=a, y=_TOP - 4, width=wide, height=3, rx=1.5, class_="wb-episodebar")
        parts.append(el("g", el("title", _episode_sentence(chart, i)), box, bar))
    parts += [_band(chart, axes), *(_line(chart, axes, i) for i in range(len(chart.lines)))]
    title = f"{_heading(chart)}: {_change(chart) or 'over time'}"
    return svg(title, _WIDTH, _HEIGHT, *parts, **_readable(chart, axes))


def _grid(axes: _Axes, chart: Chart, data: MetricData) -> list[Safe]:
    below = _HEIGHT - _BOTTOM
    drawn = []
    for value in ticks(axes.low, axes.high, 3):
        y = float(axes.y(np.array([value]))[0])
        drawn.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="wb-grid"))
        label = quantity(value, chart.unit)
        drawn.append(el("text", clip(label, 11), x=_LEFT - 7, y=y + 3.5, text_anchor="end", class_="wb-dim wb-small"))
    for time, label in time_ticks(*data.window, 5):
        x = axes.one(time)
        anchor = "end" if x > _WIDTH - 24 else "middle"
        drawn.append(el("text", label, x=x, y=below + 15, text_anchor=anchor, class_="wb-dim wb-small"))
    drawn.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=below, y2=below, class_="wb-axis"))
    return drawn


def _line(chart: Chart, axes: _Axes, index: int) -> Safe:
    line = chart.lines[index]
    x, values = reduce(axes.x(chart.time), line.values)
    steps: list[str] = []
    pen = "M"
    for px, py, ok in zip(x.tolist(), axes.y(values).tolist(), np.isfinite(values).tolist(), strict=True):
        if ok:
            steps.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L" if ok else "M"
    # A lone sample between gaps has no length: round caps draw "M x y" only with a stroke to itself.
    path = "".join(s + (f"L{s[1:]}" if s[0] == "M" else "") for s in steps)
    return el("path", el("title", clean(line.name) or _heading(chart)), d=path, class_=f"wb-line wb-c{index}")


def _band(chart: Chart, axes: _Axes) -> Safe | None:
    if chart.low is None or chart.high is None:
        return None
    known = np.isfinite(chart.low) & np.isfinite(chart.high)
    x = axes.x(chart.time)
    low, high = axes.y(chart.low), axes.y(chart.high)
    parts = []
    for run in np.split(np.arange(len(x)), np.flatnonzero(np.diff(known.astype(int))) + 1):
        if not len(run) or not known[run[0]]:
            continue
        run = run[:: max(1, len(run) // _POINTS)]
        there = [f"{px:.1f} {py:.1f}" for px, py in zip(x[run], high[run], strict=True)]
        back = [f"{px:.1f} {py:.1f}" for px, py in zip(x[run][::-1], low[run][::-1], strict=True)]
        parts.append("M" + "L".join(there + back) + "Z")
    return el("path", el("title", "expected from the past"), d="".join(parts), class_="wb-band") if parts else None


def _readable(chart: Chart, axes: _Axes) -> dict[str, Any]:
    """Return the values as attributes, for the optional hover script: x in pixels, clock times, shown values."""
    if len(chart.time) > _POINTS or len(chart.lines) > 4:
        return {}
    x = axes.x(chart.time)
    shown = [
        "|".join(quantity(float(v), chart.unit) for v in column)
        for column in zip(*(n.values for n in chart.lines), strict=True)
    ]
    return {
        "data_left": ",".join(f"{v:.1f}" for v in x), "data_times": ",".join(clock(t) for t in chart.time),
        "data_values": ",".join(v.replace(",", " ") for v in shown),
        "data_labels": "|".join(clip(clean(n.name), 40).replace("|", "/") for n in chart.lines),
        "data_top": _TOP, "data_bottom": _HEIGHT - _BOTTOM,
    }  # fmt: skip
