"""One small sound file of every built-in format."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SECOND = 10**9
T0 = 1_714_564_800 * SECOND
"""2024-05-01 12:00:00 UTC in nanoseconds."""


def _resource(item: Any, service: str) -> Any:
    """Name the service of a ResourceSpans, ResourceLogs or ResourceMetrics message."""
    for key, value in (("service.name", service), ("deployment.environment.name", "shop")):
        attribute = item.resource.attributes.add(key=key)
        attribute.value.string_value = value
    return item


def otlp_traces(
    n: int = 3, *, service: str = "cart", name: str = "GET /items", start: int = T0, duration: int = SECOND
) -> ExportTraceServiceRequest:
    """One trace: a root and its children, one second apart."""
    request = ExportTraceServiceRequest()
    scope = _resource(request.resource_spans.add(), service).scope_spans.add()
    for i in range(n):
        at = start + i * SECOND
        span = scope.spans.add(name=name, kind=2, start_time_unix_nano=at, end_time_unix_nano=max(at + duration, 0))
        span.trace_id, span.span_id = b"\x01" * 16, bytes([0, 0, 0, 0, 0, 0, 0, i + 1])
        if i:
            span.parent_span_id = bytes([0, 0, 0, 0, 0, 0, 0, 1])
        span.attributes.add(key="http.response.status_code").value.int_value = 200
    return request


def otlp_logs(bodies: list[str], *, service: str = "cart", start: int = T0) -> ExportLogsServiceRequest:
    """One record per body, one second apart."""
    request = ExportLogsServiceRequest()
    scope = _resource(request.resource_logs.add(), service).scope_logs.add()
    for i, body in enumerate(bodies):
        record = scope.log_records.add(time_unix_nano=start + i * SECOND, severity_number=9)
        record.body.string_value = body
    return request


def otlp_metrics(values: list[float], *, name: str = "queue.length", start: int = T0) -> ExportMetricsServiceRequest:
    """One gauge, one point per second."""
    request = ExportMetricsServiceRequest()
    metric = _resource(request.resource_metrics.add(), "cart").scope_metrics.add().metrics.add(name=name, unit="1")
    for i, value in enumerate(values):
        point = metric.gauge.data_points.add(time_unix_nano=start + i * SECOND)
        point.as_double = value
    return request


def _pprof() -> bytes:
    from workbench.sources.pprof_schema import Profile

    strings = ["", "cpu", "nanoseconds", "service", "cart", "main", "app.py"]
    profile = Profile(string_table=strings, time_nanos=T0, duration_nanos=SECOND, period=10**7)
    profile.sample_type.add(type=1, unit=2)
    profile.function.add(id=1, name=5, filename=6)
    profile.location.add(id=1).line.add(function_id=1, line=3)
    sample = profile.sample.add(location_id=[1], value=[5 * 10**7])
    sample.label.add(key=3, str=4)
    return bytes(profile.SerializeToString())


def _otlp_json() -> bytes:
    value = {"key": "service.name", "value": {"stringValue": "cart"}}
    record = {"timeUnixNano": str(T0), "severityNumber": 9, "body": {"stringValue": "hello"}}
    logs = {"resource": {"attributes": [value]}, "scopeLogs": [{"logRecords": [record]}]}
    return json.dumps({"resourceLogs": [logs]}).encode()


def _samples() -> bytes:
    out = io.BytesIO()
    labels = json.dumps({"__name__": "up", "job": "cart"})
    pd.DataFrame(
        {"labels": [labels] * 3, "time_ms": [T0 // 10**6 + i for i in range(3)], "value": [1.0, 0.0, 1.0]}
    ).to_parquet(out)
    return out.getvalue()


def _speedscope() -> bytes:
    profile = {"type": "sampled", "name": "cart", "unit": "nanoseconds", "startValue": 0, "endValue": 3}
    profile |= {"samples": [[0], [0, 1]], "weights": [1, 2]}
    frames = [{"name": "main", "file": "app.py", "line": 1}, {"name": "work"}]
    schema = "https://www.speedscope.app/file-format-schema.json"
    return json.dumps({"$schema": schema, "shared": {"frames": frames}, "profiles": [profile]}).encode()


EXAMPLES: dict[str, tuple[str, bytes]] = {
    "otlp": ("traces.bin", otlp_traces().SerializeToString()),
    "otlp-json": ("logs.json", _otlp_json()),
    "prometheus": ("metrics.txt", b'# TYPE up gauge\nup{job="cart"} 1\nup{job="stock"} 0\n'),
    "openmetrics": ("metrics.om", b'# TYPE up gauge\nup{job="cart"} 1\nup{job="stock"} 0\n# EOF\n'),
    "table": ("logs.csv", b"time,body,service,severity\n2024-05-01T12:00:00Z,hello,cart,INFO\n"),
    "samples": ("samples.parquet", _samples()),
    "collapsed": ("stacks.txt", b"main;handle;work 12\nmain;handle 3\n"),
    "pprof": ("cpu.pb", _pprof()),
    "speedscope": ("cpu.speedscope.json", _speedscope()),
    "events": (
        "events.json",
        b'[{"time": "2024-05-01T12:00:00Z", "kind": "deploy", "title": "v2", "service": "cart"}]',
    ),
}
"""Registered name -> file name and content."""
