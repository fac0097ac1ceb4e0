"""The two anywidgets: typed state in, the reader's choice back out.

State holds cleaned text, numbers and binary arrays. The modules paint text on a canvas or set `textContent`; they load
nothing, so a view works offline and in every front end that knows widgets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from workbench.panels.data import FlameData, ServiceMapData

__all__ = ["FlameWidget", "ServiceMapWidget"]

_HERE = Path(__file__).parent


class FlameWidget(anywidget.AnyWidget):
    """A flame graph on a canvas.

    Attributes
    ----------
    selected : int
        Row of the frame that was clicked, -1 for none.
    query : str
        What the search box holds; `matched` is the share of the graph it matches, recursion counted once.
    """

    _esm = _HERE / "flame.js"

    title = traitlets.Unicode("").tag(sync=True)
    subtitle = traitlets.Unicode("").tag(sync=True)
    compared = traitlets.Bool(False).tag(sync=True)
    total = traitlets.Unicode("").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    files = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x0 = traitlets.Bytes(b"").tag(sync=True)
    x1 = traitlets.Bytes(b"").tag(sync=True)
    depth = traitlets.Bytes(b"").tag(sync=True)
    parent = traitlets.Bytes(b"").tag(sync=True)
    name = traitlets.Bytes(b"").tag(sync=True)
    file = traitlets.Bytes(b"").tag(sync=True)
    share = traitlets.Bytes(b"").tag(sync=True)
    own = traitlets.Bytes(b"").tag(sync=True)
    delta = traitlets.Bytes(b"").tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    query = traitlets.Unicode("").tag(sync=True)
    matched = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, data: FlameData, **state: Any) -> None:
        super().__init__(**state)
        self._data = data

    def selection(self) -> pd.DataFrame:
        """Return the clicked frame and all beneath it (everything when nothing is clicked), one row per frame."""
        data = self._data
        frame = pd.DataFrame(
            {
                "function": pd.Series(data.function, dtype="str"), "file": pd.Series(data.file, dtype="str"),
                "line": data.line, "depth": data.depth, "self": data.self_value, "total": data.value,
            }
        )  # fmt: skip
        if data.before is not None and data.after is not None:
            frame = frame.assign(before=data.before, after=data.after)
        row = self.selected
        if not 0 <= row < len(frame):
            return frame
        deeper = data.depth[row + 1 :] <= data.depth[row]
        end = row + 1 + (int(deeper.argmax()) if deeper.any() else len(deeper))
        return frame.iloc[row:end]


class ServiceMapWidget(anywidget.AnyWidget):
    """A service map on a canvas; `selected` is the name of the service that was clicked, "" for none."""

    _esm = _HERE / "service_map.js"

    title = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    nodes: Any = traitlets.List().tag(sync=True)
    edges: Any = traitlets.List().tag(sync=True)
    width = traitlets.Float(0.0).tag(sync=True)
    height = traitlets.Float(0.0).tag(sync=True)
    lift = traitlets.Float(0.0).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)

    def __init__(self, data: ServiceMapData, **state: Any) -> None:
        super().__init__(**state)
        self._data = data
        self._real = {
            state_node["name"]: node.service for state_node, node in zip(state["nodes"], data.nodes, strict=True)
        }

    def selection(self) -> pd.DataFrame:
        """Return the calls to and from the selected service (all calls when none is), one row per connection."""
        service = self._real.get(self.selected)
        rows = [e for e in self._data.edges if service is None or service in (e.caller, e.callee)]
        names = ("caller", "callee", "connection", "rate", "error_share", "p95_ns", "rate_before", "p95_before_ns")
        return pd.DataFrame({n: [getattr(e, n) for e in rows] for n in names})
