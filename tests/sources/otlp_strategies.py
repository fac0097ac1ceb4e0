"""Random OTLP requests, sound ones."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

T0 = 1_714_564_800 * 10**9
NAMES = st.sampled_from(["http.route", "rpc.method", "user", "größe", "retry", "x"])
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)


def set_value(target: Any, value: Any) -> None:
    """Write a plain value into an AnyValue."""
    field = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
    setattr(target, field, value)


def add_attributes(target: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        set_value(target.add(key=name).value, value)


@st.composite
def trace_requests(draw: st.DrawFn) -> Any:
    """Spans with unique ids, some parents missing, in several resources and scopes."""
    request = ExportTraceServiceRequest()
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        block = request.resource_spans.add()
        add_attributes(block.resource.attributes, draw(st.dictionaries(NAMES, VALUES, max_size=2)))
        for _ in range(draw(st.integers(0, 2))):
            scope = block.scope_spans.add()
            for _ in range(draw(st.integers(0, 4))):
                number += 1
                start = T0 + draw(st.integers(0, 10**12))
                span = scope.spans.add(
                    name=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
                    kind=draw(st.integers(0, 5)),
                    start_time_unix_nano=start,
                    end_time_unix_nano=start + draw(st.integers(0, 10**10)),
                )
                span.trace_id = bytes([draw(st.integers(1, 3))]) * 16
                span.span_id = number.to_bytes(8, "big")
                span.parent_span_id = draw(st.sampled_from([b"", (1).to_bytes(8, "big"), b"\xff" * 8]))
                span.status.code = draw(st.integers(0, 2))
                add_attributes(span.attributes, draw(st.dictionaries(NAMES, VALUES, max_size=4)))
    return request


@st.composite
def metric_requests(draw: st.DrawFn) -> Any:
    """Gauges, sums and histograms whose points have distinct times."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    add_attributes(block.resource.attributes, {"service.name": draw(st.sampled_from(["cart", "stock"])), "other": "x"})
    scope = block.scope_metrics.add()
    numbers = st.floats(width=64).filter(lambda value: not math.isnan(value))
    for i in range(draw(st.integers(1, 4))):
        metric = scope.metrics.add(name=f"m{i}", unit="s")
        kind = draw(st.sampled_from(["gauge", "sum", "histogram"]))
        data = getattr(metric, kind)
        if kind != "gauge":
            data.aggregation_temporality = 2
        for t in range(draw(st.integers(1, 4))):
            point = data.data_points.add(time_unix_nano=T0 + t)
            add_attributes(point.attributes, draw(st.dictionaries(NAMES, st.sampled_from(["a", "b", 1]), max_size=2)))
            if kind == "histogram":
                counts = draw(st.lists(st.integers(0, 1000), min_size=3, max_size=3))
                point.explicit_bounds.extend([0.005, 2.5])
                point.bucket_counts.extend(counts)
                point.count, point.sum = sum(counts), draw(numbers)
            elif draw(st.booleans()):
                point.as_int = draw(st.integers(-(2**53), 2**53))
            else:
                point.as_double = draw(numbers)
    return request
