"""Samples of one exposition under way; both dialects end here."""

from __future__ import annotations

from collections import Counter

import numpy as np

from workbench.signals import Batch
from workbench.signals.names import from_prometheus
from workbench.sources.exposition_lines import LineError, number
from workbench.sources.labels import SeriesTable, bound_text
from workbench.sources.source import ReadOptions

__all__ = ["Scrape"]


class Scrape:
    """Collects samples; labels stay verbatim, bounds are written as Prometheus 3 does."""

    def __init__(self, options: ReadOptions) -> None:
        self._table = SeriesTable(options)
        self._now = int(options.time.astype(np.int64))
        self._series: list[int] = []
        self._time: list[int] = []
        self._value: list[float] = []
        self.skips: Counter[str] = Counter()

    def add(
        self, name: str, labels: dict[str, str], value: float, time: int | None, family: str, kind: str, unit: str
    ) -> None:
        """Add one sample of a family; `time` in ns since 1970, None for the time of the scrape."""
        bound = "le" if kind == "histogram" and name == family + "_bucket" else "quantile" if kind == "summary" else ""
        renamed = {from_prometheus(label): text for label, text in labels.items()}
        if bound and bound in labels:
            try:
                renamed[bound] = bound_text(number(labels[bound]))
            except LineError:
                self.skips[f"label {bound} that is no number kept as it is"] += 1
        self._series.append(self._table.row({**renamed, "metric": name}, _KINDS.get(kind, "unknown"), unit))
        self._time.append(self._now if time is None else time)
        self._value.append(value)

    def batch(self) -> Batch:
        """Return everything added as one batch."""
        big = np.array([min(max(t, -1), 2**63 - 1) for t in self._time], np.int64)
        series, value = np.asarray(self._series, np.int64), np.asarray(self._value, np.float64)
        samples = self._table.samples(series, big, value, self.skips)
        return Batch(metrics=samples, skips=self.skips)


_KINDS = {
    "counter": "counter", "gauge": "gauge", "histogram": "histogram", "summary": "summary",
    "gaugehistogram": "gauge", "info": "gauge", "stateset": "gauge",
}  # fmt: skip
