"""Damages Prometheus files again and again in one process, and reads them: run as a program, it prints what happened.

Half of the damage is hidden behind checksums made anew, so that the loops behind the checks meet it too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.sources import tsdb_files as files
from workbench.codecs.crc32c import checksum
from workbench.errors import SourceError
from workbench.signals import check_samples
from workbench.sources import ReadOptions
from workbench.sources.tsdb import PrometheusData

T0 = 1_700_000_000_000
Region = tuple[int, int, int]
"""First byte, the byte behind the last, and where their checksum stands."""


def values(*given: float) -> list[int]:
    return [int(np.float64(value).view(np.uint64)) for value in given]


def make(folder: Path) -> dict[str, tuple[Path, Path, list[Region]]]:
    """Write small files: name -> file, the folder that is read, and what of the file checksums cover."""
    noisy = values(*np.random.default_rng(3).normal(0, 1e6, 40))
    series = [
        ({"__name__": "up", "job": "a"}, [([T0, T0 + 15_000], values(1, 0)), ([T0 + 30_000], [0x7FF0000000000002])]),
        ({"__name__": "up", "job": "b"}, [([T0 + 15_000 * i + i * i % 7 for i in range(40)], noisy)]),
        ({"__name__": "z", "le": "+Inf"}, [([T0 + 1], values(-0.0)), ([T0 + 2, T0 + 99], values(2, 3))]),
    ]
    golden = json.loads((Path(__file__).parents[1] / "golden" / "prometheus_histograms.json").read_text())
    histograms = [(encoding, bytes.fromhex(data)) for encoding, data in golden]
    block = files.block(folder / "block", series, [(3, T0, T0 + 5)], histograms)
    records = [
        (files.series_record([(1, series[0][0]), (7, series[2][0])]), ""),
        (files.metadata_record([(1, 1, "s")]), ""),
        (files.samples_record([(1, T0 + i, i) for i in range(9)]), ""),
        (files.newer_samples_record([(7, T0 + i, i) for i in range(9)]), ""),
        (files.stones_record([(1, T0, T0 + 2)]), ""),
        (files.samples_record([(1, T0 + 100 + i, i) for i in range(20)]), "snappy"),
        (files.samples_record([(7, T0 + 100 + i, i) for i in range(20)]), "zstd"),
        (files.series_record([(i, {"__name__": "many", "i": str(i)}) for i in range(10, 16)]), "snappy"),
        (b"\x04" + bytes(16) + bytes(30), ""),
    ]
    (folder / "data" / "wal").mkdir(parents=True)
    (folder / "data" / "chunks_head").mkdir()
    log, head = folder / "data" / "wal" / "00000000", folder / "data" / "chunks_head" / "000001"
    log.write_bytes(files.log_segment(records))
    head.write_bytes(files.head_chunks([(1, ([T0 + 3, T0 + 4], values(1, 2)), False), (7, ([T0], values(5)), True)]))
    return {
        "index": (block / "index", block, list(index_regions((block / "index").read_bytes()))),
        "chunks": (block / "chunks" / "000001", block, list(chunk_regions((block / "chunks" / "000001").read_bytes()))),
        "tombstones": (block / "tombstones", block, [(5, len(files.tombstones([(3, T0, T0 + 5)])) - 4, -4)]),
        "wal": (log, folder / "data", list(log_regions(log.read_bytes()))),
        "head": (head, folder / "data", list(head_regions(head.read_bytes()))),
    }


def number(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        found |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return found, at


def index_regions(data: bytes) -> Iterator[Region]:
    toc = len(data) - 52
    size = int.from_bytes(data[5:9], "big")
    yield 9, 9 + size, 9 + size
    at, end = (int.from_bytes(data[toc + 8 * i : toc + 8 * i + 8], "big") for i in (1, 2))
    while at < end - 4:
        length, at = number(data, at)
        yield at, at + length, at + length
        at = -(-(at + length + 4) // 16) * 16
    yield toc, toc + 48, toc + 48


def chunk_regions(data: bytes) -> Iterator[Region]:
    at = 8
    while at < len(data):
        length, at = number(data, at)
        yield at, at + 1 + length, at + 1 + length
        at += length + 5


def log_regions(data: bytes) -> Iterator[Region]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        yield at + 7, at + 7 + length, at + 3
        at += 7 + length


def head_regions(data: bytes) -> Iterator[Region]:
    at = 8
    while at < len(data):
        length, place = number(data, at + 25)
        yield at, place + length, place + length
        at = place + length + 4


def damaged(whole: bytes, regions: list[Region], rng: np.random.Generator) -> bytes:
    data = bytearray(whole)
    kind = rng.random()
    if kind < 0.1:
        return bytes(data[: rng.integers(0, len(data))])
    if kind < 0.2:
        at = int(rng.integers(0, len(data)))
        data[at : at + int(rng.integers(0, 5))] = rng.bytes(int(rng.integers(0, 5)))
        return bytes(data)
    hidden = kind > 0.5
    low, high, _ = regions[rng.integers(len(regions))] if hidden else (0, len(data), 0)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(low, high))
        data[at] = (int(rng.integers(256)), 0, 255, 127, 128, data[at] ^ (1 << int(rng.integers(8))))[rng.integers(6)]
    if hidden:
        for low, high, place in regions:
            place %= len(data)
            data[place : place + 4] = checksum(bytes(data[low:high])).to_bytes(4, "big")
    return bytes(data)


def read(folder: Path, options: ReadOptions) -> tuple[str, int]:
    """Return what reading came to, and how many samples it gave."""
    count, skipped = 0, False
    try:
        for _, batch in PrometheusData().read_folder(folder, options):
            skipped |= bool(batch.skips)
            if batch.metrics is not None:
                check_samples(batch.metrics)
                count += batch.metrics.n_samples
    except SourceError as error:
        return "refused in several lines" if "\n" in str(error) else "refused", 0
    return "read with skips" if skipped else "read", count


def run(count: int, seed: int, seconds: float) -> dict[str, object]:
    rng, outcomes = np.random.default_rng(seed), Counter[str]()
    options, began, done, most = ReadOptions(), time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        made = [(name, *rest, rest[0].read_bytes()) for name, rest in make(Path(folder)).items()]
        for _, _, place, _, _ in made:
            assert read(place, options)[1] > 40
        while done < count and time.monotonic() - began < seconds:
            name, path, place, regions, whole = made[done % len(made)]
            path.write_bytes(damaged(whole, regions, rng))
            outcome, samples = read(place, options)
            outcomes[f"{name}: {outcome}"] += 1
            most, done = max(most, samples), done + 1
            path.write_bytes(whole)
    return {"done": done, "most": most, "seconds": time.monotonic() - began, "outcomes": dict(sorted(outcomes.items()))}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
