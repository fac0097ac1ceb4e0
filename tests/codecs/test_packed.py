"""Packed chunks: every bit comes back, and numpy, the compiled kernels and the obvious reading say the same of any bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.patterns import SPECIAL, bits_of, float_patterns, floats
from tests.naive import read_stream
from workbench.codecs import lanes, packed, scale
from workbench.codecs.packed import Packed

integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300), st.integers(2**40, 2**40 + 300), st.sampled_from([0, 1])
)
streams = st.one_of(
    st.lists(integers, min_size=1, max_size=40),
    st.lists(integers, min_size=1, max_size=6).flatmap(lambda few: st.lists(st.sampled_from(few), min_size=250, max_size=600)),
)  # fmt: skip


def chunk(array: np.ndarray) -> bytes:
    blob = Packed().encode(array)
    assert blob is not None
    return blob


def unpacked(blobs: list[bytes], counts: list[int], many: object) -> tuple[list[bool], list[np.ndarray]]:
    """Unpack chunks together, each from its second value to its last but one where it has that many."""
    length, count = np.array([len(b) for b in blobs]), np.array(counts)
    begin, end = np.minimum(1, count - 1), np.maximum(count - 1, 1)
    target = np.cumsum(end - begin) - (end - begin)
    out = np.zeros(int((end - begin).sum()))
    data = np.frombuffer(b"".join(blobs), np.uint8)
    sound = many(data, np.cumsum(length) - length, length, count, begin, end, target, out)
    return sound.tolist(), [out[t : t + e - b] for t, b, e in zip(target, begin, end, strict=True)]


def by_kernel(*given: np.ndarray) -> np.ndarray:
    from workbench.codecs.packed_kernels import unpack_many

    return unpack_many(*given, np.stack([scale.POWERS, scale.INVERSES]))


def by_numpy(*given: np.ndarray) -> np.ndarray:
    loaded, packed._loaded = packed._loaded, lambda values: False
    try:
        return packed.decode_many(*given)
    finally:
        packed._loaded = loaded


@given(numbers=streams, before=st.binary(max_size=3), orders=st.sampled_from([(0,), (0, 1), (0, 1, 2), (2,)]))
@settings(max_examples=200)
def test_streams_come_back_and_are_what_they_are_drawn_as(numbers, before, orders):
    if len(numbers) <= min(orders):
        return
    data = before + lanes.pack(np.array(numbers, np.int64), orders)
    found, end = lanes.unpack(data + b"\xff", len(before), len(numbers))
    assert (found.tolist(), end) == (numbers, len(data))
    assert read_stream(data, len(before), len(numbers)) == (numbers, len(data))


@given(patterns=st.lists(float_patterns, min_size=1, max_size=4))
@settings(max_examples=200)
def test_numpy_and_kernels_return_every_bit(patterns):
    arrays = [floats(pattern) for pattern in patterns]
    blobs = [chunk(array) for array in arrays]
    for array, blob in zip(arrays, blobs, strict=True):
        out = np.empty_like(array)
        Packed().decode(blob, out)
        assert bits_of(out) == bits_of(array)
    for many in (by_kernel, by_numpy):
        sound, parts = unpacked(blobs, [len(a) for a in arrays], many)
        assert all(sound)
        for array, part in zip(arrays, parts, strict=True):
            assert bits_of(part) == bits_of(array[min(1, len(array) - 1) : max(len(array) - 1, 1)])


def shapes() -> dict[str, np.ndarray]:
    """One array for each form, by what it is."""
    rng = np.random.default_rng(4)
    walk = rng.normal(size=1000).cumsum()
    return {
        "decimals": np.round(walk, 3),
        "counter": np.cumsum(rng.integers(0, 90, 700)).astype(float),
        "multiplied": rng.integers(0, 10**6, 700) * 0.001,
        "exceptions": np.append(np.round(walk, 2), floats(SPECIAL)),
        "nearly": np.round(walk, 2) / 3 * 3 + np.spacing(walk),
        "floats": walk,
        "table": rng.choice(walk[:40], 900),
        "table of decimals": rng.choice(np.round(walk[:60], 1), 900),
        "outliers": np.where(rng.random(800) < 0.02, 10.0**12, rng.integers(0, 9, 800).astype(float)),
        "blocks": np.arange(256.0) ** 2,
        "one": np.array([7.5]),
        "two": np.array([3.0, -1.0]),
    }


def test_each_form_occurs():
    heads = {name: chunk(array)[0] for name, array in shapes().items()}
    assert {head & 3 for head in heads.values()} == {packed.DIVIDED, packed.TIMES, packed.BITS, packed.TABLE}
    assert heads["exceptions"] & packed.EXCEPTIONS
    assert heads["nearly"] & packed.ADJUSTED


@pytest.mark.parametrize("name", shapes())
def test_damaged_bytes_are_judged_alike_by_numpy_and_kernels(name):
    """A chunk that one refuses the other refuses, and what one makes of it the other makes of it."""
    array, rng = shapes()[name], np.random.default_rng(5)
    blob = chunk(array)
    broken = [blob[:cut] for cut in rng.integers(0, len(blob), 60).tolist()] + [blob + b"\0"]
    for _ in range(120):
        one = bytearray(blob)
        one[rng.integers(len(one)) if rng.random() < 0.5 else rng.integers(min(12, len(one)))] ^= 1 << int(
            rng.integers(8)
        )
        broken.append(bytes(one))
    counts = [len(array)] * len(broken)
    (sound, parts), (also, others) = (unpacked(broken, counts, many) for many in (by_kernel, by_numpy))
    assert sound == also
    assert not any(sound[:61])
    for good, part, other in zip(sound, parts, others, strict=True):
        assert not good or bits_of(part) == bits_of(other)


@given(noise=st.lists(st.tuples(st.binary(max_size=90), st.integers(1, 600)), min_size=1, max_size=5))
@settings(max_examples=100)
def test_noise_is_judged_alike(noise):
    blobs, counts = [blob for blob, _ in noise], [n for _, n in noise]
    (sound, parts), (also, others) = (unpacked(blobs, counts, many) for many in (by_kernel, by_numpy))
    assert sound == also
    assert [bits_of(p) for p, s in zip(parts, sound, strict=True) if s] == [
        bits_of(p) for p, s in zip(others, also, strict=True) if s
    ]


def test_places_outside_the_bytes_or_the_result_are_refused():
    blob, one = chunk(np.arange(40.0)), np.ones(1, np.int64)
    data, out = np.frombuffer(blob, np.uint8), np.zeros(40)
    right = {"at": 0, "length": len(blob), "count": 40, "begin": 0, "end": 40, "target": 0}
    for name, wrong in [("at", -1), ("at", 1), ("length", len(blob) + 1), ("end", 41), ("begin", -1), ("target", 1)]:
        given = {**right, name: wrong}
        assert not by_kernel(data, *(one * v for v in given.values()), out).any(), (name, wrong)
    assert not out.any()
    assert by_kernel(data, *(one * v for v in right.values()), out).all()


def test_little_is_unpacked_without_numba():
    """A process that reads one series does not wait for numba; one that reads millions of values has it."""
    code = (
        "import sys; import numpy as np; from workbench.codecs.packed import Packed, decode_many\n"
        "a = np.arange(5000.0); b = Packed().encode(a); out = np.empty(5000)\n"
        "def read(): return decode_many(np.frombuffer(b, np.uint8), *(np.array([v]) for v in"
        " (0, len(b), 5000, 0, 5000, 0)), out)\n"
        "assert read().all() and (out == a).all(); print('numba' in sys.modules)\n"
        "for _ in range(1000): assert read().all()\n"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.slow
def test_kernels_stay_inside_their_arrays(tmp_path):
    """The cases above once more, compiled anew with numba's checks of every index."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
