"""Intake: once and whole, cut to a window, and everything left out is said."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.testing.examples import EXAMPLES, SECOND, T0, otlp_logs, otlp_metrics, otlp_traces
from workbench.errors import InvalidInput, NotFound, ShapeError
from workbench.intake import Report, check_sources, ingest, write
from workbench.session import Bench
from workbench.session import open as open_bench
from workbench.signals import Batch, build_events, build_logs, build_metrics, build_profiles, build_samples, build_spans


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten seconds of all three OpenTelemetry signals, a profile and an event, in one folder."""
    made = tmp_path / "telemetry"
    (made / "deep").mkdir(parents=True)
    (made / "traces.bin").write_bytes(otlp_traces(10).SerializeToString())
    (made / "logs.bin.gz").write_bytes(gzip.compress(otlp_logs(["a", "b", "c"]).SerializeToString()))
    (made / "deep" / "metrics.bin").write_bytes(otlp_metrics([1.0, 2.0, 4.0]).SerializeToString())
    for name in ("pprof", "events"):
        path, content = EXAMPLES[name]
        (made / path).write_bytes(content)
    return made


ALL = {"metrics": 3, "logs": 3, "spans": 10, "profiles": 1, "events": 1}
NONE = dict.fromkeys(ALL, 0)


def test_a_folder_goes_in_whole_and_comes_back(bench: Bench, folder: Path) -> None:
    report = bench.ingest(folder)
    assert report.counts == ALL
    assert (report.files, report.known, dict(report.skips)) == (5, 0, {})
    assert bench.logs()["body"].tolist() == ["a", "b", "c"]
    assert bench.spans()["parent"].tolist() == [-1, *[0] * 9]
    assert bench.samples('{"queue.length"}')["value"].tolist() == [1.0, 2.0, 4.0]
    assert bench.profiles().samples["value"].tolist() == [50_000_000]
    assert bench.events()["title"].tolist() == ["v2"]


def test_what_was_read_before_is_not_stored_again(bench: Bench, folder: Path) -> None:
    bench.ingest(folder)
    again = bench.ingest(folder)
    assert again.counts == NONE
    assert again.known == 5
    (folder / "renamed.bin").write_bytes((folder / "traces.bin").read_bytes())
    assert bench.ingest(folder / "renamed.bin").counts == NONE
    (folder / "more.bin").write_bytes(otlp_logs(["d"]).SerializeToString())
    assert bench.ingest(folder).counts == NONE | {"logs": 1}
    held = bench.store.status()["signals"]
    assert {signal: held[signal]["rows"] for signal in ALL} == ALL | {"logs": 4}


def test_a_window_cuts_every_signal_and_says_so(bench: Bench, folder: Path) -> None:
    start, end = np.datetime64(T0 + SECOND, "ns"), np.datetime64(T0 + 2 * SECOND, "ns")
    report = bench.ingest(folder, start=start, end=end)
    assert report.counts == {"metrics": 1, "logs": 1, "spans": 1, "profiles": 0, "events": 0}
    assert report.skips == {"outside the window asked for": 15}
    assert bench.logs()["body"].tolist() == ["b"]
    assert bench.spans()["parent"].tolist() == [-1]


def test_a_window_that_holds_everything_leaves_nothing_out(bench: Bench, folder: Path) -> None:
    report = bench.ingest(folder, start="2024-01-01", end="2025-01-01")
    assert report.counts == ALL
    assert "left out" not in str(report)


def test_naming_the_format_does_not_make_it_other_data(bench: Bench, folder: Path) -> None:
    assert bench.ingest(folder / "traces.bin").counts["spans"] == 10
    again = bench.ingest(folder / "traces.bin", format="otlp")
    assert (again.counts, again.known) == (NONE, 1)
    assert bench.ingest(folder / "logs.bin.gz", format="otlp").counts["logs"] == 3
    again = bench.ingest(folder / "logs.bin.gz")
    assert (again.counts, again.known) == (NONE, 1)
    assert len(bench.spans()) == 10


def test_another_format_adds_no_parts_to_a_file_read_to_its_end(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"any")
    parts = [Batch(logs=build_logs({"time": [T0 + i], "body": [str(i)]})) for i in range(3)]
    shown = [parts[:1]]
    monkeypatch.setattr("workbench.sources.read", lambda *_, **__: ((file.name, part) for part in shown[-1]))
    assert bench.ingest(file).counts["logs"] == 1
    shown.append(parts)
    assert bench.ingest(file, format="table").known == 3
    assert len(bench.logs()) == 1
    assert bench.ingest(file).counts["logs"] == 2, "the same way of reading goes on where it ended"


def test_a_file_that_a_window_cut_is_not_read_with_another(bench: Bench, folder: Path) -> None:
    file = folder / "traces.bin"
    whole, half = ("2024-01-01", "2025-01-01"), {"start": np.datetime64(T0 + SECOND, "ns")}
    assert bench.ingest(file, **half).counts["spans"] == bench.spans().shape[0] > 0  # type: ignore[arg-type]
    again = bench.ingest(file, start=str(half["start"]))
    assert (again.counts, again.known) == (NONE, 1)
    held = len(bench.spans())
    for start, end in (whole, (None, None), ("-1000w", None), (half["start"], "2025-01-01")):
        with pytest.raises(InvalidInput, match=r"traces\.bin was read into this store before with another window"):
            bench.ingest(file, start=start, end=end)
    assert len(bench.spans()) == held


def test_a_window_that_cuts_nothing_is_the_whole_file(bench: Bench, folder: Path) -> None:
    assert bench.ingest(folder / "traces.bin", start="-1000w").counts["spans"] == 10
    for start, end in (("-1000w", None), (None, None), (np.datetime64(T0 + SECOND, "ns"), None)):
        again = bench.ingest(folder / "traces.bin", start=start, end=end)
        assert (again.counts, again.known) == (NONE, 1)
    assert bench.ingest(folder / "logs.bin.gz", start="2030-01-01").counts == NONE
    assert bench.ingest(folder / "logs.bin.gz").counts["logs"] == 3


def test_what_cannot_be_a_source_is_told_before_anything_is_read(bench: Bench, folder: Path) -> None:
    for given, format, message in (
        ("https://example.com/x", None, "nothing is known to read 'https://example.com/x'"),
        (folder, "oltp", "format 'oltp' is not known: .* did you mean 'otlp'"),
        (b"traces", None, "is not a path"),
    ):
        with pytest.raises(InvalidInput, match=message):
            bench.ingest(folder, given, format=format)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="nowhere"):
        check_sources([folder, folder / "nowhere"])
    assert check_sources([str(folder)], "otlp") == [folder]
    assert bench.store.extent() is None


def test_names_of_files_do_not_drive_a_terminal(bench: Bench, folder: Path) -> None:
    (folder / "evil\x1b[31m\nstored 9 logs").write_bytes(b"\x93\x01")
    lines = str(bench.ingest(folder)).splitlines()
    assert lines[1:] == ["left out 1: evil\ufffd[31m\ufffdstored 9 logs is of no known format"]


def test_bars_are_silent_where_there_is_no_terminal(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    bench.ingest(folder, progress=True)
    assert capsys.readouterr().err == ""


def test_constants_of_a_mapping_are_part_of_what_was_read(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "stacks.txt"
    file.write_bytes(EXAMPLES["collapsed"][1])
    assert bench.ingest(file, mapping={"service": "=cart"}).counts["profiles"] == 2
    assert bench.ingest(file, mapping={"service": "=cart"}).counts["profiles"] == 0
    assert bench.ingest(file, mapping={"service": "=stock"}).counts["profiles"] == 2
    assert sorted(set(bench.profiles().samples["service"])) == ["cart", "stock"]


def test_the_report_is_for_people_and_for_programs() -> None:
    report = Report()
    assert str(report) == "stored nothing new from 0 files"
    report.add({"logs": 1200, "spans": 1})
    report.files, report.known = 1, 2
    report.skips.update({"rare": 1, "common": 3000})
    assert str(report).splitlines() == [
        "stored 1,200 logs, 1 spans from 1 file",
        "2 parts were already in the store",
        "left out 3,000: common",
        "left out 1: rare",
    ]
    assert report.to_json() == {
        "counts": NONE | {"logs": 1200, "spans": 1},
        "skips": {"rare": 1, "common": 3000},
        "files": 1,
        "known": 2,
    }


def test_a_path_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no file or folder '.*nowhere'"):
        ingest(bench.store, [tmp_path / "nowhere"])


def test_every_shape_can_be_written_by_hand(bench: Bench) -> None:
    time = [np.datetime64(T0, "ns")]
    array = build_metrics(np.array([[1.0, np.nan]]), np.array([T0, T0 + SECOND]), [{"service": "a"}], {"kind": "gauge"})
    for shape, counts in (
        (build_logs({"time": time, "body": ["x"]}), {"logs": 1}),
        (build_spans({"time": time, "kind": "server", "status": "ok", "span_id": ["a"]}), {"spans": 1}),
        (build_events({"time": time, "kind": ["note"], "title": ["t"]}), {"events": 1}),
        (build_samples([{"metric": "m"}], [0], time, [1.0]), {"metrics": 1}),
        (array.rename("mine"), {"metrics": 1}),
        (build_profiles({"time": time, "stack": [0], "value": [1]}, [(("f", "", 0),)]), {"profiles": 1}),
        (Batch(logs=build_logs({"time": time, "body": ["y"]})), {"logs": 1}),
    ):
        assert write(bench.store, shape) == NONE | counts
    assert bench.samples("mine")[["service", "value"]].to_numpy().tolist() == [["a", 1.0]]
    assert bench.logs()["body"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    "shape",
    [None, "text", pd.DataFrame({"a": [1]}), xr.DataArray([1.0]), {"time": [1]}, build_logs({"time": [1]}).iloc[:, :2]],
)
def test_what_is_no_shape_is_refused(bench: Bench, shape: object) -> None:
    with pytest.raises(ShapeError):
        write(bench.store, shape)


def test_a_malformed_shape_is_not_written(bench: Bench) -> None:
    with pytest.raises(ShapeError, match="not sorted"):
        write(bench.store, build_logs({"time": [T0, T0 + 1]}).iloc[::-1])
    assert bench.store.extent() is None
