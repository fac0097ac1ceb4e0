"""Log templates as text and as static markup."""

from __future__ import annotations

import math
import re

import numpy as np

from workbench.panels.data import TemplateRow, TemplatesData
from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el, join
from workbench.panels.static.frame import chip, details, fragment, legend, note, svg, swatch
from workbench.panels.units import clock, number, ratio, span

__all__ = ["html", "severity_name", "text"]

_LEVELS = (
    (21, "fatal", "bad"),
    (17, "error", "bad"),
    (13, "warn", "warn"),
    (9, "info", "info"),
    (5, "debug", ""),
    (1, "trace", ""),
)
_KEY = {True: ("bad", "lines during the fault window"), False: ("muted", "lines during what moved")}
_WILD = re.compile(r"(<\*>)")
_WIDTH, _HEIGHT = 116.0, 26.0


def severity_name(severity: int) -> tuple[str, str]:
    """Return the name of an OpenTelemetry severity number and the colour kind it gets."""
    return next(((name, kind) for least, name, kind in _LEVELS if severity >= least), ("none", ""))


def text(data: TemplatesData) -> str:
    """Return the templates as lines of text."""
    lines = [clean(data.title), span(*data.window), f"{data.lines} lines, {data.templates} templates"]
    for row in data.rows:
        flag = "new " if row.new else "    "
        counts = f"{row.during:>6} lines"
        if data.compared:
            counts = f"{_per_minute(row.rate_before):>6} \u2192 {_per_minute(row.rate_during):<6}/min"
        name = severity_name(row.severity)[0]
        lines.append(f"  {flag}{name:5} {counts} {clip(clean(row.service), 30):14} {clip(clean(row.template), 140)}")
    return "\n".join([*lines, *([clean(data.note)] if data.note else [])])


def _per_minute(rate: float) -> str:
    return number(60 * rate)


def html(data: TemplatesData) -> str:
    """Return the templates as a fragment: a table with a sparkline, counts and an example in each row."""
    if not data.rows:
        known = f" \u00b7 {number(data.lines)} lines, {data.templates} templates" if data.lines else ""
        return fragment("templates", data.title, span(*data.window) + known, note(data.note))
    sub = f"{span(*data.window)} \u00b7 {number(data.lines)} lines, {data.templates} templates"
    names = ("", "template", "service", "over time", "before/min", "during/min", "change")
    if not data.compared:
        names = ("", "template", "service", "over time", "", "lines", "")
    right = {4, 5, 6}
    head = el("tr", *(el("th", n, scope="col", class_="wb-r" if i in right else None) for i, n in enumerate(names)))
    body = join(_row(row, data) for row in data.rows)
    listed = el("table", el("caption", data.title), el("thead", head), el("tbody", body), class_="wb-t")
    keys = legend(swatch(*_KEY[data.accused])) if data.fault is not None else None
    left = data.templates - len(data.rows)
    rest = note(f"{left} more templates changed less or not at all and are not shown.") if left else None
    shown = el("div", listed, class_="wb-scroll" if data.accused else "wb-scroll wb-neutral", tabindex=0)
    return fragment("templates", data.title, sub, keys, shown, rest)


def _row(row: TemplateRow, data: TemplatesData) -> Safe:
    name, kind = severity_name(row.severity)
    parts = (
        el("span", p, class_="wb-wild") if p == "<*>" else p for p in _WILD.split(clip(clean(row.template), 400)) if p
    )
    cells = (
        el("td", chip(name, kind)),
        el("td", el("code", *parts, class_="wb-code"), *_example(row)),
        el("td", clip(clean(row.service), 24), class_="wb-firm"),
        el("td", _spark(row, data)),
        el("td", _per_minute(row.rate_before) if data.compared else "", class_="wb-r"),
        el("td", _per_minute(row.rate_during) if data.compared else number(row.during), class_="wb-r"),
        el("td", _change(row, data), class_="wb-r"),
    )
    return el("tr", *cells)


def _example(row: TemplateRow) -> list[Safe]:
    """Return one real line under its template, unless the template has no gaps; a long line opens on demand."""
    line = clean(row.example)
    if "<*>" not in row.template:
        return []
    if len(line) <= 180:
        return [el("div", line, class_="wb-code wb-q wb-ex")]
    whole = details("whole line", el("div", line, class_="wb-code wb-q"))
    return [el("div", clip(line, 180), class_="wb-code wb-q wb-ex"), whole]


def _change(row: TemplateRow, data: TemplatesData) -> Safe | str:
    if not data.compared:
        return ""
    if row.new:
        return chip("new", "accent")
    if row.during == 0 and row.before < 5:
        return ""
    if row.during == 0:
        return chip("stopped", "info")
    arrow = ratio(row.rate_during, row.rate_before)
    if not arrow:
        return "" if math.isfinite(row.rate_before) and row.before else chip("came back", "accent")
    return chip(arrow, "bad" if arrow[0] == "\u2191" and row.severity >= 13 else "")


def _spark(row: TemplateRow, data: TemplatesData) -> Safe:
    most = max(row.counts, default=0) or 1
    step = _WIDTH / max(len(row.counts), 1)
    bars = []
    for i, count in enumerate(row.counts):
        if count:
            tall = max(1.5, (_HEIGHT - 2) * math.sqrt(count / most))
            hot = "wb-sparkhot" if data.hot[0] <= i <= data.hot[1] else "wb-sparkbar"
            bars.append(el("rect", x=i * step, y=_HEIGHT - tall, width=step - 0.7, height=tall, class_=hot))
    base = el("line", x1=0, x2=_WIDTH, y1=_HEIGHT - 0.5, y2=_HEIGHT - 0.5, class_="wb-axis")
    first = "" if np.isnat(row.first) else f", first at {clock(row.first)}"
    return svg(f"{sum(row.counts)} lines{first}", _WIDTH, _HEIGHT, base, *bars)
