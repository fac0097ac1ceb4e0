"""The messages of remote write as protobuf itself reads and writes them: the twin of the scanner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_SCALAR = {
    "string": _F.TYPE_STRING, "double": _F.TYPE_DOUBLE, "int64": _F.TYPE_INT64, "uint32": _F.TYPE_UINT32,
    "uint64": _F.TYPE_UINT64, "sint32": _F.TYPE_SINT32, "sint64": _F.TYPE_SINT64,
}  # fmt: skip
_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "Label": [(1, "name", "string"), (2, "value", "string")],
    "Sample": [(1, "value", "double"), (2, "timestamp", "int64")],
    "Exemplar": [(1, "labels", "*Label"), (2, "value", "double"), (3, "timestamp", "int64")],
    "Span": [(1, "offset", "sint32"), (2, "length", "uint32")],
    "Histogram": [
        (1, "count_int", "uint64"), (2, "count_float", "double"), (3, "sum", "double"), (4, "schema", "sint32"),
        (5, "zero_threshold", "double"), (6, "zero_count_int", "uint64"), (7, "zero_count_float", "double"),
        (8, "negative_spans", "*Span"), (9, "negative_deltas", "*sint64"), (10, "negative_counts", "*double"),
        (11, "positive_spans", "*Span"), (12, "positive_deltas", "*sint64"), (13, "positive_counts", "*double"),
        (14, "reset_hint", "uint32"), (15, "timestamp", "int64"), (16, "custom_values", "*double"),
    ],
    "TimeSeries": [
        (1, "labels", "*Label"), (2, "samples", "*Sample"), (3, "exemplars", "*Exemplar"), (4, "histograms", "*Histogram"),
    ],
    "WriteRequest": [(1, "timeseries", "*TimeSeries")],
    "Metadata": [(1, "type", "uint32"), (3, "help_ref", "uint32"), (4, "unit_ref", "uint32")],
    "Exemplar2": [(1, "labels_refs", "*uint32"), (2, "value", "double"), (3, "timestamp", "int64")],
    "TimeSeries2": [
        (1, "labels_refs", "*uint32"), (2, "samples", "*Sample"), (3, "histograms", "*Histogram"),
        (4, "exemplars", "*Exemplar2"), (5, "metadata", "Metadata"), (6, "created_timestamp", "int64"),
    ],
    "Request": [(4, "symbols", "*string"), (5, "timeseries", "*TimeSeries2")],
}  # fmt: skip


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="remote_write_twin.proto", package="twin", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            label = _F.LABEL_REPEATED if kind[0] == "*" else _F.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if kind.strip("*") in _SCALAR:
                made.type = _SCALAR[kind.strip("*")]
            else:
                made.type, made.type_name = _F.TYPE_MESSAGE, f".twin.{kind.strip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"twin.{name}")) for name in _MESSAGES}


CLASSES = _classes()

Row = tuple[Sequence[tuple[str, str]], Sequence[tuple[int, float]]]
"""Labels, and samples of (ms, value)."""


def older(rows: Sequence[Row]) -> Any:
    request = CLASSES["WriteRequest"]()
    for labels, samples in rows:
        series = request.timeseries.add()
        for name, value in labels:
            series.labels.add(name=name, value=value)
        for time, value in samples:
            series.samples.add(timestamp=time, value=value)
    return request


def newer(rows: Sequence[Row], kind: int = 0, unit: str = "") -> Any:
    request = CLASSES["Request"]()
    words = ["", *sorted({word for labels, _ in rows for pair in labels for word in pair} | {unit} - {""})]
    request.symbols.extend(words)
    for labels, samples in rows:
        series = request.timeseries.add(created_timestamp=7)
        series.labels_refs.extend([words.index(word) for pair in labels for word in pair])
        for time, value in samples:
            series.samples.add(timestamp=time, value=value)
        series.metadata.type, series.metadata.unit_ref = kind, words.index(unit)
    return request
