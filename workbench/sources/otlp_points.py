"""OTLP metrics to float series.

=====================  =======================================================================================
data point of a        becomes samples of
=====================  =======================================================================================
gauge                  `NAME` (kind gauge)
sum                    `NAME` (kind counter when monotonic and cumulative, else gauge)
histogram              `NAME_bucket` per bound with label `le`, cumulated, and `NAME_count`, `NAME_sum` (kind histogram)
exponential histogram  `NAME_count`, `NAME_sum` (kind histogram); its buckets are left out and counted
summary                `NAME` per `quantile`, `NAME_count`, `NAME_sum` (kind summary)
=====================  =======================================================================================

Labels are the resource's unified tags and every attribute of the point; metrics of delta temporality keep their values
and carry the label `temporality="delta"`. A point flagged as having no recorded value is Prometheus' stale marker.
Exemplars, minima and maxima are not kept.

References
----------
opentelemetry-proto: metrics.proto; Prometheus, "OTLP ingestion" for names of parts and stale markers.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np

from workbench.signals import Samples
from workbench.signals.names import RESERVED
from workbench.signals.samples import STALE_NAN
from workbench.sources.attributes import column_name
from workbench.sources.labels import SeriesTable, bound_text
from workbench.sources.otlp_parts import Parts
from workbench.sources.source import ReadOptions
from workbench.sources.values import to_text

__all__ = ["PointRows"]

_NO_VALUE = 1
_DELTA = 1

_Tags: TypeAlias = tuple[tuple[str, str], ...]
_Identity: TypeAlias = tuple[_Tags, tuple[bytes, ...]]


class PointRows:
    """Collects the data points of `ExportMetricsServiceRequest` messages; series are known across batches."""

    def __init__(self, options: ReadOptions, parts: Parts) -> None:
        self._table, self._decode = SeriesTable(options), parts
        self._keys: dict[Any, Any] = {}
        self._series: list[int] = []
        self._time: list[int] = []
        self._value: list[float] = []
        self.skips: Counter[str] = parts.skips

    def __len__(self) -> int:
        """Return the number of samples collected since the last `finish`."""
        return len(self._series)

    def add(self, request: Any) -> None:
        """Add every data point of one decoded request."""
        for block in request.resource_metrics:
            tags = tuple(sorted(self._decode.resource(block.resource)[0].items()))
            for scope in block.scope_metrics:
                for metric in scope.metrics:
                    self._metric(metric, tags)

    def _metric(self, metric: Any, tags: _Tags) -> None:
        which = metric.WhichOneof("data")
        if which is None:
            self.skips["metric without data"] += 1
            return
        if not metric.name:
            self.skips["metric without a name"] += len(getattr(metric, which).data_points)
            return
        data = getattr(metric, which)
        delta = which not in ("gauge", "summary") and data.aggregation_temporality == _DELTA
        if delta:
            tags = (*tags, ("temporality", "delta"))
        if which in ("gauge", "sum"):
            kind = "counter" if which == "sum" and data.is_monotonic and not delta else "gauge"
            self._numbers(metric, data.data_points, tags, kind)
            return
        add = {"histogram": self._histogram, "exponential_histogram": self._exponential, "summary": self._summary}[
            which
        ]
        for point in data.data_points:
            add(metric, point, (tags, tuple(point.attributes)))
            if which != "summary" and point.exemplars:
                self.skips["exemplar not kept"] += len(point.exemplars)

    def _numbers(self, metric: Any, points: Any, tags: _Tags, kind: str) -> None:
        name, unit = metric.name, metric.unit
        keys, series, time, value = self._keys, self._series, self._time, self._value
        for point in points:
            key = (name, kind, tags, tuple(point.attributes))
            row = keys.get(key)
            if row is None:
                labels = self._labels(tags, key[3], "")
                row = self._table.row({**labels, "metric": name}, kind, unit)
                if row >= 0:
                    keys[key] = row
            series.append(row)
            time.append(point.time_unix_nano)
            if point.exemplars:
                self.skips["exemplar not kept"] += len(point.exemplars)
            which = point.WhichOneof("value")
            if point.flags & _NO_VALUE or which is None:
                value.append(STALE_NAN)
            else:
                value.append(getattr(point, which))

    def _parts(self, metric: Any, identity: _Identity, kind: str, extra: tuple[float, ...]) -> list[int]:
        """Return the series rows of count, sum and one series per bound or quantile, made on first use."""
        key = (metric.name, identity, kind, extra)
        rows: list[int] | None = self._keys.get(key)
        if rows is None:
            label = "quantile" if kind == "summary" else "le"
            base, table, unit = self._labels(*identity, label), self._table, metric.unit
            rows = [
                table.row({**base, "metric": f"{metric.name}_count"}, kind, "1"),
                table.row({**base, "metric": f"{metric.name}_sum"}, kind, unit),
            ]
            name, part = (metric.name, unit) if kind == "summary" else (f"{metric.name}_bucket", "1")
            rows += [table.row({**base, "metric": name, label: bound_text(bound)}, kind, part) for bound in extra]
            if min(rows) >= 0:
                self._keys[key] = rows
        return rows

    def _put(self, rows: list[int], time: int, values: list[float]) -> None:
        self._series.extend(rows)
        self._time.extend([time] * len(rows))
        self._value.extend(values)

    def _histogram(self, metric: Any, point: Any, identity: _Identity) -> None:
        bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
        if counts and len(counts) != len(bounds) + 1:
            self.skips["histogram point whose buckets do not fit its bounds"] += 1
            return
        extra = (*bounds, math.inf) if counts else ()
        rows = self._parts(metric, identity, "histogram", extra)
        if point.flags & _NO_VALUE:
            self._put(rows, point.time_unix_nano, [STALE_NAN] * len(rows))
        elif point.HasField("sum"):
            self._put(rows, point.time_unix_nano, [point.count, point.sum, *accumulate(counts)])
        else:
            self._put([rows[0], *rows[2:]], point.time_unix_nano, [point.count, *accumulate(counts)])

    def _exponential(self, metric: Any, point: Any, identity: _Identity) -> None:
        rows = self._parts(metric, identity, "histogram", ())
        if point.flags & _NO_VALUE:
            self._put(rows, point.time_unix_nano, [STALE_NAN, STALE_NAN])
            return
        values = [point.count, point.sum] if point.HasField("sum") else [point.count]
        self._put(rows[: len(values)], point.time_unix_nano, values)
        self.skips["buckets of an exponential histogram point not kept"] += 1

    def _summary(self, metric: Any, point: Any, identity: _Identity) -> None:
        extra = tuple(item.quantile for item in point.quantile_values)
        rows = self._parts(metric, identity, "summary", extra)
        if point.flags & _NO_VALUE:
            self._put(rows, point.time_unix_nano, [STALE_NAN] * len(rows))
            return
        quantiles = [item.value for item in point.quantile_values]
        self._put(rows, point.time_unix_nano, [point.count, point.sum, *quantiles])

    def _labels(self, tags: _Tags, attributes: tuple[bytes, ...], own: str) -> dict[str, str]:
        """Return a point's labels; attributes of a name that the series needs itself get an underscore."""
        taken = (*RESERVED, "temporality", own)
        pairs = [self._decode.pair(raw) for raw in attributes]
        return {**dict(tags), **{column_name(name, taken): to_text(value) for name, value in pairs if name}}

    def finish(self) -> Samples | None:
        """Return the samples collected since the last call, or None where none is left; the rest is in `skips`."""
        series, time = np.asarray(self._series, np.int64), np.asarray(self._time, np.uint64)
        value = np.asarray(self._value, np.float64)
        self._series, self._time, self._value = [], [], []
        return self._table.samples(series, time, value, self.skips)
