"""Codecs: every array comes back bit for bit, and bytes written long ago still read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import codecs, registry
from workbench.codecs.choose import by_id
from workbench.codecs.codec import Codec

GOLDEN = Path(__file__).parents[1] / "golden" / "codecs.json"
NAMES = ("constant", "decimal", "pco", "raw", "delta", "pco-int")

SPECIAL = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000123, 0x7FF0000000000000, 0xFFF0000000000000,
           0x8000000000000000, 0, 1, 0x000FFFFFFFFFFFFF, 0x4340000000000000, 0x4340000000000001, 0x7FEFFFFFFFFFFFFF]  # fmt: skip
bits = st.one_of(st.sampled_from(SPECIAL), st.integers(0, 2**64 - 1))
decimals = st.integers(-(10**9), 10**9).map(lambda i: int(np.float64(i / 1000).view(np.uint64)))
float_bits = st.one_of(
    st.lists(bits, min_size=1, max_size=80),
    st.lists(decimals, min_size=1, max_size=80),
    st.lists(st.one_of(decimals, decimals, decimals, bits), min_size=1, max_size=80),
)


def floats(pattern: list[int]) -> np.ndarray:
    return np.array(pattern, np.uint64).view(np.float64)


def codec(name: str) -> Codec:
    return registry.load("workbench.codecs", name)()


@given(float_bits)
@settings(deadline=None, max_examples=200)
def test_chosen_codec_returns_every_bit_of_floats(pattern):
    array = floats(pattern)
    number, blob = codecs.encode(array)
    assert codecs.decode(number, blob, len(array)).view(np.uint64).tolist() == pattern


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=80))
@settings(deadline=None, max_examples=200)
def test_chosen_codec_returns_every_integer(numbers):
    number, blob = codecs.encode(np.array(numbers, np.int64))
    assert codecs.decode(number, blob, len(numbers), "int64").tolist() == numbers


@pytest.mark.parametrize("name", NAMES)
@given(pattern=float_bits)
@settings(deadline=None, max_examples=60)
def test_each_codec_returns_every_bit_or_declines(name, pattern):
    one = codec(name)
    array = floats(pattern) if "float64" in one.dtypes else np.array(pattern, np.uint64).view(np.int64)
    blob = one.encode(array)
    if blob is not None:
        out = np.empty_like(array)
        one.decode(blob, out)
        assert codecs.same_bits(out, array)


@given(
    st.integers(0, 2**60),
    st.sampled_from([10**6, 10**9, 15 * 10**9, 60 * 10**9]),
    st.lists(st.integers(-3, 3), min_size=1, max_size=50),
)
@settings(deadline=None)
def test_delta_returns_jittered_scrapes(start, step, jitter):
    times = start + np.arange(len(jitter), dtype=np.int64) * step + np.array(jitter, np.int64) * 10**5
    blob = codec("delta").encode(times)
    out = np.empty_like(times)
    codec("delta").decode(blob, out)
    assert out.tolist() == times.tolist()


def test_steady_scrape_takes_a_head_only():
    times = np.arange(1920, dtype=np.int64) * 15 * 10**9 + 1_767_225_600 * 10**9
    number, blob = codecs.encode(times)
    assert (number, len(blob)) == (5, 25)


def test_choice_follows_the_data():
    rng = np.random.default_rng(1)
    walk = np.round(rng.normal(size=1000).cumsum(), 2)
    assert codecs.encode(np.full(500, -0.0))[0] == 1
    assert codecs.encode(walk)[0] == 2
    assert codecs.encode(rng.normal(size=1000))[0] in (3, 4)
    ended = np.append(walk, floats([0x7FF0000000000002]))
    assert codecs.encode(ended)[0] == 2, "one stale marker must not cost the decimal form"


def test_decimal_declines_what_is_no_decimal():
    assert codec("decimal").encode(np.random.default_rng(1).normal(size=100)) is None
    assert codec("decimal").encode(np.full(4, np.nan)) is None


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes_are_an_error_or_another_array_never_a_crash(name):
    one = codec(name)
    array = np.arange(200, dtype=one.dtypes[0]) if name != "constant" else np.full(200, 7, one.dtypes[0])
    blob = one.encode(array)
    assert blob is not None
    for cut in range(len(blob)):
        with pytest.raises(ValueError, match=r"\w"):
            one.decode(blob[:cut], np.empty_like(array))
    rng = np.random.default_rng(2)
    for _ in range(200):
        broken = bytearray(blob)
        broken[rng.integers(len(blob))] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(ValueError):
            one.decode(bytes(broken), np.empty_like(array))


def test_ids_are_distinct_and_fixed():
    assert {name: codec(name).id for name in NAMES} == {
        "constant": 1, "decimal": 2, "pco": 3, "raw": 4, "delta": 5, "pco-int": 6,
    }  # fmt: skip
    with pytest.raises(ValueError, match="no codec has the id 200"):
        by_id(200)


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda c: c["name"])
def test_golden_bytes_still_read(case):
    out = codecs.decode(case["id"], bytes.fromhex(case["blob"]), len(case["bits"]), case["dtype"])
    assert [f"{b:016x}" for b in out.view(np.uint64).tolist()] == case["bits"]
