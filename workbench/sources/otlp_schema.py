"""The three OTLP requests: their message classes, loaded when needed, and how plausible a decoded one is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any

from workbench.signals.time import MAX_NS

__all__ = ["REQUESTS", "plausible", "records", "request_class"]

REQUESTS = {
    "traces": ("trace", "ExportTraceServiceRequest"),
    "metrics": ("metrics", "ExportMetricsServiceRequest"),
    "logs": ("logs", "ExportLogsServiceRequest"),
}
"""Signal -> part of the module name, and class."""

_JUDGED = 50


@cache
def request_class(signal: str) -> Any:
    """Return the protobuf class of a signal's export request; a `WorkbenchWarning` tells of a slow protobuf."""
    _warn_if_slow()
    part, name = REQUESTS[signal]
    return getattr(import_module(f"opentelemetry.proto.collector.{part}.v1.{part}_service_pb2"), name)


@cache
def _warn_if_slow() -> None:
    import warnings

    from google.protobuf.internal import api_implementation

    from workbench.errors import WorkbenchWarning

    if api_implementation.Type() != "upb":
        warnings.warn(
            f"protobuf runs its {api_implementation.Type()} implementation, 10 to 50 times slower than upb: install a"
            " current protobuf wheel.",
            WorkbenchWarning,
            stacklevel=2,
        )


def plausible(request: Any, signal: str) -> float:
    """Return the share of a decoded request's first records that look right, 1.0 for a request without any."""
    judged = [_LOOKS_RIGHT[signal](record) for record in islice(records(request, signal), _JUDGED)]
    return sum(judged) / len(judged) if judged else 1.0


def records(request: Any, signal: str) -> Iterator[Any]:
    """Yield every span, metric or log record of a decoded request."""
    if signal == "traces":
        yield from (s for block in request.resource_spans for scope in block.scope_spans for s in scope.spans)
    elif signal == "metrics":
        yield from (m for block in request.resource_metrics for scope in block.scope_metrics for m in scope.metrics)
    else:
        yield from (r for block in request.resource_logs for scope in block.scope_logs for r in scope.log_records)


def _span(span: Any) -> bool:
    return len(span.trace_id) == 16 and len(span.span_id) == 8 and 0 < span.start_time_unix_nano < MAX_NS


def _metric(metric: Any) -> bool:
    return bool(metric.name) and metric.name.isprintable() and metric.WhichOneof("data") is not None


def _record(record: Any) -> bool:
    time = record.time_unix_nano or record.observed_time_unix_nano
    return 0 < time < MAX_NS and len(record.trace_id) in (0, 16) and 0 <= record.severity_number <= 24


_LOOKS_RIGHT = {"traces": _span, "metrics": _metric, "logs": _record}
