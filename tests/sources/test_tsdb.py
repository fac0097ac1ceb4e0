"""Prometheus' own files: bit for bit what promtool reads, and what is damaged is named while the rest is read."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench
from tests.sources import tsdb_files as files
from workbench.errors import SourceError
from workbench.signals import check_samples, concat_batches
from workbench.signals.names import to_prometheus
from workbench.sources import ReadOptions, read
from workbench.sources.tsdb import PrometheusData

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus is not installed")

Held = dict[tuple[tuple[tuple[str, str], ...], int], int]
"""Labels and ms to the bits of the value."""

STALE = 0x7FF0000000000002
T0 = 1_700_000_000_000


def bits(*values: float) -> list[int]:
    return [int(np.float64(value).view(np.uint64)) for value in values]


def held(folder: Path, options: ReadOptions | None = None) -> tuple[Held, Counter[str]]:
    found: Held = {}
    skips: Counter[str] = Counter()
    for _, batch in PrometheusData().read_folder(folder, options or ReadOptions()):
        skips.update(batch.skips)
        samples = batch.metrics
        if samples is None:
            continue
        check_samples(samples)
        for i in range(len(samples)):
            row = samples.labels.iloc[i]
            labels = tuple(sorted((to_prometheus(str(name)), value) for name, value in row.items() if value))
            for j in range(samples.offsets[i], samples.offsets[i + 1]):
                ms = int(samples.time[j].astype("datetime64[ms]").astype(np.int64))
                found[(labels, ms)] = int(samples.value[j].view(np.uint64))
    return found, skips


def dumped(lines: Sequence[str]) -> Held:
    """What `promtool tsdb dump` printed; it spells every NaN alike."""
    found: Held = {}
    for line in lines:
        match = re.fullmatch(r"\{(.*)\} (\S+) (-?\d+)", line)
        assert match is not None, line
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1])
        labels = tuple(sorted((name, json.loads(f'"{value}"')) for name, value in pairs))
        found[(labels, int(match[3]))] = bits(float(match[2]))[0]
    return found


def as_printed(found: Held) -> Held:
    """The same with every NaN as one."""
    nan = bits(float("nan"))[0]
    return {key: nan if np.isnan(np.uint64(value).view(np.float64)) else value for key, value in found.items()}


def as_given(series: Sequence[tuple[files.Labels, Sequence[files.Chunk]]]) -> Held:
    return {
        (tuple(sorted(labels.items())), time): value
        for labels, chunks in series
        for times, values in chunks
        for time, value in zip(times, values, strict=True)
    }


def promtool(folder: Path) -> list[str]:
    (folder / "wal").mkdir(exist_ok=True)
    command = ["promtool", "tsdb", "dump", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()


SERIES: list[tuple[dict[str, str], list[files.Chunk]]] = [
    ({"__name__": "up", "job": "a", "instance": "x:1"}, [([T0, T0 + 15_000], bits(1, 0)), ([T0 + 30_000], [STALE])]),
    ({"__name__": "up", "job": "b"}, [([T0 + i * 15_000 + i % 3 for i in range(200)], bits(*range(200)))]),
    ({"__name__": "z", "metric": "odd", "ü": "héé\n"}, [([T0 + 1], bits(-0.0)), ([T0 + 2], [0x7FF8000000000123])]),
]


def test_a_real_block_is_read_as_promtool_dumps_it(shared_data: Path) -> None:
    found, skips = held(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot")
    with gzip.open(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot.dump.txt.gz", "rt") as dump:
        expected = dumped(dump.read().splitlines())
    assert as_printed(found) == expected
    assert len(found) == 63_492
    assert not skips


def test_the_log_of_a_killed_server_is_read_whole(shared_data: Path) -> None:
    found, skips = held(shared_data / "query" / "tsdb_wal" / "prom242_sigkill_wal")
    stale = sum(value == STALE for value in found.values())
    assert (len(found) - stale, stale) == (63_254, 238)
    assert not skips


@needs_promtool
def test_the_log_of_a_killed_server_is_read_as_promtool_dumps_it(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "query" / "tsdb_wal" / "prom242_sigkill_wal", tmp_path / "wal")
    expected = dumped(promtool(tmp_path))
    found, _ = held(tmp_path)
    assert as_printed(found) == expected


def test_an_index_of_format_1_is_refused(shared_data: Path) -> None:
    with pytest.raises(SourceError, match="format 1, only format 2 is read"):
        held(shared_data / "query" / "tsdb_block" / "index_format_v1")


@needs_promtool
def test_the_writer_of_these_tests_writes_what_prometheus_reads(tmp_path: Path) -> None:
    files.block(tmp_path, SERIES)
    assert as_printed(as_given(SERIES)) == dumped(promtool(tmp_path)) == as_printed(held(tmp_path)[0])


def test_every_bit_of_a_block_survives(tmp_path: Path) -> None:
    found, skips = held(files.block(tmp_path, SERIES))
    assert found == as_given(SERIES)
    assert not skips


def test_tombstones_delete_both_ends_included(tmp_path: Path) -> None:
    where = files.block(tmp_path, SERIES)
    second = _refs(where)[1]
    (where / "tombstones").write_bytes(files.tombstones([(second, T0 + 15_001, T0 + 45_000), (999, 0, 2**40)]))
    gone = {key for key in as_given(SERIES) if ("job", "b") in key[0] and T0 + 15_001 <= key[1] <= T0 + 45_000}
    assert len(gone) == 3
    found, _ = held(where)
    assert found == {key: value for key, value in as_given(SERIES).items() if key not in gone}


def _refs(where: Path) -> list[int]:
    from workbench.sources.tsdb.index import read_index

    return read_index(where / "index", ReadOptions(), Counter()).ref.tolist()


@needs_promtool
def test_tombstones_mean_what_they_mean_to_prometheus(tmp_path: Path) -> None:
    where = files.block(tmp_path, SERIES)
    (where / "tombstones").write_bytes(files.tombstones([(_refs(where)[1], T0 + 15_001, T0 + 45_000)]))
    assert as_printed(held(tmp_path)[0]) == dumped(promtool(tmp_path))


def test_damage_costs_what_is_damaged_and_is_named(tmp_path: Path) -> None:
    where = files.block(tmp_path, SERIES)
    chunks = bytearray((where / "chunks" / "000001").read_bytes())
    chunks[60] ^= 1  # in the long chunk of the second series, behind two short ones
    (where / "chunks" / "000001").write_bytes(chunks)
    found, skips = held(where)
    assert found == as_given([SERIES[0], SERIES[2]])
    (named,) = (reason for reason in skips if reason.startswith("chunk"))
    assert 'up{job="b"}' in named
    assert "2023-11-14T22:13:20.000 to 2023-11-14T23:03:05.001" in named
    assert skips[f"sample of block {files.ULID} that could not be read"] == 200


def test_a_flipped_bit_never_makes_a_wrong_value(tmp_path: Path) -> None:
    """Any one bit of index or chunks: what is read was written, and what is missing is counted."""
    where = files.block(tmp_path, SERIES)
    truth = as_given(SERIES)
    rng = np.random.default_rng(5)
    for name in ("index", "chunks/000001"):
        path = where / name
        whole = path.read_bytes()
        for bit in rng.choice(8 * len(whole), 60, replace=False).tolist():
            torn = bytearray(whole)
            torn[bit // 8] ^= 1 << bit % 8
            path.write_bytes(torn)
            try:
                found, skips = held(where)
            except SourceError:
                continue
            assert found.items() <= truth.items(), (name, bit)
            if len(found) < len(truth):
                assert skips[f"sample of block {files.ULID} that could not be read"] == len(truth) - len(found)
        path.write_bytes(whole)


values = st.one_of(st.sampled_from([STALE, 0x7FF8000000000001, 1 << 63, 0]), st.integers(0, 2**64 - 1))
label_sets = st.dictionaries(
    st.sampled_from(["__name__", "job", "metric", "le", "ü"]), st.text(max_size=5).filter(bool), min_size=1, max_size=4
)


@st.composite
def blocks(draw: Any) -> list[tuple[dict[str, str], list[files.Chunk]]]:
    found = draw(st.lists(label_sets, max_size=5, unique_by=lambda labels: tuple(sorted(labels.items()))))
    made = []
    for labels in sorted(found, key=lambda labels: sorted(labels.items())):
        times = sorted(draw(st.sets(st.integers(0, 2**42), min_size=1, max_size=12)))
        edge = draw(st.integers(0, len(times) - 1))
        parts = [part for part in (times[:edge], times[edge:]) if part]
        made.append((labels, [(part, [draw(values) for _ in part]) for part in parts]))
    return made


@settings(max_examples=40)
@given(blocks())
def test_any_block(tmp_path_factory: pytest.TempPathFactory, series: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("block")
    found, skips = held(files.block(folder, series))
    assert found == as_given(series)
    assert not skips
    shutil.rmtree(folder)


def log(folder: Path, *segments: bytes) -> Path:
    (folder / "wal").mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(segments):
        (folder / "wal" / f"{i:08}").write_bytes(data)
    return folder / "wal"


A, B = {"__name__": "a", "job": "x"}, {"__name__": "b"}
DEFINED = files.series_record([(1, A), (7, B)])
WRITTEN = [(1, T0, bits(1)[0]), (7, T0, STALE), (1, T0 + 5, bits(2)[0])]


def as_written(samples: Sequence[tuple[int, int, int]]) -> Held:
    labels = {1: tuple(sorted(A.items())), 7: tuple(sorted(B.items())), 9: tuple(sorted(A.items()))}
    return {(labels[ref], time): value for ref, time, value in samples}


@pytest.mark.parametrize("codec", ["", "snappy", "zstd"])
@pytest.mark.parametrize("record", [files.samples_record, files.newer_samples_record])
def test_records_of_samples(codec: str, record: Any, tmp_path: Path) -> None:
    found, skips = held(log(tmp_path, files.log_segment([(DEFINED, codec), (record(WRITTEN), codec)])))
    assert found == as_written(WRITTEN)
    assert not skips


def test_a_series_that_has_two_references_is_one(tmp_path: Path) -> None:
    again = files.series_record([(9, A)])
    more = [(9, T0 + 9, bits(3)[0]), (9, T0 + 5, bits(8)[0])]  # the second is of an instant that is taken
    records = [DEFINED, files.samples_record(WRITTEN), again, files.samples_record(more)]
    found, skips = held(log(tmp_path, files.log_segment([(record, "") for record in records])))
    assert found == as_written([more[1], *WRITTEN, more[0]])
    assert skips == {"sample of an instant that its series has already": 1}


def test_a_record_longer_than_pages(tmp_path: Path) -> None:
    many = [(1, T0 + i, i) for i in range(20_000)]
    data = files.log_segment([(DEFINED, ""), (files.samples_record(many), "")])
    assert len(data) > 5 * 32_768
    assert held(log(tmp_path, data))[0] == as_written(many)


def test_deletions_and_metadata_of_a_log(tmp_path: Path) -> None:
    records = [
        DEFINED,
        files.metadata_record([(1, 1, "s"), (7, 2, ""), (55, 1, "x")]),
        files.samples_record(WRITTEN),
        files.stones_record([(1, T0 + 1, T0 + 5)]),
    ]
    folder = log(tmp_path, files.log_segment([(record, "snappy") for record in records]))
    assert held(folder)[0] == as_written(WRITTEN[:2])
    (batch,) = [batch for _, batch in PrometheusData().read_folder(folder, ReadOptions()) if batch.metrics is not None]
    said = {
        row: (str(kind), str(unit))
        for row, kind, unit in zip(batch.metrics.labels["metric"], batch.metrics.kind, batch.metrics.unit, strict=True)
    }
    assert said == {"a": ("counter", "s"), "b": ("gauge", "")}


def test_checkpoint_and_segments_behind_it(tmp_path: Path) -> None:
    wal = log(tmp_path)
    (wal / "checkpoint.00000004").mkdir()
    (wal / "checkpoint.00000004" / "00000000").write_bytes(files.log_segment([(DEFINED, "snappy")]))
    (wal / "00000004").write_bytes(files.log_segment([(files.samples_record([(1, T0 + 50, 1)]), "")]))
    (wal / "00000005").write_bytes(files.log_segment([(files.samples_record(WRITTEN), "")]))
    found, skips = held(tmp_path)
    assert found == as_written(WRITTEN)  # segment 4 is in the checkpoint
    assert not skips


def test_samples_of_the_log_that_a_block_holds_are_passed_over(tmp_path: Path) -> None:
    files.block(tmp_path, [(A, [([T0], bits(1))])])
    log(tmp_path, files.log_segment([(DEFINED, ""), (files.samples_record(WRITTEN), "")]))
    found, skips = held(tmp_path)
    assert found == as_written([WRITTEN[0], WRITTEN[2]])
    assert skips == {"sample of a log that a block holds already": 2}


def test_chunks_of_the_head_and_late_samples(tmp_path: Path) -> None:
    log(tmp_path, files.log_segment([(DEFINED, ""), (files.samples_record(WRITTEN), "")]))
    (tmp_path / "chunks_head").mkdir()
    chunks = [(1, ([T0, T0 + 5, T0 + 6], bits(1, 2, 3)), False), (7, ([T0 - 99], bits(4)), True)]
    (tmp_path / "chunks_head" / "000001").write_bytes(files.head_chunks(chunks) + bytes(1000))
    (tmp_path / "wbl").mkdir()
    late = files.samples_record([(1, T0 - 50, bits(5)[0])])
    (tmp_path / "wbl" / "00000000").write_bytes(files.log_segment([(late, "")]))
    found, skips = held(tmp_path)
    more = [(1, T0 + 6, bits(3)[0]), (7, T0 - 99, bits(4)[0]), (1, T0 - 50, bits(5)[0])]
    assert found == as_written([*WRITTEN, *more])
    assert skips == {"sample of a log that a chunk of the head holds already": 2}
    path = tmp_path / "chunks_head" / "000001"
    whole = bytearray(path.read_bytes())
    whole[60] ^= 1
    path.write_bytes(whole)
    found, skips = held(tmp_path)  # then the log has the word
    assert found == as_written([*WRITTEN, *more[1:]])
    assert skips == {"chunk of chunks_head/000001 with a wrong checksum": 1}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_a_log_drops_what_comes_behind(share: float, tmp_path: Path) -> None:
    each = [files.samples_record([(1, T0 + i, i)]) for i in range(100)]
    data = bytearray(files.log_segment([(DEFINED, ""), *((record, "") for record in each)]))
    at = int(len(data) * share)
    data[at] ^= 16
    found, skips = held(log(tmp_path, bytes(data), files.log_segment([(each[0], "")])))
    kept = len(found)
    assert found == as_written([(1, T0 + i, i) for i in range(kept)])
    assert abs(kept - share * 100) < 4
    (reason,) = skips
    assert "of segment 00000000" in reason
    assert "bytes from there on are dropped" in reason


def test_a_log_cut_at_every_byte_of_its_last_record(tmp_path: Path) -> None:
    first = files.log_segment([(DEFINED, ""), (files.samples_record(WRITTEN[:2]), "snappy")])
    whole = files.log_segment(
        [(DEFINED, ""), (files.samples_record(WRITTEN[:2]), "snappy"), (files.samples_record(WRITTEN[2:]), "")]
    )
    for size in range(len(first), len(whole)):
        found, skips = held(log(tmp_path, whole[:size]))
        assert found == as_written(WRITTEN[:2])
        assert bool(skips) == (size > len(first))
    assert held(log(tmp_path, whole))[0] == as_written(WRITTEN)


def test_a_record_that_claims_to_unpack_to_gigabytes_is_damage(tmp_path: Path) -> None:
    lie = b"\xff\xff\xff\xff\x07" + b"\x00" * 20
    page = bytes([9]) + len(lie).to_bytes(2, "big") + files.crc(lie) + lie
    found, skips = held(log(tmp_path, files.log_segment([(DEFINED, ""), (files.samples_record(WRITTEN), "")]) + page))
    assert found == as_written(WRITTEN)
    assert "a record does not unpack" in next(iter(skips))


def test_more_labels_than_columns_are_split_not_folded(tmp_path: Path) -> None:
    series = [({"__name__": f"m{i:03}", f"label{i:03}": "x"}, [([T0], bits(i))]) for i in range(40)]
    where = files.block(tmp_path, series)
    found, skips = held(where, ReadOptions(settings={**ReadOptions().settings, "intake.max_columns": 8}))
    assert found == as_given(series)
    assert not skips


def test_a_directory_goes_into_the_store_once(tmp_path: Path) -> None:
    data = tmp_path / "telemetry" / "prometheus"
    files.block(data, SERIES[:2])
    log(data, files.log_segment([(files.series_record([(1, SERIES[2][0])]), ""), (files.samples_record(
        [(1, T0 + 10_000_000, bits(7)[0])]), "")]))  # fmt: skip
    with workbench.open(tmp_path / "store") as bench:
        first, second = bench.ingest(tmp_path / "telemetry"), bench.ingest(data)
        assert (first.counts["metrics"], first.files) == (204, 2)
        assert (second.counts["metrics"], second.known) == (0, 2)
        assert bench.samples('up{job="b"}')["value"].tolist() == list(range(200))


def test_blocks_outside_the_window_are_not_read(tmp_path: Path) -> None:
    where = files.block(tmp_path / "data", SERIES)
    (where / "index").write_bytes(b"never looked at")
    with workbench.open(tmp_path / "store") as bench:
        report = bench.ingest(tmp_path / "data", start="2024-01-01")
    assert report.skips == {"outside the window asked for": 205}


def test_a_folder_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SourceError, match="no Prometheus data directory"):
        concat_batches([batch for _, batch in read(tmp_path, format="prometheus-data")])


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("end", ["kill", "stop", "compact"])
def test_the_directory_of_a_server_at_work_is_read_as_promtool_dumps_it(end: str, tmp_path: Path) -> None:
    """Scraped ten times a second for a while.

    One that is stopped in order has written chunks of its head, too; one that makes blocks of seconds has several of them,
    and a checkpoint, when it is killed.
    """
    from tests.benchmarks.serving import free_port
    from tests.live_prometheus import Prometheus

    port = free_port()
    scrape = {"job_name": "self", "scrape_interval": "100ms", "scrape_timeout": "100ms"}
    config = {"scrape_configs": [{**scrape, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}
    short = ["--storage.tsdb.min-block-duration=5s", "--storage.tsdb.max-block-duration=20s"]
    server = Prometheus(tmp_path / "data", json.dumps(config), *(short if end == "compact" else ()), port=port)
    awaited = "wal/checkpoint.*" if end == "compact" else "chunks_head/0*"
    try:
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline and not any(server.folder.glob(awaited)):
            time.sleep(1)
        time.sleep(5)
        if end != "stop":
            server.kill()
    finally:
        server.stop()
    (server.folder / "lock").unlink(missing_ok=True)
    shutil.copytree(server.folder, tmp_path / "copy")
    found, skips = held(tmp_path / "copy")
    expected = dumped(promtool(server.folder))
    assert as_printed(found) == expected
    assert len(found) > 10_000
    if end == "stop":
        assert skips["sample of a log that a chunk of the head holds already"] > 1000
    if end == "compact":
        assert any((tmp_path / "copy").glob(awaited))
        assert skips["sample of a log that a block holds already"] > 1000
