"""OTLP's messages in three schemas, and how plausible a decoded request is.

The official classes are one. Two variants of them are built at run time, equal on the wire: in the *raw* one everything
that repeats from row to row (attributes, resources, statuses, bodies) is left as bytes, to be decoded once per distinct
content; in the *lenient* one every text is bytes, so that text which is not UTF-8 does not make the parser refuse it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

from workbench.errors import WorkbenchWarning
from workbench.signals.time import MAX_NS

__all__ = ["REQUESTS", "lenient_class", "message_class", "plausible", "raw_class", "records", "request_class"]

REQUESTS = {
    "traces": ("trace", "ExportTraceServiceRequest"),
    "metrics": ("metrics", "ExportMetricsServiceRequest"),
    "logs": ("logs", "ExportLogsServiceRequest"),
}
"""Signal -> part of the module name, and class."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_COMMON = ".opentelemetry.proto.common.v1."
_RAW_TYPES = frozenset(
    {
        _COMMON + "KeyValue",
        ".opentelemetry.proto.resource.v1.Resource",
        ".opentelemetry.proto.trace.v1.Status",
        ".opentelemetry.proto.trace.v1.Span.Event",
        ".opentelemetry.proto.trace.v1.Span.Link",
    }
)
_JUDGED = 50


@cache
def request_class(signal: str) -> Any:
    """Return the official class of a signal's export request; a `WorkbenchWarning` tells of a slow protobuf."""
    _warn_if_slow()
    part, name = REQUESTS[signal]
    return getattr(import_module(f"opentelemetry.proto.collector.{part}.v1.{part}_service_pb2"), name)


@cache
def _warn_if_slow() -> None:
    if api_implementation.Type() != "upb":
        warnings.warn(
            f"protobuf runs its {api_implementation.Type()} implementation, 10 to 50 times slower than upb: install a"
            " current protobuf wheel.",
            WorkbenchWarning,
            stacklevel=2,
        )


@cache
def message_class(name: str) -> Any:
    """Return an official class by its short name: `KeyValue`, `AnyValue`, `Resource`, `Status`, `Event` or `Link`."""
    common = import_module("opentelemetry.proto.common.v1.common_pb2")
    resource = import_module("opentelemetry.proto.resource.v1.resource_pb2")
    trace = import_module("opentelemetry.proto.trace.v1.trace_pb2")
    return {
        "KeyValue": common.KeyValue,
        "AnyValue": common.AnyValue,
        "Resource": resource.Resource,
        "Status": trace.Status,
        "Event": trace.Span.Event,
        "Link": trace.Span.Link,
    }[name]


@cache
def raw_class(signal: str) -> Any:
    """Return the raw variant of a signal's export request."""
    return _variant(request_class(signal).DESCRIPTOR, _leave_raw)


@cache
def lenient_class(official: Any) -> tuple[Any, frozenset[str]]:
    """Return the lenient variant of an official class, and the full names of the fields that are text in truth."""
    texts: set[str] = set()

    def to_bytes(field: Any, owner: str) -> None:
        if field.type == _FIELD.TYPE_STRING:
            field.type = _FIELD.TYPE_BYTES
            texts.add(f"{owner}.{field.name}")

    return _variant(official.DESCRIPTOR, to_bytes), frozenset(texts)


def _leave_raw(field: Any, owner: str) -> None:
    inner = owner.endswith(("KeyValueList", "common.v1.InstrumentationScope"))
    body = owner.endswith(".LogRecord") and field.type_name == _COMMON + "AnyValue"
    if body or (field.type_name in _RAW_TYPES and not inner):
        field.type = _FIELD.TYPE_BYTES
        field.ClearField("type_name")


def _variant(descriptor: Any, change: Callable[[Any, str], None]) -> Any:
    pool = descriptor_pool.DescriptorPool()
    _copy(descriptor.file, pool, change, set())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _copy(file: Any, pool: Any, change: Callable[[Any, str], None], done: set[str]) -> None:
    """Add a file and those it needs to a pool of its own, every field changed."""
    if file.name in done:
        return
    done.add(file.name)
    for needed in file.dependencies:
        _copy(needed, pool, change, done)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        _change(message, f"{proto.package}.{message.name}", change)
    pool.Add(proto)


def _change(message: Any, full_name: str, change: Callable[[Any, str], None]) -> None:
    for field in message.field:
        change(field, full_name)
    for nested in message.nested_type:
        _change(nested, f"{full_name}.{nested.name}", change)


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
