"""What an evaluation tells its reader beside the result: warnings and remarks, worded as Prometheus does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import numpy as np

from workbench.query.promql.ast import Node, bare
from workbench.query.promql.values import NAME, Bools, Floats, Labels

__all__ = ["Notes", "plain"]

_SERIES: Final = {
    "mixed_samples": ("warning", "encountered a mix of histograms and floats for metric name {name}"),
    "mixed_buckets": (
        "warning",
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name}",
    ),
    "not_counter": ("warning", "this native histogram metric is not a counter: {name}"),
    "not_gauge": ("warning", "this native histogram metric is not a gauge: {name}"),
    "ignored_in_range": (
        "info", "ignored histograms in a range containing both floats and histograms for metric name {name}",
    ),
    "no_counter_name": (
        "info", "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}",
    ),
    "overlapping_start": ("warning", "start timestamps overlap with previous samples for metric name {name}"),
    "classic_and_native": (
        "warning", "vector contains a mix of classic and native histograms{for_name}",
    ),
    "quantile_nan": ("info", "input to histogram_quantile has NaN observations, result is NaN{for_name}"),
    "quantile_skewed": (
        "info", "input to histogram_quantile has NaN observations, result is skewed higher{for_name}",
    ),
    "fraction_nan": (
        "info", "input to histogram_fraction has NaN observations, which are excluded from all fractions{for_name}",
    ),
}  # fmt: skip
"""Notes about series: kind and message."""

_DOCS = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


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

    def series(self, what: str, labels: Labels, which: Bools, node: Node) -> None:
        """Note something about some series, once per metric name."""
        if not which.any():
            return
        kind, message = _SERIES[what]
        for name in dict.fromkeys(labels.column(NAME)[which].tolist()):
            quoted = json.dumps(name, ensure_ascii=False)
            for_name = f" for metric name {quoted}" if name else ""
            self._add(kind, message.format(name=quoted, for_name=for_name), node)

    def reconciled(self, operation: str, node: Node) -> None:
        """Note that custom buckets with other bounds were brought together."""
        self.inform(f"mismatched custom buckets were reconciled during {operation}", node)

    def collided(self, operation: str, node: Node) -> None:
        """Note that histograms said both that a counter was reset and that it was not."""
        self.warn(f"conflicting counter resets during histogram {operation}", node)

    def quantile(self, q: Floats, node: Node) -> None:
        """Warn when a quantile lies outside 0 to 1."""
        bad = q[~((q >= 0) & (q <= 1))]
        ends = [np.nan] if np.isnan(bad).any() else []
        ends += [f(bad) for f in (np.nanmin, np.nanmax)] if not np.isnan(bad).all() else []
        for value in dict.fromkeys(v for v in ends if not 0 <= v <= 1):
            self.warn(f"quantile value should be between 0 and 1, got {plain(float(value))}", node)

    def ratio(self, r: Floats, node: Node) -> None:
        """Warn when a ratio lies outside -1 to 1."""
        for value, capped in ((r.max(), 1), (r.min(), -1)):
            if value * capped > 1:
                message = f"ratio value should be between -1 and 1, got {plain(float(value))}, capping to {capped}"
                self.warn(message, node)

    def repaired(self, name: str, bounds: tuple[float, float], worst: float, times: np.ndarray, node: Node) -> None:
        """Note that the counts of a classic histogram fell, where (bucket bounds) and when (nanoseconds, rising)."""
        where = f" for metric name {json.dumps(name, ensure_ascii=False)}" if name else ""
        first, last = (datetime.fromtimestamp(int(t) // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for t in
                       (times[0], times[-1]))  # fmt: skip
        self.inform(
            f"input to histogram_quantile needed to be fixed for monotonicity (see {_DOCS}){where}, from buckets"
            f" {plain(bounds[0])} to {plain(bounds[1])}, with a max diff of {worst:.2g}, over {len(times)} samples"
            f" from {first} to {last}",
            node,
        )

    def sorting(self, node: Node) -> None:
        """Warn that sorting does nothing in a range query."""
        self.warn("sort is ineffective for range queries since results are always ordered by labels", node)

    def _add(self, kind: str, message: str, node: Node) -> None:
        node = bare(node)
        before = self.text[: node.start]
        line, column = before.count("\n") + 1, node.start - (before.rfind("\n") + 1) + 1
        self._lines[f"PromQL {kind}: {message} ({line}:{column})"] = None


def plain(value: float) -> str:
    """Return a number as Go's `%g` spells it in messages."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
