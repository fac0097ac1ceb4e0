"""Count what a recording holds, by decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from datasets.shop.framing import read_recording
from workbench.sources.pprof_schema import parse_profile


def spans(folder: Path) -> Iterator[Any]:
    """Every span of a recording."""
    for body in read_recording(folder / "traces.otlp.zst"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def log_records(folder: Path) -> Iterator[Any]:
    """Every log record of a recording."""
    for body in read_recording(folder / "logs.otlp.zst"):
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource.scope_logs:
                yield from scope.log_records


def metrics(folder: Path) -> Iterator[Any]:
    """Every metric of every export of a recording."""
    for body in read_recording(folder / "metrics.otlp.zst"):
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def points(metric: Any) -> Any:
    """Return the data points of a metric, whatever its kind."""
    return getattr(metric, metric.WhichOneof("data")).data_points


def profiles(folder: Path) -> Iterator[Any]:
    """Every profile of a recording."""
    for body in read_recording(folder / "profiles.pprof.zst"):
        yield parse_profile(body)


def count(folder: Path) -> dict[str, int]:
    """Spans, traces, metric points, log records and profiles of a recording."""
    trace_ids: set[bytes] = set()
    span_count = 0
    for span in spans(folder):
        span_count += 1
        trace_ids.add(span.trace_id)
    return {
        "spans": span_count,
        "traces": len(trace_ids),
        "metric points": sum(len(points(metric)) for metric in metrics(folder)),
        "log records": sum(1 for _ in log_records(folder)),
        "profiles": sum(1 for _ in profiles(folder)),
    }
