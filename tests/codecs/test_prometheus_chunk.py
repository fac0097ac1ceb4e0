"""XOR chunks: the very bytes of Prometheus, both ways, and an error for everything else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.codecs.blocks import chunks, dump, make
from workbench.codecs.crc32c import checksum
from workbench.codecs.prometheus_chunk import MOST, padded, read_xor_chunk, read_xor_chunks, write_xor_chunk

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "prometheus_chunks.json").read_text())
SPECIAL = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000123, 0x7FF0000000000000, 1 << 63, 0, 1, 2**64 - 1]

value_bits = st.one_of(
    st.sampled_from(SPECIAL),
    st.integers(0, 2**64 - 1),
    st.integers(-500, 500).map(lambda i: int(np.float64(i / 10).view(np.uint64))),
)
steps = st.one_of(
    st.just(15_000),
    st.integers(14_990, 15_010),
    st.sampled_from([8191, 8192, 8193, 65535, 65536, 65537, 524287, 524288, 524289, 2**40]).flatmap(
        lambda edge: st.sampled_from([15_000 + edge, 15_000 - edge])
    ),
    st.integers(-(2**63), 2**63 - 1),
)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus is not installed")


def wrapped(numbers: list[int]) -> list[int]:
    return [(n + 2**63) % 2**64 - 2**63 for n in numbers]


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.tuples(steps, value_bits), max_size=60))
def test_bytes_are_those_of_the_bit_by_bit_twin(start, rows):
    times = wrapped([start + sum(step for step, _ in rows[:i]) for i in range(len(rows))])
    bits = np.array([b for _, b in rows], np.uint64)
    data = write_xor_chunk(np.array(times, np.int64), bits.view(np.float64))
    if rows:
        assert data == naive.xor_chunk(times, bits.tolist())
    time_ms, value = read_xor_chunk(data)
    assert time_ms.tolist() == times
    assert value.view(np.uint64).tolist() == bits.tolist()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: c["series"])
def test_chunks_of_a_real_prometheus_read_and_write_back(case):
    data = bytes.fromhex(case["chunk"])
    time_ms, value = read_xor_chunk(data)
    assert len(time_ms) == case["samples"]
    assert (int(time_ms[0]), int(time_ms[-1])) == tuple(case["times"])
    assert [f"{b:016x}" for b in value[[0, -1]].view(np.uint64).tolist()] == case["bits"]
    assert write_xor_chunk(time_ms, value) == data


def compare(folder: Path, blocks: list[Path]) -> int:
    """Every chunk of the blocks: read, the same samples as promtool prints, and the same bytes when written again."""
    found = [chunk for block in blocks for chunk in chunks(block)]
    times, values = zip(*map(read_xor_chunk, found), strict=True)
    assert [write_xor_chunk(t, v) for t, v in zip(times, values, strict=True)] == found
    series = dump(folder)
    assert np.array_equal(np.concatenate(times), np.concatenate([t for t, _ in series.values()]))
    printed = np.concatenate([v for _, v in series.values()])
    ours = np.concatenate(values)
    assert np.array_equal(ours, printed, equal_nan=True)
    assert np.array_equal(np.signbit(ours)[ours == 0], np.signbit(printed)[ours == 0])
    return len(found)


@needs_promtool
def test_blocks_of_promtool(tmp_path):
    """Jitter of all bucket widths, gaps, a decimal walk, noise, a counter, NaN, infinities and both zeros."""
    rng = np.random.default_rng(7)
    n = 400
    start = 1_767_232_860_000  # all samples in one block of two hours
    odd = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 1.0, 5e-324]
    columns = {
        "walk": np.round(rng.normal(size=n).cumsum(), 2), "noise": rng.normal(size=n), "ones": np.ones(n),
        "requests_total": rng.integers(0, 50, n).cumsum(), "odd": np.resize(odd, n),
    }  # fmt: skip
    text = ""
    for i, (name, column) in enumerate(columns.items()):
        times = start + np.arange(n) * 15_000 + rng.choice([0, 1, 3, -4, 900], n)
        times[:: 7 + i] += [0, 7_000, 5][i % 3]
        words = [{"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(v), repr(float(v))) for v in column.tolist()]
        text += f"# TYPE {name.removesuffix('_total')} {'counter' if 'total' in name else 'gauge'}\n"
        text += "".join(f"{name} {w} {t / 1000:.3f}\n" for t, w in zip(times.tolist(), words, strict=True))
    folder = make(tmp_path, text + "# EOF\n")
    assert compare(folder, [p for p in folder.iterdir() if (p / "chunks").is_dir()]) >= 5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's prometheus is not installed")
def test_block_of_a_prometheus_that_scrapes_itself(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "p.yml").write_text(
        "{global: {scrape_interval: 1s}, "
        f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['{address}']}}]}}]}}"
    )
    command = ["prometheus", f"--config.file={tmp_path / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
               f"--web.listen-address={address}", "--web.enable-admin-api", "--log.level=error"]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path) as server:
        try:
            time.sleep(12)
            url = f"http://{address}/api/v1/admin/tsdb/snapshot"
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30) as answer:
                name = json.load(answer)["data"]["name"]
        finally:
            server.send_signal(signal.SIGTERM)
    folder = tmp_path / "data" / "snapshots" / name
    assert compare(folder, [p for p in folder.iterdir() if (p / "chunks").is_dir()]) > 300


def test_more_samples_than_a_chunk_counts_are_refused():
    with pytest.raises(ValueError, match="at most 65535"):
        write_xor_chunk(np.zeros(MOST + 1, np.int64), np.zeros(MOST + 1))
    with pytest.raises(ValueError, match="2 times and 3 values"):
        write_xor_chunk(np.zeros(2, np.int64), np.zeros(3))
    times, values = read_xor_chunk(write_xor_chunk(np.arange(MOST), np.ones(MOST)))
    assert (len(times), int(times[-1]), values.sum()) == (MOST, MOST - 1, MOST)


@given(st.sampled_from(GOLDEN), st.data())
@settings(max_examples=150)
def test_malformed_chunks_are_an_error_or_other_samples(case, data):
    broken = bytearray.fromhex(case["chunk"])
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ValueError):
        time_ms, value = read_xor_chunk(bytes(broken))
        assert len(time_ms) == len(value) == int.from_bytes(broken[:2], "big")


def test_every_cut_and_every_addition_is_an_error():
    data = bytes.fromhex(GOLDEN[0]["chunk"])
    for wrong in [data[:n] for n in range(len(data))] + [data + b"\0", data + data]:
        with pytest.raises(ValueError, match=r"\w"):
            read_xor_chunk(wrong)


@given(st.binary(max_size=200))
def test_noise_is_an_error_or_samples(noise):
    with contextlib.suppress(ValueError):
        time_ms, _ = read_xor_chunk(noise)
        assert len(time_ms) == int.from_bytes(noise[:2], "big")


@pytest.mark.slow
def test_malformed_chunks_stay_inside_their_arrays(tmp_path):
    """The same under bounds checks, compiled into an empty cache: an index outside would be an IndexError."""
    code = (
        "import json, sys, numpy as np\n"
        "from workbench.codecs.prometheus_chunk import read_xor_chunk\n"
        "from workbench.codecs.gorilla import Gorilla\n"
        "rng = np.random.default_rng(3)\n"
        "right = 0\n"
        "for case in json.load(open(sys.argv[1])):\n"
        "    data = bytes.fromhex(case['chunk'])\n"
        "    for i in range(400):\n"
        "        broken = bytearray(data[: rng.integers(len(data) + 1)] if i % 4 == 0 else data)\n"
        "        for _ in range(i % 4):\n"
        "            broken[rng.integers(len(broken))] ^= int(rng.integers(1, 256))\n"
        "        for read in (read_xor_chunk, lambda b: Gorilla().decode(b[3:], np.empty(100))):\n"
        "            try:\n"
        "                read(bytes(broken)); right += 1\n"
        "            except ValueError:\n"
        "                pass\n"
        "print('right', right)\n"
    )
    setting = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    golden = Path(__file__).parents[1] / "golden" / "prometheus_chunks.json"
    done = subprocess.run(
        [sys.executable, "-c", code, golden], env=setting, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[1]) > 100


def together(chunks: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    end = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)
    return padded(b"".join(chunks)), np.concatenate([[0], end[:-1]]).astype(np.int64), end


samples = st.tuples(st.integers(-(2**63), 2**63 - 1), st.lists(st.tuples(steps, value_bits), max_size=30))


@given(st.lists(samples, min_size=1, max_size=6))
def test_many_chunks_at_once_are_each_by_itself(rows):
    made = []
    for start, pairs in rows:
        times = wrapped([start + sum(step for step, _ in pairs[:i]) for i in range(len(pairs))])
        made.append((times, np.array([b for _, b in pairs], np.uint64)))
    chunks = [write_xor_chunk(np.array(times, np.int64), bits.view(np.float64)) for times, bits in made]
    found = read_xor_chunks(*together(chunks))
    assert found.sound.all()
    assert found.time_ms.tolist() == [time for times, _ in made for time in times]
    assert found.value.view(np.uint64).tolist() == [bit for _, bits in made for bit in bits.tolist()]


@given(st.binary(max_size=80), st.integers(0, 200))
def test_of_bytes_that_may_be_no_chunk_both_ways_say_the_same(data, n):
    data = n.to_bytes(2, "big") + data
    found = read_xor_chunks(*together([data, write_xor_chunk(np.array([5]), np.array([2.0]))]))
    assert found.time_ms[-1] == 5
    assert found.value[-1] == 2.0
    for size in range(len(data), 1, -1):  # one way also looks at what stands behind the last sample
        try:
            times, values = read_xor_chunk(data[:size])
        except ValueError:
            continue
        assert found.sound[0]
        assert found.time_ms[:-1].tolist() == times.tolist()
        assert found.value[:-1].view(np.uint64).tolist() == values.view(np.uint64).tolist()
        return
    assert not found.sound[0] or n == 0 or found.offsets[1] == n


def test_chunks_outside_the_array_are_refused():
    data, begin, end = together([write_xor_chunk(np.array([5]), np.array([2.0]))])
    with pytest.raises(ValueError, match="do not lie within"):
        read_xor_chunks(data, begin, end + 60)


@given(st.binary(max_size=100))
def test_crc32c_of_its_twin(data):
    assert checksum(data) == naive.crc32c(data)
