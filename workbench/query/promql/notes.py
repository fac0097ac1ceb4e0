"""What an evaluation tells its reader beside the result: warnings and remarks, worded as Prometheus does."""

from __future__ import annotations

import numpy as np

from workbench.query.promql.ast import Node
from workbench.query.promql.values import Floats

__all__ = ["Notes"]


class Notes:
    """Notes on one expression, each once, with the line and column they refer to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: dict[str, None] = {}

    def lines(self) -> list[str]:
        """Return all notes in the order they came up."""
        return list(self._lines)

    def warn(self, message: str, node: Node) -> None:
        """Note that the result is probably not what was wanted."""
        self._add("warning", message, node)

    def inform(self, message: str, node: Node) -> None:
        """Note something about the input that the result rests on."""
        self._add("info", message, node)

    def quantile(self, q: Floats, node: Node) -> None:
        """Warn when a quantile lies outside 0 to 1."""
        for value in np.unique(q[~((q >= 0) & (q <= 1))])[:1]:
            shown = {np.inf: "+Inf", -np.inf: "-Inf"}.get(value, "NaN" if np.isnan(value) else f"{value:g}")
            self.warn(f"quantile value should be between 0 and 1, got {shown}", node)

    def _add(self, kind: str, message: str, node: Node) -> None:
        before = self.text[: node.start]
        line, column = before.count("\n") + 1, node.start - (before.rfind("\n") + 1) + 1
        self._lines[f"PromQL {kind}: {message} ({line}:{column})"] = None
