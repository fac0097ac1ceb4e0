"""The service map as text and as static markup."""

from __future__ import annotations

import itertools
import math

from workbench.panels.data import MapEdge, MapNode, ServiceMapData
from workbench.panels.escape import clean, clip, fit, text_width
from workbench.panels.markup import Safe, el, join
from workbench.panels.static.frame import details, fragment, legend, note, svg, swatch, table
from workbench.panels.units import duration, likelihood, number, ratio, share, span

__all__ = [
    "edge_figures",
    "edge_state",
    "extent",
    "failing",
    "html",
    "node_figures",
    "place",
    "radius",
    "route",
    "text",
    "under",
]

_GAP_X, _GAP_Y, _LEFT, _TOP = 196.0, 114.0, 84.0, 50.0

_URGENCY = ("bad", "warn", "", "less")
_TONE = {"bad": "wb-redtext", "warn": "wb-warntext", "less": "wb-faint"}
_PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)

Box = tuple[float, float, float, float]


def text(data: ServiceMapData) -> str:
    """Return the map as lines of text: suspects first, then every call."""
    lines = [clean(data.title), *([span(*data.window)] if data.window is not None else [])]
    for node in sorted((n for n in data.nodes if n.rank), key=lambda n: n.rank):
        likely = "" if math.isnan(node.probability) else f" ({likelihood(node.probability)})"
        lines.append(f"  suspect {node.rank}: {clip(clean(node.service), 60)}{likely}, {node_figures(node)}")
    width = max((len(_pair(e)) for e in data.edges), default=0)
    lines += [f"  {_pair(edge):{width}}  {edge_figures(edge)}" for edge in data.edges]
    lines += [f"  {clip(clean(n.service), 60)}  {node_figures(n)}" for n in data.nodes if not data.edges and not n.rank]
    return "\n".join([*lines, *([clean(data.note)] if data.note else [])])


def _pair(edge: MapEdge) -> str:
    return f"{clip(clean(edge.caller), 40)} \u2192 {clip(clean(edge.callee), 40)}"


def node_figures(node: MapNode) -> str:
    """Return one line about a node: rate, errors, p95, each with its change."""
    said = _figures(
        node.rate, node.error_share, node.p95_ns, node.rate_before, node.error_share_before, node.p95_before_ns
    )
    return f"{said}, {share(node.failed)} of calls to it fail" if node.failed >= 0.001 else said


def failing(item: MapEdge | MapNode) -> tuple[float, float]:
    """Return the share that fails now and before: of an edge its calls, of a node the calls to it."""
    pair = (
        (item.failed, item.failed_before) if isinstance(item, MapNode) else (item.error_share, item.error_share_before)
    )
    return pair[0] if math.isfinite(pair[0]) else 0.0, pair[1] if math.isfinite(pair[1]) else 0.0


def edge_figures(edge: MapEdge) -> str:
    """Return one line about an edge: rate, errors, p95, each with its change."""
    return _figures(
        edge.rate, edge.error_share, edge.p95_ns, edge.rate_before, edge.error_share_before, edge.p95_before_ns
    )


def _figures(rate: float, errors: float, p95: float, rate0: float, errors0: float, p950: float) -> str:
    parts = [f"{number(rate)}/s {ratio(rate, rate0)}".rstrip()]
    if rate == 0 and rate0 > 0:
        parts = [f"no calls, {number(rate0)}/s before"]
    elif rate0 == 0:
        parts = [f"{number(rate)}/s, none before"]
    if errors > 0 or errors0 > 0:
        before = f" (before {share(errors0)})" if math.isfinite(errors0) and abs(errors - errors0) > 0.002 else ""
        parts.append(f"{share(errors)} errors{before}")
    if math.isfinite(p95):
        parts.append(f"p95 {duration(p95)} {ratio(p95, p950)}".rstrip())
    return ", ".join(parts)


def edge_state(edge: MapEdge | MapNode) -> str:
    """Return "bad" where calls fail more than before, "warn" where it slowed to double or calls tripled.

    "less" is where it merely gets less than a third of its calls, "" where nothing changed much.
    """
    now, before = failing(edge)
    if now - before >= 0.02:
        return "bad"
    if edge.rate_before > 0 and edge.rate < 0.33 * edge.rate_before:
        return "less"
    slower = edge.p95_ns >= 2 * edge.p95_before_ns
    return "warn" if slower or (edge.rate_before > 0 and edge.rate > 3 * edge.rate_before) else ""


def radius(node: MapNode, busiest: float) -> float:
    """Return the radius of a node in pixels: its area grows with its traffic."""
    return 13.0 + 13.0 * math.sqrt(max(node.rate, 0.0) / busiest) if busiest > 0 else 16.0


def html(data: ServiceMapData) -> str:
    """Return the map as a fragment: one picture, and its calls as a table."""
    sub = span(*data.window) if data.window is not None else ""
    if data.compared:
        sub += " \u00b7 arrows compare with the baseline"
    if not data.nodes:
        return fragment("service_map", data.title, sub, note(data.note))
    entries = [
        swatch("ok", "healthy share"),
        swatch("bad", "share of calls that fail") if data.accused else None,
        swatch("warn", "slower, or more traffic"),
        swatch("less", "less traffic"),
    ]
    if any(n.rank for n in data.nodes):
        entries.append(swatch("ring", "suspect"))
    rows = [(clean(e.caller), clean(e.callee), clean(e.connection) or "call", edge_figures(e)) for e in data.edges]
    listed = table("Calls", ("caller", "callee", "connection", "calls, errors, latency"), rows)
    return fragment(
        "service_map", data.title, sub, _picture(data), legend(*entries), note(data.note) if data.note else None,
        details(f"{len(rows)} connections as a table", listed),
    )  # fmt: skip


def place(point: tuple[float, float]) -> tuple[float, float]:
    """Return a point of the layout in pixels."""
    return _LEFT + point[0] * _GAP_X, _TOP + point[1] * _GAP_Y


def extent(data: ServiceMapData) -> tuple[float, float, float]:
    """Return width and height of the picture in pixels, and how far bends above the topmost node lift everything."""
    points = [p for e in data.edges for p in e.path] + [(n.x, n.y) for n in data.nodes] or [(0.0, 0.0)]
    lift = -min(min(y for _, y in points), 0.0) * _GAP_Y
    width = max(2 * _LEFT + max(x for x, _ in points) * _GAP_X, 420.0)
    return width, _TOP + max(y for _, y in points) * _GAP_Y + 86.0 + lift, lift


def _picture(data: ServiceMapData) -> Safe:
    busiest = max((n.rate for n in data.nodes if math.isfinite(n.rate)), default=0.0)
    sizes = {n.service: radius(n, busiest) for n in data.nodes}
    width, height, lift = extent(data)
    taken = [box for n in data.nodes for box in _node_boxes(n, sizes[n.service])]
    order = sorted(data.edges, key=lambda e: (_URGENCY.index(edge_state(e)), -e.rate, e.caller, e.callee))
    labels = join(_edge_label(e, sizes, taken) for e in order)
    edges = join(_edge(e, sizes, busiest) for e in data.edges)
    nodes = join(_node(n, sizes[n.service]) for n in data.nodes)
    body = el("g", edges, nodes, labels, transform=f"translate(0 {lift:.1f})")
    title = f"{clean(data.title)}: {len(data.nodes)} services, {len(data.edges)} connections"
    if not data.accused:
        body = el("g", body, class_="wb-neutral")
    return svg(title, width, height, body, wide=width > 980, least=width > 700)


def _node_boxes(node: MapNode, size: float) -> tuple[Box, Box]:
    """Return what a node covers: its circle, and the lines of text under it."""
    x, y = place((node.x, node.y))
    lines = [fit(node.service, 150, 11.5), *under(node)]
    half, rim = max(text_width(line, 11) for line in lines) / 2, size + 9
    return (x - rim, y - rim, x + rim, y + rim), (
        x - half,
        y + size + 4,
        x + half,
        y + size + 26 + 12 * (len(lines) - 1),
    )


def route(edge: MapEdge, sizes: dict[str, float]) -> list[tuple[float, float]]:
    """Return the path of an edge in pixels, from rim to rim."""
    points = [place(p) for p in edge.path]
    if len(points) == 1:
        return points
    toward = 1.0 if points[-1][0] >= points[0][0] else -1.0
    points[0] = (points[0][0] + toward * (sizes[edge.caller] + 4), points[0][1])
    points[-1] = (points[-1][0] - toward * (sizes[edge.callee] + 9), points[-1][1])
    return points


def _edge(edge: MapEdge, sizes: dict[str, float], busiest: float) -> Safe:
    state = edge_state(edge)
    points = route(edge, sizes)
    wide = 1.2 + 2.6 * math.sqrt(max(edge.rate, 0.0) / busiest) if busiest > 0 else 1.5
    tail = f"-{state}" if state else ""
    dashed = "4 4" if edge.rate == 0 else None
    tip = el("title", f"{_pair(edge)}: {edge_figures(edge)}")
    if len(points) == 1:
        (x, y), size = points[0], sizes[edge.caller]
        d = f"M{x - 7:.1f} {y - size:.1f}c-14 -30 28 -30 14 0"
        return el("g", tip, el("path", d=d, class_=f"wb-edge wb-edge{tail}", stroke_width=wide))
    d = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        bend = (x1 - x0) * 0.45
        d += f"C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    x, y = points[-1]
    way = 1 if points[-1][0] >= points[-2][0] else -1
    head = f"M{x + way * 6:.1f} {y:.1f}l{-way * 8} -4.5v9z"
    line = el("path", d=d, class_=f"wb-edge wb-edge{tail}", stroke_width=wide, stroke_dasharray=dashed)
    return el("g", tip, line, el("path", d=head, class_=f"wb-tip wb-tip{tail}"))


def _jump(item: MapEdge | MapNode) -> str:
    """Return how the rate changed where it at least doubled or halved, else ""."""
    much = item.rate_before > 0 and not 0.5 < item.rate / item.rate_before < 2
    return ratio(item.rate, item.rate_before) if much else ""


def _at(points: list[tuple[float, float]], part: float) -> tuple[float, float]:
    """Return the point a part of the way along the path; a cubic with level ends is near enough to a smooth step."""
    where = part * (len(points) - 1)
    leg = min(int(where), len(points) - 2)
    t = where - leg
    (x0, y0), (x1, y1) = points[leg], points[leg + 1]
    return x0 + (x1 - x0) * t, y0 + (y1 - y0) * (3 * t * t - 2 * t**3)


def _edge_label(edge: MapEdge, sizes: dict[str, float], taken: list[Box]) -> Safe | None:
    """Return the figures of an edge beside its middle, or nothing where every place is taken; the tip has them all."""
    points = route(edge, sizes)
    if len(points) == 1:
        return None
    first = f"{number(edge.rate)}/s {_jump(edge)}".rstrip()
    if edge.rate == 0:
        first = "no calls"
    if edge.error_share >= 0.001:
        first += f" \u00b7 {share(edge.error_share)} err"
    second = (
        f"{duration(edge.p95_ns)} {ratio(edge.p95_ns, edge.p95_before_ns)}".rstrip()
        if math.isfinite(edge.p95_ns)
        else ""
    )
    half = max(text_width(first, 10), text_width(second, 10)) / 2 + 2
    state = edge_state(edge)
    # What fails is always told, if need be over something else; the labels of others give way.
    for part, force in (*((place, False) for place in _PLACES), *(((0.5, True),) if state == "bad" else ())):
        x, y = _at(points, part)
        box = (x - half, y - 15, x + half, y + 14)
        if force or not any(box[0] < b[2] and box[2] > b[0] and box[1] < b[3] and box[3] > b[1] for b in taken):
            taken.append(box)
            tone = _TONE.get(state, "wb-dim")
            lines = (first, second) if second else (first,)
            plate = el("rect", x=x - half, y=y - 13, width=2 * half, height=13.0 * len(lines), rx=3, class_="wb-plate")
            return el("g", plate, *(
                el("text", line, x=x, y=y - 3 + 12 * i, text_anchor="middle", class_=f"wb-small {tone}".strip())
                for i, line in enumerate(lines)
            ))  # fmt: skip
    return None


def _node(node: MapNode, size: float) -> Safe:
    x, y = place((node.x, node.y))
    kind = "" if node.kind == "service" else f", {clean(node.kind)}"
    tip = el("title", f"{clean(node.service)}{kind}: {node_figures(node)}")
    outline = "wb-node"
    if node.kind not in ("service", "database", "messaging"):
        outline += " wb-node-virtual"
    elif node.rate == 0:
        outline += " wb-node-quiet"
    elif edge_state(node) in ("warn", "less"):
        outline += f" wb-node-{edge_state(node)}"
    errors = failing(node)[0]
    parts = [tip, *_suspect(node, x, y, size), _shape(node, x, y, size, outline)]
    if errors > 0.001:
        parts.append(el("circle", cx=x, cy=y, r=size, class_="wb-tint", opacity=min(0.08 + 0.5 * errors, 0.45)))
        parts.append(_arc(x, y, size, min(errors, 0.9999)))
    low = y + size + (8 if node.rank else 0)
    middle = duration(node.p95_ns) if math.isfinite(node.p95_ns) and node.p95_ns > 0 else ""
    if text_width(middle, 9.5) <= 2 * size - 2:
        parts.append(el("text", middle, x=x, y=y + 3.5, text_anchor="middle", class_="wb-small"))
    parts.append(
        el("text", fit(node.service, 150, 11.5), x=x, y=low + 15, text_anchor="middle", class_="wb-strong wb-halo")
    )
    tone = _TONE.get(edge_state(node), "wb-dim")
    parts += [
        el("text", line, x=x, y=low + 28 + 12 * i, text_anchor="middle", class_=f"wb-small wb-halo {tone}")
        for i, line in enumerate(under(node))
    ]
    return el("g", *parts, data_service=clean(node.service))


def under(node: MapNode) -> list[str]:
    """Return the lines under a node's name: rate, what fails of the calls to it, change of latency."""
    failed = failing(node)[0]
    lost = [f"{share(failed)} of calls to it fail"] if failed >= 0.001 else []
    if node.rate == 0:
        return [*(["serves nothing"] if node.rate_before > 0 else []), *lost]
    first = f"{number(node.rate)}/s {_jump(node)}".rstrip()
    slower = ratio(node.p95_ns, node.p95_before_ns)
    return [first, *lost, *([f"p95 {duration(node.p95_ns)} {slower}"] if slower else [])]


def _suspect(node: MapNode, x: float, y: float, size: float) -> list[Safe]:
    if not node.rank:
        return []
    return [
        el("circle", cx=x, cy=y, r=size + 7, class_="wb-ring", opacity=1.0 if node.rank == 1 else 0.55),
        el("circle", cx=x + size + 3, cy=y - size - 3, r=8.5, class_="wb-badge"),
        el("text", str(node.rank), x=x + size + 3, y=y - size + 0.6, text_anchor="middle", class_="wb-badgetext"),
    ]


def _shape(node: MapNode, x: float, y: float, size: float, outline: str) -> Safe:
    if node.kind == "database":
        w, h, lid = size * 0.92, size * 0.95, size * 0.3
        d = (
            f"M{x - w:.1f} {y - h + lid:.1f}a{w:.1f} {lid:.1f} 0 0 1 {2 * w:.1f} 0v{2 * (h - lid):.1f}"
            f"a{w:.1f} {lid:.1f} 0 0 1 {-2 * w:.1f} 0z"
            f"M{x - w:.1f} {y - h + lid:.1f}a{w:.1f} {lid:.1f} 0 0 0 {2 * w:.1f} 0"
        )
        return el("path", d=d, class_=outline)
    if node.kind == "messaging":
        w = size * 1.1
        return el("rect", x=x - w, y=y - size * 0.72, width=2 * w, height=size * 1.44, rx=size * 0.72, class_=outline)
    return el("circle", cx=x, cy=y, r=size, class_=outline)


def _arc(x: float, y: float, size: float, part: float) -> Safe:
    """Return the failed share as an arc of the rim, clockwise from the top."""
    angle = 2 * math.pi * part
    end = (x + size * math.sin(angle), y - size * math.cos(angle))
    large = 1 if part > 0.5 else 0
    d = f"M{x:.1f} {y - size:.1f}A{size:.1f} {size:.1f} 0 {large} 1 {end[0]:.1f} {end[1]:.1f}"
    return el("path", d=d, class_="wb-arc")
