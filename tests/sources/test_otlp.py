"""OTLP protobuf: against the official classes, row by row, and against everything that can be wrong with it."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard
from hypothesis import given, settings

from tests import naive
from tests.sources.otlp_strategies import T0, metric_requests, trace_requests
from tests.testing.examples import otlp_logs, otlp_metrics, otlp_traces
from workbench.errors import InvalidInput, LimitExceeded, SourceError
from workbench.signals import check_batch, concat_batches
from workbench.sources import ReadOptions, decode_otlp, read
from workbench.sources.otlp import OtlpProtobuf, signal_of_name
from workbench.sources.otlp_schema import records, request_class
from workbench.sources.wire import varint_bytes


def delimited(bodies: list[bytes]) -> bytes:
    """Messages each after its length."""
    return b"".join(varint_bytes(len(body)) + body for body in bodies)


def many_spans(n: int) -> Any:
    """A request of n spans with ids of their own."""
    request = otlp_traces(1)
    spans = request.resource_spans[0].scope_spans[0].spans
    for i in range(1, n):
        span = spans.add(start_time_unix_nano=T0 + i, end_time_unix_nano=T0 + i + 5)
        span.trace_id, span.span_id = b"\x01" * 16, (i + 1).to_bytes(8, "big")
    return request


def read_bytes(data: bytes, path: str, **settings_: Any) -> Any:
    """All batches of one file's unpacked content as one."""
    from workbench import settings as table

    options = ReadOptions(table.load({name.replace("__", "."): value for name, value in settings_.items()}))
    return concat_batches(list(OtlpProtobuf().read(io.BytesIO(data), path, options)))


@settings(max_examples=30)
@given(trace_requests())
def test_spans_equal_a_plain_decode(request: Any) -> None:
    expected = {row["span_id"]: row for row in naive.otlp_spans(request)}
    frame = decode_otlp(request.SerializeToString(), "traces").spans
    assert (0 if frame is None else len(frame)) == len(expected)
    if frame is None:
        return
    for row in frame.to_dict("records"):
        wanted = expected[row["span_id"]]
        for name in ("trace_id", "parent_span_id", "name", "kind", "status", "duration_ns"):
            assert row[name] == wanted[name]
        assert row["time"].value == wanted["time"]
        for name, value in wanted["attributes"].items():
            assert_same_value(row[name], value)
        extra = set(row) - set(wanted["attributes"]) - {"service", "env", "parent"} - set(wanted)
        assert all(pd.isna(row[name]) for name in extra)
    parents = naive.link_parents(*(frame[name].tolist() for name in ("trace_id", "span_id", "parent_span_id")))
    assert frame["parent"].tolist() == parents


def assert_same_value(found: Any, wanted: Any) -> None:
    """A value in a column typed by all its values: numbers stay equal, mixed columns hold text."""
    if isinstance(found, str) and not isinstance(wanted, str):
        assert found == (json.dumps(wanted) if isinstance(wanted, bool) else str(wanted))
    else:
        assert found == wanted


@settings(max_examples=30)
@given(metric_requests())
def test_points_equal_a_plain_decode(request: Any) -> None:
    samples = decode_otlp(request.SerializeToString(), "metrics").metrics
    assert samples is not None
    found: dict[Any, dict[int, float]] = {}
    labels = samples.labels.to_dict("records")
    for i, (time, value) in zip(
        samples.series_of_sample().tolist(), zip(samples.time.astype(int), samples.value, strict=True), strict=True
    ):
        key = tuple(sorted((k, v) for k, v in labels[i].items() if v))
        found.setdefault(key, {})[int(time)] = float(value)
    assert found == naive.otlp_points(request)


def test_real_bodies_equal_the_reference(shared_data: Path) -> None:
    counted: Counter[str] = Counter()
    for file in sorted((shared_data / "query" / "otlp").iterdir()):
        body = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        signal = signal_of_name(file.name)
        request = request_class(signal).FromString(body)
        plain = list(records(request, signal))
        batch = concat_batches([batch for _, batch in read(file)])
        check_batch(batch)
        counted.update(batch.counts())
        if signal == "metrics":
            points = naive.otlp_points(request)
            assert batch.counts()["metrics"] == sum(map(len, points.values()))
            assert set(batch.skips) <= {"exemplar not kept"}
        else:
            assert batch.counts()["spans" if signal == "traces" else "logs"] == len(plain)
            assert not batch.skips
    assert counted == {"metrics": 1416, "logs": 70, "spans": 188, "profiles": 0, "events": 0}


def test_recorded_incidents_go_in_whole(incidents: dict[str, Path]) -> None:
    folder = next(iter(incidents.values()))
    batches: dict[str, list[Any]] = {}
    for name, batch in read(folder):
        check_batch(batch)
        batches.setdefault(name, []).append(batch)
    assert sorted(batches) == [
        "events.json", "logs.otlp.zst", "metrics.otlp.zst", "profiles.pprof.zst", "traces.otlp.zst",
    ]  # fmt: skip
    whole = concat_batches([batch for part in batches.values() for batch in part])
    assert set(whole.skips) <= {"exemplar not kept"}
    assert all(whole.counts().values())
    plain = 0
    with zstandard.ZstdDecompressor().stream_reader((folder / "traces.otlp.zst").read_bytes()) as stream:
        from workbench.sources.unpack import messages

        for body in messages(io.BufferedReader(stream), "traces", 2**30, Counter()):
            plain += len(list(records(request_class("traces").FromString(body), "traces")))
    assert whole.counts()["spans"] == plain


def test_what_each_field_becomes() -> None:
    request = otlp_traces(2)
    block = request.resource_spans[0]
    block.resource.attributes.add(key="service.version").value.string_value = "1.2"
    block.resource.attributes.add(key="os.type").value.string_value = "linux"
    block.scope_spans[0].scope.name = "flask"
    span = block.scope_spans[0].spans[0]
    span.status.code, span.status.message, span.trace_state = 2, "boom", "a=b"
    for key in ("name", "service", "service_", "os.type"):
        span.attributes.add(key=key).value.string_value = f"own {key}"
    tags = span.attributes.add(key="tags").value.array_value
    tags.values.add().string_value = "<script>"
    tags.values.add().double_value = float("inf")
    event = span.events.add(name="exception", time_unix_nano=T0 + 5)
    for key in ("type", "message", "stacktrace"):
        event.attributes.add(key=f"exception.{key}").value.string_value = f"the {key}"
    span.links.add(trace_id=b"\2" * 16, span_id=b"\3" * 8)
    frame = decode_otlp(request.SerializeToString(), "traces").spans
    assert frame is not None
    row = frame.iloc[0]
    assert (row["service"], row["env"], row["version"], row["status"]) == ("cart", "shop", "1.2", "error")
    assert (row["name_"], row["service_"], row["service__"]) == ("own name", "own service", "own service_")
    assert (row["os.type"], frame["os.type"].iloc[1]) == ("own os.type", "linux")
    assert (row["otel.scope.name"], row["otel.status_description"], row["tracestate"]) == ("flask", "boom", "a=b")
    assert json.loads(row["tags"]) == ["<script>", "inf"]
    assert row["exception.message"] == "the message"
    assert json.loads(row["span_events"])[0]["attributes"]["exception.type"] == "the type"
    assert json.loads(row["links"])[0]["span_id"] == "03" * 8
    assert frame["http.response.status_code"].dtype == "Int64"
    assert pd.isna(frame["links"].iloc[1])


def test_log_fields_and_fallbacks() -> None:
    request = otlp_logs(["plain", "", "late", "never"])
    records_ = request.resource_logs[0].scope_logs[0].log_records
    records_[0].trace_id, records_[0].span_id, records_[0].event_name = b"\1" * 16, b"\2" * 8, "login"
    records_[1].body.kvlist_value.values.add(key="a").value.int_value = 1
    records_[1].severity_number, records_[1].severity_text = 0, "Warning"
    records_[2].time_unix_nano, records_[2].observed_time_unix_nano, records_[2].trace_id = 0, T0 + 7, b"short"
    records_[2].severity_number = 99
    records_[3].time_unix_nano = 0
    batch = decode_otlp(request.SerializeToString(), "logs")
    frame = check_batch(batch).logs
    assert frame is not None
    assert sorted(frame["body"]) == ["late", "plain", '{"a":1}']
    by_body = frame.set_index("body")
    assert by_body.loc["plain", "trace_id"] == "01" * 16
    assert by_body.loc["plain", "event.name"] == "login"
    assert by_body.loc['{"a":1}', "severity"] == 13
    assert by_body.loc["late", "time"].value == T0 + 7
    assert by_body.loc["late", "severity"] == 0
    assert batch.skips == {
        "log record without a time": 1,
        "log trace or span id of wrong length left empty": 1,
        "unknown severity read as none": 1,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"end_time_unix_nano": T0 - 1}, "span with a negative duration"),
        ({"end_time_unix_nano": 0}, "span without a start or end time"),
        ({"start_time_unix_nano": 0}, "span without a start or end time"),
        ({"end_time_unix_nano": 2**64 - 1}, "span outside 1970-2261"),
        ({"trace_id": b"\1\2"}, "span with a trace or span id of wrong length"),
        ({"span_id": bytes(8)}, "span without a trace or span id"),
    ],
)
def test_a_bad_span_is_counted_and_the_others_stay(change: dict[str, Any], reason: str) -> None:
    request = otlp_traces(5)
    for name, value in change.items():
        setattr(request.resource_spans[0].scope_spans[0].spans[2], name, value)
    batch = check_batch(decode_otlp(request.SerializeToString(), "traces"))
    assert batch.counts()["spans"] == 4
    assert batch.skips == {reason: 1}


def test_odd_spans_are_kept() -> None:
    request = otlp_traces(3)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].parent_span_id = spans[1].span_id
    spans[2].parent_span_id = b"\xee" * 8
    spans[2].kind, spans[2].status.code = 77, -4
    batch = check_batch(decode_otlp(request.SerializeToString(), "traces"))
    assert batch.spans is not None
    assert batch.spans["parent"].tolist() == [-1, -1, -1]
    assert batch.spans["kind"].tolist()[2] == "unspecified"
    assert batch.skips == {"unknown span kind read as unspecified": 1, "unknown span status read as unset": 1}


def test_many_attribute_names_become_one_json_column() -> None:
    request = otlp_traces(2)
    span = request.resource_spans[0].scope_spans[0].spans[1]
    for i in range(100_000):
        span.attributes.add(key=f"k{i}").value.int_value = i
    frame = decode_otlp(request.SerializeToString(), "traces").spans
    assert frame is not None
    assert len(frame.columns) < 256 + 20
    assert len(json.loads(frame["attributes"].dropna().iloc[0])) == 100_000 - 255
    assert "http.response.status_code" in frame


def test_long_texts_are_cut_and_counted() -> None:
    request = otlp_logs(["x" * 10_000_000, "short"])
    request.resource_logs[0].scope_logs[0].log_records[1].attributes.add(key="a").value.string_value = "y" * 100_000
    batch = decode_otlp(request.SerializeToString(), "logs")
    assert batch.logs is not None
    assert batch.logs["body"].str.len().tolist() == [65_536, 5]
    assert batch.logs["a"].str.len().max() == 65_536
    assert batch.skips == {
        "log body truncated to intake.max_text_chars": 1,
        "attribute truncated to intake.max_text_chars": 1,
    }


def test_deep_nesting_is_no_crash() -> None:
    request = otlp_logs(["a", "b"])
    value = request.resource_logs[0].scope_logs[0].log_records[0].body
    for _ in range(40):
        value = value.array_value.values.add()
    value.int_value = 1
    deep = otlp_logs(["a", "b"])
    value = deep.resource_logs[0].scope_logs[0].log_records[0].body
    for _ in range(400):
        value = value.array_value.values.add()
    assert decode_otlp(request.SerializeToString(), "logs").counts()["logs"] == 2
    batch = decode_otlp(deep.SerializeToString(), "logs")
    assert batch.counts()["logs"] == 2
    assert batch.skips == {"damaged AnyValue of an OTLP body": 1}


@pytest.mark.parametrize("where", ["name", "attribute", "body", "resource", "metric"])
def test_invalid_utf8_is_replaced_and_counted(where: str) -> None:
    if where == "metric":
        body = otlp_metrics([1.0, 2.0], name="BROKEN").SerializeToString()
        batch = decode_otlp(body.replace(b"BROKEN", b"BRO\xffEN"), "metrics")
        assert batch.metrics is not None
        assert batch.metrics.labels["metric"].tolist() == ["BRO\ufffdEN"]
    elif where == "body":
        body = otlp_logs(["fine", "BROKEN"]).SerializeToString()
        batch = decode_otlp(body.replace(b"BROKEN", b"BRO\xffEN"), "logs")
        assert batch.logs is not None
        assert batch.logs["body"].tolist() == ["fine", "BRO\ufffdEN"]
    else:
        request = otlp_traces(
            2, service="BROKEN" if where == "resource" else "cart", name="BROKEN" if where == "name" else "x"
        )
        if where == "attribute":
            request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="a").value.string_value = "BROKEN"
        batch = decode_otlp(request.SerializeToString().replace(b"BROKEN", b"BRO\xffEN"), "traces")
        assert batch.spans is not None
        column = {"resource": "service", "name": "name", "attribute": "a"}[where]
        assert "BRO\ufffdEN" in batch.spans[column].tolist()
        assert len(batch.spans) == 2
    assert batch.skips == {"invalid UTF-8 replaced": 2 if where == "name" else 1}


def test_a_body_cut_short_keeps_its_whole_parts() -> None:
    whole = otlp_traces(4).SerializeToString() + otlp_traces(3, service="stock").SerializeToString()
    batch = decode_otlp(whole[:-20], "traces")
    assert batch.counts()["spans"] == 4
    assert batch.skips == {"damaged part of an OTLP body": 1}
    with pytest.raises(SourceError, match="truncated, corrupt or no OTLP"):
        decode_otlp(whole[:100], "traces")


def test_bad_arguments() -> None:
    with pytest.raises(InvalidInput, match="traces"):
        decode_otlp(b"", "trace")
    with pytest.raises(LimitExceeded, match=r"intake\.max_body_bytes"):
        decode_otlp(bytes(21 * 2**20), "traces")
    assert decode_otlp(b"", "logs").empty()


def test_signal_is_judged_by_content() -> None:
    bodies = {
        "spans": otlp_traces(2).SerializeToString(),
        "logs": otlp_logs(["a"]).SerializeToString(),
        "metrics": otlp_metrics([1.0]).SerializeToString(),
    }
    for signal, body in bodies.items():
        for name in ("unknown.pb", "catalog.pb", "traces.pb", "logs.pb", "metrics.pb"):
            batch = read_bytes(body, name)
            assert [s for s, n in batch.counts().items() if n] == [signal], (signal, name)
    assert signal_of_name("0001-v1-logs.pb.gz") == "logs"
    assert signal_of_name("catalog-of-blogs") == ""


def test_streams_of_bodies() -> None:
    bodies = [otlp_traces(3, start=T0 + i * 10**12).SerializeToString() for i in range(5)]
    assert read_bytes(delimited(bodies), "traces").counts()["spans"] == 15
    damaged = [*bodies[:2], b"\x0a\x05wrong", *bodies[2:]]
    batch = read_bytes(delimited(damaged), "traces")
    assert batch.counts()["spans"] == 15
    assert batch.skips == {"OTLP body that cannot be decoded": 1}
    large = read_bytes(
        delimited([otlp_logs(["x" * 5000]).SerializeToString(), *bodies]), "traces", intake__max_body_bytes=2000
    )
    assert large.counts()["spans"] == 15
    assert large.skips == {"message larger than intake.max_body_bytes": 1}


def test_a_stream_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    bodies = [otlp_traces(3, start=T0 + i * 10**12).SerializeToString() for i in range(5)]
    file = tmp_path / "traces.bin"
    file.write_bytes(delimited(bodies)[:-10])
    batches = [batch for _, batch in read(file)]
    assert concat_batches(batches).counts()["spans"] == 12
    assert "ends inside a message" in next(iter(batches[-1].skips))


def test_batches_are_bounded() -> None:
    body = many_spans(1000).SerializeToString()
    sizes = [
        batch.counts()["spans"]
        for batch in OtlpProtobuf().read(io.BytesIO(delimited([body] * 120)), "traces", ReadOptions())
    ]
    assert sum(sizes) == 120_000
    assert max(sizes) <= 51_000
    assert len(sizes) == 3


def test_series_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.sources import labels

    monkeypatch.setattr(labels, "MAX_SERIES", 3)
    request = otlp_metrics([1.0])
    for i in range(5):
        metric = request.resource_metrics[0].scope_metrics[0].metrics.add(name=f"m{i}")
        metric.gauge.data_points.add(time_unix_nano=T0, as_double=i)
    batch = decode_otlp(request.SerializeToString(), "metrics")
    assert batch.counts()["metrics"] == 3
    assert batch.skips == {"sample of a series beyond the most that one file may have": 3}


def test_order_within_a_column_is_that_of_rows() -> None:
    rng = np.random.default_rng(3)
    request = many_spans(500)
    numbers = rng.permutation(500)
    for span, number in zip(request.resource_spans[0].scope_spans[0].spans, numbers.tolist(), strict=True):
        if number % 3:
            span.attributes.add(key="n").value.int_value = number
    frame = decode_otlp(request.SerializeToString(), "traces").spans
    assert frame is not None
    assert [None if pd.isna(v) else v for v in frame["n"]] == [n if n % 3 else None for n in numbers.tolist()]
