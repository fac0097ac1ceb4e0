"""Native histograms: what a live Prometheus was sent is what its chunks are found to hold."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live_prometheus import Prometheus
from tests.sources.native_messages import BASE, Sample, add, observed
from tests.sources.remote_write_schema import CLASSES
from workbench.codecs.prometheus_chunk import XorChunks, padded
from workbench.codecs.prometheus_histogram import HistogramChunks, read_histogram_chunks
from workbench.signals import concat_samples
from workbench.signals.histograms import check_histograms
from workbench.sources import ReadOptions
from workbench.sources.tsdb import PrometheusData
from workbench.sources.tsdb.chunks import Segments
from workbench.sources.tsdb.histograms import mixed
from workbench.sources.tsdb.index import read_index
from workbench.store import Store


@pytest.fixture(scope="module")
def live(debian: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that takes histograms."""
    flags = ["--enable-feature=native-histograms", "--web.enable-remote-write-receiver", "--web.enable-admin-api"]
    server = Prometheus(tmp_path_factory.mktemp("histograms") / "data", "", *flags)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def block(live: Prometheus) -> tuple[Path, dict[str, Any]]:
    """A snapshot of a Prometheus that was sent histograms, and what it was sent."""
    now = int(time.time() * 1000) - 3_600_000
    sent: dict[str, Any] = {}
    for seed in range(6):
        whole = seed < 3
        samples = {now + 1000 * i + i % 7: each for i, each in enumerate(observed(seed, 200, whole=whole))}
        sent[f"h{seed}"] = samples
        request = CLASSES["WriteRequest"]()
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=f"h{seed}")
        for at, sample in samples.items():
            add(series, at, sample, whole=whole)
        body = pa.Codec("snappy").compress(request.SerializeToString(), asbytes=True)
        answer = httpx.post(f"{live.url}/api/v1/write", content=body)
        assert answer.status_code == 204, answer.text
    made = httpx.post(f"{live.url}/api/v1/admin/tsdb/snapshot").json()
    return live.folder / "snapshots" / made["data"]["name"], sent


def chunks_of(folder: Path) -> tuple[list[str], np.ndarray, HistogramChunks]:
    (where,) = [path for path in folder.iterdir() if path.is_dir()]
    index = read_index(where / "index", ReadOptions(), Counter())
    found = Segments(where / "chunks", index.chunk).load(index.chunk, slice(None))
    names = index.table.frame(np.arange(len(index.table)), 99)[0]["metric"].tolist()
    got = read_histogram_chunks(found.data, found.begin, found.end, found.encoding)
    return [name for name, n in zip(names, np.diff(index.offsets), strict=True) for _ in range(n)], found.encoding, got


def test_chunks_hold_what_was_sent(block: tuple[Path, dict[str, Any]]) -> None:
    folder, sent = block
    names, encodings, got = chunks_of(folder)
    assert got.sound.all()
    assert set(encodings.tolist()) == {2, 3}
    seen = dict.fromkeys(sent, 0)
    for i, name in enumerate(names):
        for j in range(got.offsets[i], got.offsets[i + 1]):
            truth = sent[name][int(got.time_ms[j])]
            cells = slice(got.cells[j], got.cells[j + 1])
            assert (np.diff(got.key[cells]) > 0).all()
            buckets = {int(k): v for k, v in zip(got.key[cells].tolist(), got.bucket[cells].tolist(), strict=True) if v}
            if truth.sum != truth.sum:
                assert got.sum[j].view(np.uint64) == 0x7FF0000000000002
                assert not buckets
            else:
                found = Sample(
                    got.count[j], got.sum[j], got.schema[j], got.zero_threshold[j], got.zero_count[j], buckets
                )
                assert found == truth
                assert got.hint[j] in (0, 1, 2)
            seen[name] += 1
    assert seen == {name: len(samples) for name, samples in sent.items()}


def stored(folder: Path, place: Path) -> dict[str, dict[int, Sample]]:
    """What a store says of a data directory that was read into it."""
    found: dict[str, dict[int, Sample]] = {}
    with Store.open(place) as store:
        for _, batch in PrometheusData().read_folder(folder, ReadOptions()):
            assert not batch.skips
            store.write(batch)
        store.seal()
        got = store.select([])
    assert got.histograms is not None
    assert got.row is not None
    for i, series in enumerate(got.series_of_sample().tolist()):
        h = got.histograms.unpack(int(got.row[i]))
        buckets = {BASE + k: v for k, v in h.positive.items() if v} | {-BASE - k: v for k, v in h.negative.items() if v}
        at = int(got.time[i].astype("datetime64[ms]").astype(np.int64))
        one = Sample(h.count, h.sum, h.schema, h.zero_threshold, h.zero_count, buckets)
        found.setdefault(str(got.labels["metric"].iloc[series]), {})[at] = one
    return found


def assert_sent(found: dict[str, dict[int, Sample]], sent: dict[str, Any]) -> None:
    assert {name: sorted(samples) for name, samples in found.items()} == {n: sorted(s) for n, s in sent.items()}
    for name, samples in sent.items():
        for at, truth in samples.items():
            if truth.sum == truth.sum:
                assert found[name][at] == truth
            else:
                assert np.float64(found[name][at].sum).view(np.uint64) == 0x7FF0000000000002


def test_a_block_is_stored(block: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert_sent(stored(block[0], tmp_path / "s"), block[1])


def test_a_log_is_stored(block: tuple[Path, dict[str, Any]], live: Prometheus, tmp_path: Path) -> None:
    shutil.copytree(live.folder / "wal", tmp_path / "data" / "wal")
    assert_sent(stored(tmp_path / "data", tmp_path / "s"), block[1])


def test_block_and_log_say_the_same(block: tuple[Path, dict[str, Any]], live: Prometheus, tmp_path: Path) -> None:
    """Bit for bit, but for what a log knows of resets, and of what a series was when it ended."""
    shutil.copytree(live.folder / "wal", tmp_path / "data" / "wal")
    told = [
        concat_samples([b.metrics for _, b in PrometheusData().read_folder(f, ReadOptions()) if b.metrics is not None])
        for f in (block[0], tmp_path / "data")
    ]
    left, right = (unhinted(samples.histograms) for samples in told)
    assert left == right
    assert len(left) == 1194


def unhinted(pool: Any) -> list[str]:
    return sorted(
        repr(replace(pool.compact().unpack(i), hint=0)) for i in np.flatnonzero(pool.sum == pool.sum).tolist()
    )


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=120), max_size=4), st.integers(1, 30), st.integers(2, 3))
def test_any_bytes_are_a_chunk_or_not(parts: list[bytes], n: int, encoding: int) -> None:
    parts = [n.to_bytes(2, "big") + b"\x00\x00" + part for part in parts]
    end = np.cumsum([len(part) for part in parts], dtype=np.int64)
    begin = np.concatenate([[0], end[:-1]]).astype(np.int64) if parts else end
    got = read_histogram_chunks(padded(b"".join(parts)), begin, end, np.full(len(parts), encoding))
    assert len(got.time_ms) == got.offsets[-1] == n * got.sound.sum()
    assert got.cells[-1] == len(got.key) == len(got.bucket) <= 8 * sum(map(len, parts))


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "prometheus_histograms.json").read_text())


def test_chunks_of_an_earlier_prometheus_are_read_as_ever() -> None:
    """Four chunks of Prometheus 2.42, of the first nine samples of two series."""
    parts = [bytes.fromhex(data) for _, data in GOLDEN]
    end = np.cumsum([len(part) for part in parts], dtype=np.int64)
    begin = np.concatenate([[0], end[:-1]]).astype(np.int64)
    got = read_histogram_chunks(padded(b"".join(parts)), begin, end, np.array([encoding for encoding, _ in GOLDEN]))
    truth = observed(1, 9, whole=True) + observed(4, 9, whole=False)
    assert got.time_ms.tolist() == [1_700_000_000_000 + 1000 * i + i % 7 for i in range(9)] * 2
    for j, each in enumerate(truth):
        cells = slice(got.cells[j], got.cells[j + 1])
        buckets = {k: v for k, v in zip(got.key[cells].tolist(), got.bucket[cells].tolist(), strict=True) if v}
        assert buckets == each.buckets
        assert got.sum[j] == each.sum or each.sum != each.sum
        assert (each.sum != each.sum) or (got.count[j], got.zero_count[j]) == (each.count, each.zero_count)


def test_a_chunk_of_custom_buckets() -> None:
    """Written bit by bit: schema -53, two buckets, bounds 0.5 and pi."""
    pi = int(np.float64(np.pi).view(np.uint64))
    text = "00000000"  # no threshold
    text += "111110" + f"{-53 & 2**18 - 1:018b}"
    text += "10001" + "10010" + "0"  # one positive span of two buckets from index 0
    text += "0" + "10010"  # no negative ones; two bounds
    text += "11110" + f"{501:012b}" + "0" + f"{pi:064b}"
    text += "1110" + f"{7:09b}" + "11110" + f"{100:012b}" + "0" + f"{int(np.float64(2.5).view(np.uint64)):064b}"
    text += "1110" + f"{40:09b}" + "1110" + f"{20:09b}"  # 40, then 20 more
    text += "0" * (-len(text) % 8)
    data = b"\x00\x01\xc0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    got = read_histogram_chunks(padded(data), np.array([0]), np.array([len(data)]), np.array([2]))
    assert got.sound.tolist() == [True]
    assert (got.time_ms[0], got.schema[0], got.hint[0], got.count[0], got.sum[0]) == (7, -53, 3, 100, 2.5)
    assert got.key.tolist() == [BASE, BASE + 1]
    assert got.bucket.tolist() == [40, 60]
    assert got.bounds[0].tolist() == [0.5, np.pi]


def test_a_flipped_bit_changes_one_chunk_at_most(block: tuple[Path, dict[str, Any]]) -> None:
    (where,) = [path for path in block[0].iterdir() if path.is_dir()]
    index = read_index(where / "index", ReadOptions(), Counter())
    found = Segments(where / "chunks", index.chunk).load(index.chunk, slice(None))
    rng = np.random.default_rng(2)
    for _ in range(100):
        data = found.data.copy()
        i = int(rng.integers(len(found.begin)))
        at = int(rng.integers(found.begin[i], found.end[i]))
        data[at] ^= 1 << int(rng.integers(8))
        got = read_histogram_chunks(data, found.begin, found.end, found.encoding)
        assert got.sound.sum() >= len(found.begin) - 1


def test_chunks_that_make_no_sense_leave_nothing_behind() -> None:
    """Of three chunks the keys of one fall and the bounds of another: only the sound one is in the pool."""
    custom = -53
    got = HistogramChunks(
        offsets=np.array([0, 1, 2, 3]),
        time_ms=np.array([1000, 2000, 3000]),
        schema=np.array([0, custom, 3]),
        hint=np.zeros(3, np.int64),
        zero_threshold=np.zeros(3),
        zero_count=np.zeros(3),
        count=np.array([3.0, 1.0, 2.0]),
        sum=np.array([1.0, 2.0, 3.0]),
        cells=np.array([0, 2, 3, 5]),
        key=np.array([BASE + 4, BASE + 2, BASE, BASE + 1, BASE + 2]),
        bucket=np.array([1.0, 2.0, 1.0, 1.0, 1.0]),
        bounds=[np.empty(0), np.array([2.0, 1.0]), np.empty(0)],
        sound=np.ones(3, bool),
    )
    numbers = XorChunks(np.zeros(4, np.int64), np.empty(0, np.int64), np.empty(0), np.ones(3, bool))
    lost: list[int] = []
    found = mixed(numbers, got, np.ones(3, bool), lambda chunk, why: lost.append(chunk))
    assert lost == [0, 1]
    assert (found.offsets.tolist(), found.row.tolist(), len(found.pool)) == ([0, 0, 0, 1], [0], 1)
    assert check_histograms(found.pool).sum.tolist() == [3.0]
    assert found.pool.key.tolist() == [BASE + 1, BASE + 2]
