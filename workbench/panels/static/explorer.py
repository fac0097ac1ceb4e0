"""What would have paged, as text and as static markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el
from workbench.panels.static.anomalies import cell, legends
from workbench.panels.static.frame import details, fragment, note, svg, table
from workbench.panels.units import number, span

if TYPE_CHECKING:
    from workbench.panels.explorer import ExplorerData

__all__ = ["html", "text"]

_BAR, _HEIGHT, _MOST = 56.0, 74.0, 16


def summary(data: ExplorerData) -> str:
    """Return one sentence: pages, series, threshold, pages a week."""
    weeks = float((data.window[1] - data.window[0]) / np.timedelta64(7 * 86_400, "s"))
    per = number(data.pages / weeks) if weeks > 0 else "0"
    chosen = "".join(f", {clip(clean(each), 60)}" for each in (data.service, data.metric) if each)
    return (
        f"{data.pages} page{'' if data.pages == 1 else 's'} at threshold {data.threshold:.2f}: {per} a week from"
        f" {data.watched} series{chosen}."
    )


def text(data: ExplorerData) -> str:
    """Return the counts and pages as lines of text."""
    lines = [clean(data.title), span(*data.window)]
    if data.note:
        return "\n".join([*lines, clean(data.note)])
    lines.append(summary(data))
    lines += [f"  week from {start.astype('datetime64[D]')!s}  {count:>4}" for start, count in data.weeks]
    lines += [f"  {clean(since)}  {clip(clean(name), 120)}  {clean(score)}" for since, name, score in data.rows]
    return "\n".join(lines)


def html(data: ExplorerData) -> str:
    """Return counts as bars, the series that paged most, and the pages as a table, as a fragment."""
    if data.note:
        return fragment("anomaly_explorer", data.title, span(*data.window), note(data.note))
    rows = [(clean(since), clip(clean(name), 160), clean(score)) for since, name, score in data.rows]
    listed = details("Pages as a table", table(data.title, ("since", "series", "score"), rows, (2,))) if rows else None
    chart = None if data.track is None else el("div", cell(data.track), class_="wb-grid2")
    said = el("div", summary(data), class_="wb-say")
    return fragment(
        "anomaly_explorer", data.title, span(*data.window), said, _bars(data), legends(), chart, listed
    )  # fmt: skip


def _bars(data: ExplorerData) -> Safe:
    """Return a bar per week, the newest last."""
    weeks = data.weeks[-_MOST:]
    most = max((count for _, count in weeks), default=0) or 1
    parts = []
    for place, (start, count) in enumerate(weeks):
        high, x = (_HEIGHT - 36) * count / most, _BAR * place
        day = str(start.astype("datetime64[D]"))[5:]
        parts += [
            el("rect", x=x + 6, y=_HEIGHT - 18 - high, width=_BAR - 12, height=max(high, 1.0), class_="wb-fill-bad"),
            el("text", str(count), x=x + _BAR / 2, y=_HEIGHT - 22 - high, text_anchor="middle", class_="wb-strong"),
            el("text", day, x=x + _BAR / 2, y=_HEIGHT - 5, text_anchor="middle", class_="wb-dim wb-small"),
        ]
    return svg("pages per week", _BAR * max(1, len(weeks)), _HEIGHT, *parts)
