"""The timeline as text and as static markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.panels.data import Lane, Mark, TimelineData
from workbench.panels.escape import clean, clip, fit, text_width
from workbench.panels.markup import Safe, el, join
from workbench.panels.palette import KIND_MARK
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.units import clock, duration, span, time_ticks

__all__ = ["html", "text"]

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _PAD = 960.0, 146.0, 14.0, 46.0, 19.0, 7.0
_ROWS = 4
_LABEL = 330.0


def text(data: TimelineData) -> str:
    """Return the timeline as lines of text, in time order."""
    lines = [clean(data.title), span(*data.window)]
    if data.fault is not None:
        lines.append(f"{_named(data.accused)} {clock(data.fault[0])} \u2013 {clock(data.fault[1])}")
    rows = sorted(_rows(data), key=lambda row: row[0])
    width = max((len(row[2]) for row in rows), default=0)
    lines += [
        f"  {clock(at)}  {kind:8}  {clip(service, 24):{min(width, 24)}}  {what}" for at, kind, service, what in rows
    ]
    if not rows:
        lines.append("  Nothing happened that was recorded in this window.")
    return "\n".join(lines + _left_out(data))


def _named(accused: bool) -> str:
    return "fault" if accused else "what moved"


def _rows(data: TimelineData) -> list[tuple[np.datetime64, str, str, str]]:
    return [
        (mark.start, clean(mark.kind), clean(lane.service) or "everywhere", _sentence(mark))
        for lane in data.lanes
        for mark in (*lane.marks, *lane.episodes)
    ]


def _sentence(mark: Mark) -> str:
    extra = f" (+{mark.count - 1} more series)" if mark.count > 1 else ""
    score = f", score {mark.score:.1f}" if mark.score else ""
    length = "" if np.isnat(mark.end) else f" ({duration(float((mark.end - mark.start) / np.timedelta64(1, 'ns')))})"
    return clip(clean(mark.title), 160) + extra + score + length


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def _left_out(data: TimelineData) -> list[str]:
    hidden = sum(lane.hidden for lane in data.lanes)
    said = []
    if data.more_services:
        said.append(f"{data.more_services} more {_plural('service', data.more_services)} with events not shown.")
    if hidden:
        said.append(f"{hidden} less severe {_plural('event', hidden)} not shown.")
    return said


def html(data: TimelineData) -> str:
    """Return the timeline as a fragment: lanes in one picture, and the same as a table."""
    said = _left_out(data)
    others = data.events - data.anomalies
    found = f"{data.anomalies} {'anomaly' if data.anomalies == 1 else 'anomalies'}"
    sub = f"{span(*data.window)} \u00b7 {others} {_plural('event', others)}, {found}"
    if not data.lanes:
        return fragment("timeline", data.title, sub, note("Nothing happened that was recorded in this window."))
    kinds = dict.fromkeys(m.kind for lane in data.lanes for m in lane.marks)
    entries = [swatch(KIND_MARK.get(k, "muted"), k) for k in kinds]
    if data.anomalies:
        entries.append(swatch("anomaly", "anomaly, stronger is darker"))
    if data.fault is not None:
        entries.append(swatch(*(("fault", "fault window") if data.accused else ("moved", "what moved"))))
    if data.baseline is not None:
        entries.append(swatch("baseline", "taken as normal"))
    rows = sorted(_rows(data), key=lambda row: row[0])
    listed = table("Events", ("time", "kind", "service", "what"), [(clock(a), k, s, w) for a, k, s, w in rows])
    return fragment(
        "timeline", data.title, sub, _picture(data), legend(*entries), note(" ".join(said)) if said else None,
        details(f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'} as a table", listed),
    )  # fmt: skip


class _Scale:
    """Time to pixels, kept inside the plot."""

    def __init__(self, data: TimelineData) -> None:
        self.start, self.end = data.window
        self.length = max(float((self.end - self.start) / np.timedelta64(1, "ns")), 1.0)

    def __call__(self, time: np.datetime64) -> float:
        part = float((time - self.start) / np.timedelta64(1, "ns")) / self.length
        return _LEFT + min(max(part, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _picture(data: TimelineData) -> Safe:
    x = _Scale(data)
    lanes, top = [], _TOP
    for index, lane in enumerate(data.lanes):
        drawn, height = _lane(lane, x, top, index)
        lanes.append(drawn)
        top += height
    bottom = top + 2
    marks = [
        join(
            (
                el("line", x1=x(t), x2=x(t), y1=_TOP - 6, y2=bottom, class_="wb-grid"),
                el("text", label, x=x(t), y=_TOP - 11, text_anchor="middle", class_="wb-dim wb-small"),
            )
        )
        for t, label in time_ticks(*data.window, 9)
    ]
    stripes, rest = join(p[0] for p in lanes), join(p[1] for p in lanes)
    title = f"{clean(data.title)}: {len(data.lanes)} services, {span(*data.window)}"
    return svg(title, _WIDTH, bottom + 4, stripes, join(marks), _windows(data, x, bottom), rest, least=True)


def _windows(data: TimelineData, x: _Scale, bottom: float) -> Safe:
    """Return the fault window as a tinted column with a caption, and the baseline as a thin bar above the axis."""
    parts: list[Safe] = []
    if data.baseline is not None:
        a, b = x(data.baseline[0]), x(data.baseline[1])
        parts.append(
            el(
                "rect",
                el("title", "taken as normal"),
                x=a,
                y=19.0,
                width=max(b - a, 1.0),
                height=3,
                class_="wb-basebar",
            )
        )
        if b - a > 90:
            parts.append(
                el("text", "taken as normal", x=(a + b) / 2, y=13.0, text_anchor="middle", class_="wb-dim wb-small")
            )
    if data.fault is not None:
        a, b = x(data.fault[0]), x(data.fault[1])
        kind, tone = ("fault", "wb-redtext") if data.accused else ("moved", "wb-dim")
        caption = f"{_named(data.accused)} {clock(data.fault[0])}\u2013{clock(data.fault[1])}"
        half = text_width(caption, 10.5) / 2
        centre = min(max((a + b) / 2, _LEFT + half), _WIDTH - _RIGHT - half)
        parts += [
            el("rect", x=a, y=24.0, width=max(b - a, 1.0), height=bottom - 24.0, class_=f"wb-{kind}band"),
            el("line", x1=a, x2=a, y1=24.0, y2=bottom, class_=f"wb-{kind}edge"),
            el("line", x1=b, x2=b, y1=24.0, y2=bottom, class_=f"wb-{kind}edge"),
            el("rect", x=a, y=19.0, width=max(b - a, 1.0), height=3, class_=f"wb-{kind}bar"),
            el("text", caption, x=centre, y=13.0, text_anchor="middle", class_=f"{tone} wb-small wb-strong"),
        ]
    return join(parts)


def _lane(lane: Lane, x: _Scale, top: float, index: int) -> tuple[tuple[Safe, Safe], float]:
    marks, rows = _pack(lane.marks, x, top + _PAD, _mark)
    episodes, more = _pack(lane.episodes, x, top + _PAD + rows * _ROW, _episode)
    height = max(rows + more, 1) * _ROW + 2 * _PAD
    name = clean(lane.service) or "everywhere"
    room = _LEFT - 22 - (24 if lane.rank else 0)
    middle = top + height / 2
    label = el(
        "g",
        el("title", name),
        el("text", fit(name, room, 11.5), x=8.0, y=middle + 4, class_="wb-strong" if lane.rank else None),
    )
    badge = None
    if lane.rank:
        badge = join(
            (
                el("circle", cx=_LEFT - 22, cy=middle, r=8, class_="wb-badge"),
                el("text", str(lane.rank), x=_LEFT - 22, y=middle + 3.6, text_anchor="middle", class_="wb-badgetext"),
            )
        )
    stripe = el("rect", x=0, y=top, width=_WIDTH, height=height, class_="wb-stripe", rx=4) if index % 2 == 0 else None
    return (join((stripe,)), join((label, badge, marks, episodes))), height


def _pack(
    marks: Sequence[Mark], x: _Scale, top: float, draw: Callable[[Mark, float, float, float, str, bool], Safe]
) -> tuple[Safe, int]:
    """Place marks with their labels on as few rows as keep them apart; where none is left, the label goes."""
    ends: list[float] = []
    drawn = []
    for mark in marks:
        a = x(mark.start)
        b = a if np.isnat(mark.end) else x(mark.end)
        label = _label(mark, max(_LABEL if b < 0.62 * _WIDTH else a - _LEFT - 20, 120.0))
        width = text_width(label, 11)
        left = b + 9 + width > _WIDTH - 2
        low = a - 9 - width if left else a - 7
        high = b + 7 if left else b + 12 + width
        row = next((r for r, end in enumerate(ends) if end < low), len(ends))
        if row >= _ROWS:
            row, label, low, high = int(np.argmin(ends)), "", a - 7, b + 7
        ends.extend([0.0] * (row + 1 - len(ends)))
        ends[row] = max(ends[row], high + 4)
        drawn.append(draw(mark, a, b, top + row * _ROW + _ROW / 2, label, left))
    return join(drawn), len(ends)


def _label(mark: Mark, room: float) -> str:
    more = f" +{mark.count - 1} more" if mark.kind == "anomaly" and mark.count > 1 else ""
    return fit(mark.title, min(room, _LABEL) - text_width(more, 11), 11) + more


def _tip(mark: Mark) -> Safe:
    return el("title", f"{clock(mark.start)} {clean(mark.kind)}: {_sentence(mark)}")


def _words(label: str, a: float, b: float, y: float, left: bool) -> Safe | None:
    if not label:
        return None
    at = a - 9 if left else b + 9
    return el("text", label, x=at, y=y + 3.8, text_anchor="end" if left else "start", class_="wb-halo")


def _mark(mark: Mark, a: float, b: float, y: float, label: str, left: bool) -> Safe:
    colour = f"wb-fill-{KIND_MARK.get(mark.kind, 'muted')}"
    long = None
    if b - a > 3:
        long = el("rect", x=a, y=y - 2.5, width=b - a, height=5, rx=2.5, class_=colour, opacity=0.45)
    shapes = {
        "deploy": f"M{a:.1f} {y - 6:.1f}l6 6-6 6-6-6z",
        "alert": f"M{a:.1f} {y - 6:.1f}l6 11h-12z",
        "incident": f"M{a:.1f} {y - 6:.1f}l6 11h-12z",
        "config": f"M{a - 5:.1f} {y - 5:.1f}h10v10h-10z",
        "flag": f"M{a - 4:.1f} {y - 6:.1f}h10l-3 3.5 3 3.5h-7v6h-3z",
    }
    glyph = el("path", d=shapes[mark.kind], class_=f"wb-mark {colour}") if mark.kind in shapes else el(
        "circle", cx=a, cy=y, r=4.5, class_=f"wb-mark {colour}"
    )  # fmt: skip
    return el("g", _tip(mark), long, glyph, _words(label, a, max(a, b), y, left))


def _episode(mark: Mark, a: float, b: float, y: float, label: str, left: bool) -> Safe:
    strength = 0.35 + 0.6 * min(mark.score, 20.0) / 20.0
    bar = el("rect", x=a, y=y - 5, width=max(b - a, 3.0), height=10, rx=3, class_="wb-fill-bad", opacity=strength)
    return el("g", _tip(mark), bar, _words(label, a, max(b, a + 3), y, left))
