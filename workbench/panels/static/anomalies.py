"""Anomalies as text and as static markup."""

from __future__ import annotations

import numpy as np

from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el
from workbench.panels.outlook import Outlook
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.static.outlook import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Axes, band, gridlines, line
from workbench.panels.track import AnomaliesData, Track
from workbench.panels.units import span

__all__ = ["COLUMNS", "cell", "html", "legends", "text"]

COLUMNS = ("since", "severity", "service", "what", "why", "moved with it")
_ROW = 10.0
_LEVELS = (0.25, 0.4, 0.55, 0.75)
"""Shares of the highest surprise (one in 100, in 1,600, in 25,000, in a million) from which a cell gets darker."""
_SMALL = 90.0


def text(data: AnomaliesData) -> str:
    """Return the anomalies as lines of text."""
    lines = [clean(data.title), span(*data.window)]
    for row in data.rows:
        since, level, service, what, why, along = (clip(clean(each), 160) for each in row)
        lines.append(f"{since}  {level:<7}  {f'{service}: ' if service else ''}{what}"[:200])
        lines += [f"    {why}"[:200]] if why else []
        lines += [f"    moved with it: {along}"[:200]] if along else []
    lines += [clean(data.quiet)] if data.quiet else []
    return "\n".join([*lines, *([clean(data.note)] if data.note else [])])


def html(data: AnomaliesData) -> str:
    """Return tracks in two columns and the table as a fragment."""
    if not data.tracks:
        return fragment("anomalies", data.title, span(*data.window), note(data.note or "Nothing to draw."))
    cells = el("div", *(cell(each) for each in data.tracks), class_="wb-grid2")
    rows = [tuple(clip(clean(each), 300) for each in row) for row in data.rows]
    quiet = note(data.quiet) if data.quiet else None
    listed = details("All as a table", table(data.title, COLUMNS, rows)) if rows else None
    left = note(f"{data.more} more series were watched.") if data.more > 0 else None
    said = note(data.note) if data.note else None
    return fragment("anomalies", data.title, span(*data.window), legends(), quiet, cells, left, said, listed)


def legends() -> Safe | None:
    """Return the legend of tracks."""
    return legend(swatch("c0", "series"), swatch("band", "expected"), swatch("anomaly", "alarm; below, why"))


def cell(drawn: Track) -> Safe:
    """Return one series: head, line with its strips, its parts, its worst anomaly in a sentence."""
    head = el("div", el("span", clip(clean(drawn.chart.title), 120), class_="wb-name"), class_="wb-cellhead")
    said = note(clip(clean(drawn.chart.says), 240))
    return el("div", head, _picture(drawn), *(_part(part) for part in drawn.parts), said, class_="wb-cell")


def _picture(drawn: Track) -> Safe:
    chart, axes = drawn.chart, Axes(drawn.chart)
    parts: list[str | None] = [*gridlines(chart, axes), *_episodes(drawn, axes), band(chart, axes, "expected")]
    parts.append(line(axes, chart.time, chart.point, "series", "wb-line wb-c0"))
    parts += _strips(drawn, axes)
    title = f"{clip(clean(chart.title), 80)}: {clip(clean(chart.says), 160)}"
    return svg(title, WIDTH, HEIGHT + _ROW * len(drawn.features) + 6, *parts)


def _episodes(drawn: Track, axes: Axes) -> list[Safe]:
    made = []
    for episode, title in zip(drawn.episodes, drawn.titles, strict=True):
        a, b = axes.x(np.array([episode.start, episode.end])).tolist()
        wide, below = max(b - a, 2.0), HEIGHT - BOTTOM
        box = el("rect", x=a, y=TOP, width=wide, height=below - TOP, class_="wb-episode")
        bar = el("rect", x=a, y=TOP - 4, width=wide, height=3, rx=1.5, class_="wb-episodebar")
        made.append(el("g", el("title", clip(clean(title), 200)), box, bar))
    return made


def _strips(drawn: Track, axes: Axes) -> list[str | None]:
    """Return a row per feature; cells of one darkness are one path, so that a picture stays small."""
    made: list[str | None] = []
    x = axes.x(drawn.edges)
    for number, name in enumerate(drawn.features):
        y = HEIGHT + 4 + _ROW * number
        label = clip(clean(name), 9)
        made.append(el("text", label, x=LEFT - 7, y=y + 8, text_anchor="end", class_="wb-dim wb-small"))
        values = np.nan_to_num(drawn.strength[number])
        for least, most in zip(_LEVELS, (*_LEVELS[1:], np.inf), strict=True):
            cells = np.flatnonzero((values >= least) & (values < most))
            path = "".join(f"M{x[i]:.1f} {y:.1f}H{x[i + 1]:.1f}V{y + _ROW - 2:.1f}H{x[i]:.1f}Z" for i in cells)
            if path:
                made.append(el("path", d=path, class_="wb-fill-bad", fill_opacity=float(least + 0.15)))
    return made


def _part(part: Outlook) -> Safe:
    """Return one part of a series: its line only."""
    axes = Axes(part, _SMALL)
    name = el("text", clip(clean(part.title), 20), x=LEFT + 4, y=TOP + 8, class_="wb-strong wb-halo")
    drawn = line(axes, part.time, part.point, clean(part.title), "wb-line wb-c1")
    return svg(clip(clean(part.title), 40), WIDTH, _SMALL, *gridlines(part, axes), drawn, name)
