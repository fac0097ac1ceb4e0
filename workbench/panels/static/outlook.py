"""Forecast and capacity as text and as static markup."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el
from workbench.panels.outlook import Outlook, OutlookData, window
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.static.metric import reduce
from workbench.panels.units import quantity, ticks, time_ticks

__all__ = ["BOTTOM", "HEIGHT", "LEFT", "RIGHT", "TOP", "WIDTH", "Axes", "band", "gridlines", "html", "line", "text"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460.0, 160.0, 58.0, 8.0, 10.0, 20.0
_CELL = 46


def text(data: OutlookData) -> str:
    """Return the table as lines of text."""
    lines = [clean(data.title)]
    if data.subtitle:
        lines.append(clean(data.subtitle))
    if data.rows:
        cells = [list(data.columns), *data.rows]
        shown = [[clip(clean(cell), _CELL) for cell in row] for row in cells]
        wide = [max(len(row[i]) for row in shown) for i in range(len(data.columns))]
        lines += ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()[:210] for row in shown]
    for chart in data.charts:
        lines.append(f"{clip(clean(chart.title), 60)}: {clip(clean(chart.says), 120)}")
    return "\n".join([*lines, *([clean(data.note)] if data.note else [])])


def html(data: OutlookData) -> str:
    """Return charts in two columns and the table as a fragment."""
    if not data.charts:
        return fragment(data.kind, data.title, data.subtitle, note(data.note or "Nothing to draw."))
    entries = [swatch("c0", "history"), swatch("c1", "expected"), swatch("band", data.band)]
    if any(math.isfinite(chart.limit) for chart in data.charts):
        entries.append(swatch("bad", "limit"))
    cells = el("div", *(_cell(chart) for chart in data.charts), class_="wb-grid2")
    rows = [tuple(clip(clean(cell), 160) for cell in row) for row in data.rows]
    listed = table(data.title, data.columns, rows, data.figures)
    left = note(f"{data.more} more in the table.") if data.more > 0 else None
    said = note(data.note) if data.note else None
    return fragment(
        data.kind, data.title, data.subtitle, legend(*entries), cells, left, said, details("All as a table", listed)
    )


def _cell(chart: Outlook) -> Safe:
    head = el("div", el("span", clip(clean(chart.title), 120), class_="wb-name"), class_="wb-cellhead")
    return el("div", head, _picture(chart), note(clip(clean(chart.says), 200)), class_="wb-cell")


class Axes:
    """Times and values to pixels of one chart, `height` pixels high with the times below it."""

    def __init__(self, chart: Outlook, height: float = HEIGHT) -> None:
        self.below = height - BOTTOM
        self.t0, self.t1 = window(chart)
        parts = [chart.history, chart.point]
        finite = np.concatenate([p[np.isfinite(p)] for p in parts])
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        # Band and limit may stretch the axis by one more height each way; beyond that they leave the picture.
        reach = max(min(high - low, 1e300), 0.02 * abs(high))
        if math.isfinite(chart.limit):
            low, high = min(low, max(chart.limit, low - reach)), max(high, min(chart.limit, high + reach))
        for band in (chart.low, chart.high):
            seen = band[np.isfinite(band)]
            if len(seen):
                low = min(low, max(float(seen.min()), low - reach / 2))
                high = max(high, min(float(seen.max()), high + reach / 2))
        room = 0.06 * (high - low) if math.isfinite(high - low) else 0.0
        self.low, self.high = low - room, high + room
        if not self.high > self.low:
            self.low, self.high = low - 1.0, high + 1.0

    def x(self, time: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float64]:
        """Return pixels from the left."""
        length = float((self.t1 - self.t0) / np.timedelta64(1, "ns"))
        part = (time - self.t0) / np.timedelta64(1, "ns") / max(length, 1.0)
        return LEFT + np.clip(part, 0, 1) * (WIDTH - LEFT - RIGHT)

    def y(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return pixels from the top."""
        # Halves first: the difference of two huge numbers of either sign is no number.
        height = self.high / 2 - self.low / 2
        part = np.clip((values / 2 - self.low / 2) / (height or 1.0), 0, 1)
        return self.below - part * (self.below - TOP)


def _picture(chart: Outlook) -> Safe:
    axes = Axes(chart)
    below = HEIGHT - BOTTOM
    parts: list[str | None] = [*gridlines(chart, axes), band(chart, axes)]
    if len(chart.past) and len(chart.time):
        x = float(axes.x(chart.past[-1:])[0])
        parts.append(el("line", x1=x, x2=x, y1=TOP, y2=below, class_="wb-movededge"))
    parts.append(line(axes, chart.past, chart.history, "history", "wb-line wb-c0"))
    parts.append(line(axes, chart.time, chart.point, "expected", "wb-line wb-c1"))
    if math.isfinite(chart.limit) and axes.low <= chart.limit <= axes.high:
        y = float(axes.y(np.array([chart.limit]))[0])
        label = el("title", f"limit {quantity(chart.limit, chart.unit)}")
        parts.append(el("g", label, el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="wb-faultedge")))
    return svg(f"{clip(clean(chart.title), 80)}: {clip(clean(chart.says), 160)}", WIDTH, HEIGHT, *parts)


def gridlines(chart: Outlook, axes: Axes) -> list[Safe]:
    """Return lines at round values, and round instants below."""
    below = axes.below
    drawn = []
    for value in ticks(axes.low, axes.high, 3 if below > 100 else 2):
        y = float(axes.y(np.array([value]))[0])
        drawn.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="wb-grid"))
        label = clip(quantity(value, chart.unit), 11)
        drawn.append(el("text", label, x=LEFT - 7, y=y + 3.5, text_anchor="end", class_="wb-dim wb-small"))
    for time, label in time_ticks(axes.t0, axes.t1, 5):
        x = float(axes.x(np.array([time]))[0])
        anchor = "end" if x > WIDTH - 24 else "middle"
        drawn.append(el("text", label, x=x, y=below + 15, text_anchor=anchor, class_="wb-dim wb-small"))
    drawn.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=below, y2=below, class_="wb-axis"))
    return drawn


def line(
    axes: Axes, time: npt.NDArray[np.datetime64], values: npt.NDArray[np.float64], name: str, kind: str
) -> Safe | None:
    """Return values as a path, None where there is none."""
    x, kept = reduce(axes.x(time), values)
    steps, pen = [], "M"
    for px, py, ok in zip(x.tolist(), axes.y(kept).tolist(), np.isfinite(kept).tolist(), strict=True):
        if ok:
            # A lone sample between gaps has no length: a stroke to itself shows it.
            steps.append(f"M{px:.1f} {py:.1f}L{px:.1f} {py:.1f}" if pen == "M" else f"L{px:.1f} {py:.1f}")
        pen = "L" if ok else "M"
    return el("path", el("title", name), d="".join(steps), class_=kind) if steps else None


def band(chart: Outlook, axes: Axes, name: str = "interval") -> Safe | None:
    """Return the band of a chart as a path, None where there is none."""
    known = np.isfinite(chart.low) & np.isfinite(chart.high)
    x, low, high = axes.x(chart.time)[known], axes.y(chart.low[known]), axes.y(chart.high[known])
    if not len(x):
        return None
    every = max(1, len(x) // 400)
    keep = np.unique(np.append(np.arange(0, len(x), every), len(x) - 1))
    there = [f"{px:.1f} {py:.1f}" for px, py in zip(x[keep], high[keep], strict=True)]
    back = [f"{px:.1f} {py:.1f}" for px, py in zip(x[keep][::-1], low[keep][::-1], strict=True)]
    return el("path", el("title", name), d="M" + "L".join(there + back) + "Z", class_="wb-band")
