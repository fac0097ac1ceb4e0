"""Live views with one canvas each: a widget whose module lies beside this file, whose state is data, never markup."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.panels.data import FlameData, HypothesesData, ServiceMapData, TemplatesData
from workbench.panels.escape import clean, clip
from workbench.panels.static import flame as flame_static
from workbench.panels.static import hypotheses as hypotheses_static
from workbench.panels.static import service_map as map_static
from workbench.panels.static import templates as templates_static
from workbench.panels.units import duration, quantity

__all__ = ["flame", "hypotheses", "service_map", "templates"]


def flame(data: FlameData) -> Any:
    """Return the flame graph as a widget: zoom on click, search, hover; `selection()` gives back what was clicked.

    Rectangles travel as binary arrays; frames narrower than half a pixel are merged when drawn, so a million are fine.
    """
    from workbench.panels.interactive.widgets import FlameWidget

    names, name_of = _interned([clip(clean(f), 300) for f in data.function])
    files, file_of = _interned([clip(clean(f), 300) for f in data.file])
    compared = data.before is not None and data.after is not None
    delta = data.after - data.before if data.before is not None and data.after is not None else np.zeros(len(data.x0))
    return FlameWidget(
        data,
        title=clip(flame_static.title(data), 200),
        subtitle=clip(clean(data.note) if not len(data.x0) else flame_static.subtitle(data), 300),
        compared=compared,
        total=quantity(data.total, data.unit),
        names=names,
        files=files,
        x0=data.x0.astype("<f8").tobytes(),
        x1=data.x1.astype("<f8").tobytes(),
        depth=data.depth.astype("<i4").tobytes(),
        parent=data.parent.astype("<i4").tobytes(),
        name=name_of.astype("<i4").tobytes(),
        file=file_of.astype("<i4").tobytes(),
        share=(data.value / data.total if data.total else data.value).astype("<f8").tobytes(),
        delta=np.asarray(delta).astype("<f8").tobytes(),
        own=(data.self_value / data.total if data.total else data.self_value).astype("<f8").tobytes(),
    )


def _interned(texts: list[str]) -> tuple[list[str], np.ndarray]:
    table: dict[str, int] = {}
    rows = np.array([table.setdefault(t, len(table)) for t in texts], np.int32)
    return list(table), rows


def service_map(data: ServiceMapData) -> Any:
    """Return the map as a widget: hover tells figures and lights the neighbours, a click selects (`selected`)."""
    from workbench.panels.interactive.widgets import ServiceMapWidget

    busiest = max((n.rate for n in data.nodes if math.isfinite(n.rate)), default=0.0)
    sizes = {n.service: map_static.radius(n, busiest) for n in data.nodes}
    number = {n.service: i for i, n in enumerate(data.nodes)}
    nodes = []
    for node in data.nodes:
        x, y = map_static.place((node.x, node.y))
        errors = map_static.failing(node)[0]
        middle = duration(node.p95_ns) if math.isfinite(node.p95_ns) and node.p95_ns > 0 else ""
        nodes.append(
            {
                "name": clip(clean(node.service), 200), "kind": clean(node.kind), "x": x, "y": y,
                "r": sizes[node.service], "errors": errors, "rank": node.rank, "state": map_static.edge_state(node),
                "middle": middle, "under": map_static.under(node), "says": map_static.node_figures(node),
            }
        )  # fmt: skip
    edges = [
        {
            "from": number[e.caller], "to": number[e.callee], "points": map_static.route(e, sizes),
            "says": map_static.edge_figures(e), "state": map_static.edge_state(e), "silent": e.rate == 0,
            "width": 1.2 + 2.6 * math.sqrt(max(e.rate, 0.0) / busiest) if busiest > 0 else 1.5,
        }
        for e in data.edges
    ]  # fmt: skip
    width, height, lift = map_static.extent(data)
    return ServiceMapWidget(
        data,
        title=clip(clean(data.title), 200),
        note=clean(data.note),
        nodes=nodes,
        edges=edges,
        width=width,
        height=height,
        lift=lift,
    )


def templates(data: TemplatesData) -> Any:
    """Return the templates as displayable markup: a table gains nothing from a script."""
    return _shown(templates_static.html(data))


def hypotheses(data: HypothesesData) -> Any:
    """Return the hypotheses as displayable markup: cards gain nothing from a script."""
    return _shown(hypotheses_static.html(data))


def _shown(markup: str) -> Any:
    from IPython.display import HTML

    return HTML(markup)  # type: ignore[no-untyped-call]
