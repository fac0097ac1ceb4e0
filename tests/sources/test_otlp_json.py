"""OTLP/JSON: the same rows as protobuf, however ids, numbers and names are spelled."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings

from tests.sources.otlp_strategies import metric_requests, trace_requests
from tests.testing.examples import otlp_logs, otlp_traces
from workbench.errors import SourceError
from workbench.signals import Batch, check_batch, concat_batches
from workbench.sources import ReadOptions, decode_otlp, read
from workbench.sources.otlp_json import OtlpJson


def read_json(*documents: Any) -> Batch:
    data = "\n".join(json.dumps(document) for document in documents).encode()
    return check_batch(concat_batches(list(OtlpJson().read(io.BytesIO(data), "x.json", ReadOptions()))))


def hex_ids(value: Any) -> Any:
    """Protobuf's JSON, ids as OTLP wants them."""
    if isinstance(value, list):
        return [hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        k: base64.b64decode(v).hex().upper() if k in ("traceId", "spanId", "parentSpanId") else hex_ids(v)
        for k, v in value.items()
    }


@settings(max_examples=30)
@given(trace_requests())
def test_spans_equal_those_of_protobuf(request: Any) -> None:
    wanted = decode_otlp(request.SerializeToString(), "traces").spans
    plain = MessageToDict(request)
    snake = MessageToDict(request, preserving_proto_field_name=True, use_integers_for_enums=True)
    for document in (plain, hex_ids(plain), snake):
        if wanted is None:
            assert read_json(document).spans is None
        else:
            found = read_json(document).spans
            assert found is not None
            assert found.equals(wanted)


@settings(max_examples=20)
@given(metric_requests())
def test_points_equal_those_of_protobuf(request: Any) -> None:
    wanted = decode_otlp(request.SerializeToString(), "metrics").metrics
    found = read_json(MessageToDict(request)).metrics
    assert wanted is not None
    assert found is not None
    assert found.to_frame().equals(wanted.to_frame())


def test_examples_of_the_specification(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    for name in ("trace", "metrics", "logs", "events"):
        for _, batch in read(shared_data / "traces" / "otlp" / f"{name}.json"):
            check_batch(batch)
            counts.update(batch.counts())
            if name == "trace":
                row = batch.spans.iloc[0]
                assert (row["trace_id"], row["parent_span_id"]) == (
                    "5b8efff798038103d269b633813fc60c",
                    "eee19b7ec3c1b173",
                )
                assert (row["service"], row["my.span.attr"], row["kind"]) == ("my.service", "some value", "server")
            if name == "logs":
                row = batch.logs.iloc[0]
                assert (row["int.attribute"], row["double.attribute"], row["boolean.attribute"]) == (10, 637.704, True)
                assert json.loads(row["map.attribute"]) == {"some.map.key": "some value"}
    assert counts["metrics"] == 8
    assert (counts["spans"], counts["logs"]) == (1, 2)


def test_collector_lines(tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    lines = ["{broken", json.dumps(MessageToDict(otlp_traces(2))), json.dumps(MessageToDict(otlp_logs(["a"]))), "[1]"]
    file.write_text("\n".join(lines))
    whole = concat_batches([batch for _, batch in read(file)])
    assert {s: n for s, n in whole.counts().items() if n} == {"spans": 2, "logs": 1}
    assert whole.skips == {"line that is not valid JSON": 1, "JSON value that is no OTLP request": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("startTimeUnixNano", "soon"), ("startTimeUnixNano", -1), ("startTimeUnixNano", 1e30), ("kind", True),
        ("traceId", "no id at all!"), ("name", 5), ("attributes", "x"), ("kind", "SPAN_KIND_ODD"), ("endTimeUnixNano", {}),
    ],
)  # fmt: skip
def test_a_bad_span_is_left_out_alone(field: str, value: Any) -> None:
    document = MessageToDict(otlp_traces(3))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][1][field] = value
    batch = read_json(document)
    assert batch.counts()["spans"] == 2
    assert batch.skips == {"OTLP/JSON Span that cannot be read": 1}


def test_hostile_documents() -> None:
    document = MessageToDict(otlp_logs(["x", "b"]))
    record = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    record["body"] = {"stringValue": "\ud800<script>"}
    record["attributes"] = [{"key": "a", "value": {"doubleValue": "NaN"}}, {"key": "b", "value": {"intValue": "12"}}]
    batch = read_json(document)
    assert batch.logs is not None
    assert sorted(batch.logs["body"]) == ["?<script>", "b"]
    deep: Any = {"stringValue": "x"}
    for _ in range(200):
        deep = {"arrayValue": {"values": [deep]}}
    record["body"] = deep
    assert read_json(document).skips == {"OTLP/JSON AnyValue that cannot be read": 1}
    for text in ("[" * 100_000, '{"resourceSpans": 5}', '{"resourceSpans": [', "{}", "5"):
        with pytest.raises(SourceError):
            list(OtlpJson().read(io.BytesIO(text.encode()), "x.json", ReadOptions()))
