"""Bad input, end to end: each is one clear sentence or a counted skip, and the rest of the batch is in the store."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.testing.examples import EXAMPLES, SECOND, T0, otlp_logs, otlp_metrics, otlp_traces
from workbench.errors import LimitExceeded, SourceError
from workbench.session import Bench
from workbench.session import open as open_bench
from workbench.signals import check_logs, check_spans
from workbench.signals.samples import STALE_NAN

FINE = otlp_logs(["fine"]).SerializeToString()
TRACES = otlp_traces(50).SerializeToString()
LATE = int(dt.datetime(2262, 3, 1, tzinfo=dt.UTC).timestamp()) * SECOND


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path / "store") as opened:
        yield opened


def test_an_empty_folder_is_one_sentence(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SourceError, match="holds no files: give a folder with telemetry"):
        bench.ingest(tmp_path / "nothing")


BAD_FILES = {
    "unknown": (b"\x93\x01\x02hello world", "no known format"),
    "empty": (b"", "is empty"),
    "truncated protobuf": (TRACES[:-20], "truncated|cut short"),
    "truncated gzip": (gzip.compress(TRACES)[:-30], "damaged gzip"),
    "gzip that lies": (b"\x1f\x8b\x08\x00garbage", "damaged gzip"),
    "gzip with a wrong checksum": (gzip.compress(TRACES)[:-8] + b"12345678", "damaged gzip"),
    "bomb": (gzip.compress(b"# TYPE up gauge\nup 1\n" + b"# x\n" * (10 * 2**20), 1), "intake.max_body_bytes"),
    "length that lies": (b"\xff\xff\xff\xff\x07" + FINE, "ends inside a message|no known format"),
    "json cut off": (EXAMPLES["events"][1][:-5], "JSON|no known format|object"),
    "zlib": (zlib.compress(TRACES), "no known format"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_a_bad_file_is_one_sentence_alone_and_a_counted_skip_among_others(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    content, reason = BAD_FILES[name]
    folder = tmp_path / "telemetry"
    folder.mkdir()
    bad = folder / "bad.bin"
    bad.write_bytes(content)
    with pytest.raises((SourceError, LimitExceeded), match=reason) as refused:
        bench.ingest(bad)
    assert "bad.bin" in str(refused.value)
    assert "\n" not in str(refused.value)
    (folder / "zfine.bin").write_bytes(FINE)
    report = bench.ingest(folder)
    assert report.counts["logs"] == 1
    assert sum(report.skips.values()) == 1
    assert "bad.bin" in next(iter(report.skips))
    assert bench.logs()["body"].tolist() == ["fine"]


def put(bench: Bench, tmp_path: Path, name: str, content: bytes) -> dict[str, int]:
    """Ingest one file of that content; return what was left out."""
    file = tmp_path / name
    file.write_bytes(content)
    return dict(bench.ingest(file).skips)


def test_a_stream_padded_with_zeros_keeps_what_came_before(bench: Bench, tmp_path: Path) -> None:
    content = bytes([len(FINE)]) + FINE + bytes(300 * 2**20)
    skips = put(bench, tmp_path, "logs.bin.gz", gzip.compress(content, 1))
    assert list(skips.values()) == [1]
    assert "empty messages in a row" in next(iter(skips))
    assert bench.logs()["body"].tolist() == ["fine"]


def test_values_that_are_no_numbers_are_kept_bit_for_bit(bench: Bench, tmp_path: Path) -> None:
    given = [1.0, float("nan"), float("inf"), float("-inf"), STALE_NAN, -0.0]
    put(bench, tmp_path, "metrics.bin", otlp_metrics(given).SerializeToString())
    kept = bench.store.select(()).value
    assert kept.view(np.uint64).tolist() == np.array(given).view(np.uint64).tolist()
    bench.store.seal()
    assert bench.store.select(()).value.view(np.uint64).tolist() == kept.view(np.uint64).tolist()


def test_negative_durations_are_counted_and_their_neighbours_stay(bench: Bench, tmp_path: Path) -> None:
    request = otlp_traces(3)
    bad = request.resource_spans[0].scope_spans[0].spans[1]
    bad.end_time_unix_nano = bad.start_time_unix_nano - 5
    skips = put(bench, tmp_path, "traces.bin", request.SerializeToString())
    assert skips == {"span with a negative duration": 1}
    assert bench.spans()["duration_ns"].tolist() == [SECOND, SECOND]


def test_missing_parents_and_cycles_become_roots(bench: Bench, tmp_path: Path) -> None:
    request = otlp_traces(5)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].parent_span_id = spans[1].span_id
    spans[2].parent_span_id = b"\x09" * 8
    spans[3].parent_span_id = spans[2].span_id
    spans[4].parent_span_id = spans[4].span_id
    put(bench, tmp_path, "traces.bin", request.SerializeToString())
    stored = check_spans(bench.spans())
    assert stored["parent"].tolist() == [-1, -1, -1, 2, -1]
    assert bench.service_map().graph.number_of_nodes() >= 1


def test_other_centuries_are_counted_and_the_rest_stays(bench: Bench, tmp_path: Path) -> None:
    request = otlp_logs(["fine", "late", "later"])
    records = request.resource_logs[0].scope_logs[0].log_records
    records[1].time_unix_nano = records[2].time_unix_nano = LATE
    assert sum(put(bench, tmp_path, "logs.bin", request.SerializeToString()).values()) == 2
    metrics = otlp_metrics([1.0, 2.0])
    metrics.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[1].time_unix_nano = LATE
    assert sum(put(bench, tmp_path, "metrics.bin", metrics.SerializeToString()).values()) == 1
    traces = otlp_traces(2)
    traces.resource_spans[0].scope_spans[0].spans[1].start_time_unix_nano = LATE
    traces.resource_spans[0].scope_spans[0].spans[1].end_time_unix_nano = LATE + 1
    assert sum(put(bench, tmp_path, "traces.bin", traces.SerializeToString()).values()) == 1
    first, last = bench.store.extent() or (None, None)
    assert (first, last) == (np.datetime64(T0, "ns"), np.datetime64(T0, "ns"))
    assert bench.logs()["body"].tolist() == ["fine"]
    put(bench, tmp_path, "old.logs.bin", otlp_logs(["first"], start=1).SerializeToString())
    assert check_logs(bench.logs())["time"].iloc[0] == pd.Timestamp(1)


def test_a_ten_megabyte_line_is_cut_and_counted(bench: Bench, tmp_path: Path) -> None:
    skips = put(bench, tmp_path, "logs.bin", otlp_logs(["x" * 10_000_000, "short"]).SerializeToString())
    assert list(skips.values()) == [1]
    assert "max_text_chars" in next(iter(skips))
    assert bench.logs()["body"].str.len().tolist() == [65_536, 5]


def test_invalid_utf8_is_replaced_and_counted(bench: Bench, tmp_path: Path) -> None:
    content = otlp_logs(["AAAABBBB", "fine"]).SerializeToString().replace(b"AAAABBBB", b"\xff\xfe<b>\xc0!!")
    skips = put(bench, tmp_path, "logs.bin", content)
    assert list(skips.values()) == [1]
    assert bench.logs()["body"].tolist() == ["\ufffd\ufffd<b>\ufffd!!", "fine"]


def test_markup_in_names_is_only_text(bench: Bench, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    put(bench, tmp_path, "traces.bin", otlp_traces(2, service=script, name=f"GET {script}").SerializeToString())
    put(bench, tmp_path, "metrics.bin", otlp_metrics([1.0, 2.0], name=script).SerializeToString())
    stored = bench.spans()
    assert set(stored["service"]) == {script}
    assert bench.metrics(f'{{"{script}"}}', step="1s").sizes["series"] == 1
    assert bench.spans(f'service:"{script}"').shape[0] == 2
    html = bench.metrics(f'{{"{script}"}}', step="1s")._repr_html_()
    assert script not in html
