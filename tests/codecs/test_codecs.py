"""Codecs: every array comes back bit for bit, and bytes written long ago still read."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.patterns import SPECIAL, bits_of, float_patterns, floats, series
from workbench import codecs, registry
from workbench.codecs import choose, lanes, page, table
from workbench.codecs.codec import Codec
from workbench.errors import InvalidInput

GOLDEN = Path(__file__).parents[1] / "golden" / "codecs.json"
IDS = {
    "constant": 1, "decimal": 2, "pco": 3, "raw": 4, "delta": 5, "pco-int": 6, "gorilla": 7, "sums": 8, "narrow": 9,
    "runs": 10, "dictionary": 11, "page": 12, "cadence": 13, "packed": 14,
}  # fmt: skip
EFFORTS = ("best", "quick", "fast")


def codec(name: str) -> Codec:
    return registry.load("workbench.codecs", name)()


@pytest.mark.parametrize("effort", EFFORTS)
@given(pattern=float_patterns)
@settings(max_examples=300)
def test_chosen_codec_returns_every_bit_of_floats(effort, pattern):
    array = floats(pattern)
    number, blob = codecs.encode(array, effort)
    assert bits_of(codecs.decode(number, blob, len(array))) == pattern


@pytest.mark.parametrize("effort", EFFORTS)
@given(
    numbers=st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=80),
        st.lists(st.integers(-1000, 1000), min_size=1, max_size=80),
        st.lists(st.sampled_from([-(2**63), 2**63 - 1, 0, 2**53 + 1]), min_size=1, max_size=80),
    )
)
@settings(max_examples=150)
def test_chosen_codec_returns_every_integer(effort, numbers):
    number, blob = codecs.encode(np.array(numbers, np.int64), effort)
    assert codecs.decode(number, blob, len(numbers), "int64").tolist() == numbers


@pytest.mark.parametrize("name", IDS)
@given(pattern=float_patterns)
@settings(max_examples=100)
def test_each_codec_returns_every_bit_or_declines(name, pattern):
    one = codec(name)
    array = floats(pattern) if "float64" in one.dtypes else np.array(pattern, np.uint64).view(np.int64)
    blob = one.encode(array)
    if blob is not None:
        out = np.empty_like(array)
        one.decode(blob, out)
        assert codecs.same_bits(out, array)


@pytest.mark.parametrize("name", ["delta", "cadence"])
@given(
    start=st.integers(0, 2**60),
    step=st.sampled_from([10**6, 10**9, 15 * 10**9, 60 * 10**9]),
    jitter=st.lists(st.integers(-3, 3), min_size=1, max_size=50),
)
def test_jittered_scrapes_come_back(name, start, step, jitter):
    times = start + np.arange(len(jitter), dtype=np.int64) * step + np.array(jitter, np.int64) * 10**5
    blob = codec(name).encode(times)
    assert (blob is None) == (name == "cadence" and len(times) < 3)
    if blob is None:
        return
    out = np.empty_like(times)
    codec(name).decode(blob, out)
    assert out.tolist() == times.tolist()


@pytest.mark.parametrize("effort", EFFORTS)
def test_steady_scrape_takes_a_head_only(effort):
    times = np.arange(1920, dtype=np.int64) * 15 * 10**9 + 1_767_225_600 * 10**9
    number, blob = codecs.encode(times, effort)
    assert (number, len(blob)) == (5, 25)


def samples() -> dict[str, np.ndarray]:
    """One array for each codec that is chosen, by its name."""
    rng = np.random.default_rng(1)
    return {
        "constant": np.full(500, -0.0),
        "narrow": np.round(rng.normal(size=1000).cumsum(), 2),
        "page": rng.normal(size=1000),
        "runs": np.repeat(rng.normal(size=20).round(3), 50),
        "dictionary": rng.choice(rng.normal(size=30), 1000),
        "sums": np.cumsum(rng.integers(1, 10**7, 1000) / 10**9),
    }


def test_choice_follows_the_data():
    assert {name: codecs.encode(array)[0] for name, array in samples().items()} == {n: IDS[n] for n in samples()}


def test_fast_choice_is_one_of_the_quick_forms():
    chosen = {name: codecs.encode(array, "fast")[0] for name, array in samples().items()}
    assert chosen == {"constant": 1, "narrow": 9, "page": 12, "runs": 10, "dictionary": 12, "sums": 12}


def test_one_stale_marker_does_not_cost_the_decimal_form():
    ended = np.append(samples()["narrow"], floats(SPECIAL[:1]))
    for effort in EFFORTS:
        number, blob = codecs.encode(ended, effort)
        assert number in ((9, 14) if effort == "quick" else (9,))
        assert len(blob) < len(codecs.encode(ended[:-1], effort)[1]) + 40


def test_old_forms_are_read_and_not_written():
    for name, array in samples().items():
        for quick in (False, True):
            assert not {number for number, _ in choose._smallest(array, quick)} & {2, 3, 6, 7}, name


def test_effort_that_is_neither_is_named():
    with pytest.raises(InvalidInput, match="'swift' is not known: use one of 'best', 'fast', 'quick'"):
        codecs.encode(np.ones(3), "swift")


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_form_that_does_not_come_back_is_never_kept(monkeypatch, effort):
    """Whatever is wrong in a codec or below it, other bytes are chosen."""
    honest = page.unpack

    def lying(mark: int, data: bytes, at: int, out: np.ndarray) -> None:
        honest(mark, data, at, out)
        out[len(out) // 2] += 1

    def also_lying(data: bytes, at: int, n: int) -> tuple[np.ndarray, int]:
        numbers, end = unpack(data, at, n)
        return numbers + (np.arange(n) == n // 2), end

    unpack = lanes.unpack
    monkeypatch.setattr(page, "unpack", lying)
    monkeypatch.setattr(lanes, "unpack", also_lying)
    for name, array in samples().items():
        number, blob = codecs.encode(array, effort)
        assert number in (1, 4), name
        assert codecs.same_bits(codecs.decode(number, blob, len(array)), array)


@pytest.mark.parametrize("name", IDS)
def test_damaged_bytes_are_an_error_or_another_array_never_a_crash(name):
    one = codec(name)
    array = np.array(samples().get(name, samples()["narrow"])[:200]) if "float64" in one.dtypes else np.arange(200) ** 2
    blob = one.encode(array)
    assert blob is not None
    for cut in range(len(blob)):
        with pytest.raises(ValueError, match=r"\w"):
            one.decode(blob[:cut], np.empty_like(array))
    rng = np.random.default_rng(2)
    for _ in range(300):
        broken = bytearray(blob)
        broken[rng.integers(len(blob))] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(ValueError):
            one.decode(bytes(broken), np.empty_like(array))


@pytest.mark.parametrize("name", IDS)
@given(noise=st.binary(max_size=120), n=st.integers(1, 300))
@settings(max_examples=60)
def test_noise_is_an_error_or_an_array(name, noise, n):
    one = codec(name)
    with contextlib.suppress(ValueError):
        one.decode(noise, np.empty(n, one.dtypes[0]))


def test_ids_are_distinct_and_fixed():
    assert {name: codec(name).id for name in IDS} == IDS
    assert set(table.installed()) >= set(IDS.values())
    with pytest.raises(ValueError, match="no codec has the id 200"):
        codecs.by_id(200)


def test_a_codec_of_the_other_kind_is_refused():
    with pytest.raises(ValueError, match="'delta' does not hold float64"):
        codecs.decode(5, codec("delta").encode(np.arange(9)), 9)
    with pytest.raises(ValueError, match="'page' does not hold int64"):
        codecs.decode(*codecs.encode(samples()["page"]), 1000, "int64")


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda c: c["name"])
def test_golden_bytes_still_read(case):
    out = codecs.decode(case["id"], bytes.fromhex(case["blob"]), len(case["bits"]), case["dtype"])
    assert [f"{b:016x}" for b in out.view(np.uint64).tolist()] == case["bits"]


def test_golden_bytes_hold_every_codec():
    assert {case["id"] for case in json.loads(GOLDEN.read_text())} == set(IDS.values())


def test_values_are_read_without_numba():
    """Whoever opens a store does not wait for a compiler."""
    code = (
        "import sys, json, numpy as np\n"
        "from workbench import codecs\n"
        "for case in json.loads(open(sys.argv[1]).read()):\n"
        "    if case['id'] != 7:\n"
        "        codecs.decode(case['id'], bytes.fromhex(case['blob']), len(case['bits']), case['dtype'])\n"
        "for effort in ('best', 'fast'):\n"
        "    for scale in (1.0, np.pi):\n"
        "        codecs.encode(np.arange(500.0) ** 2 * scale, effort)\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, GOLDEN], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def bytes_per_sample(path: Path, limit: int) -> float:
    """Value bytes of all series cut into chunks of `limit`, identical chunks once, by samples."""
    cuts = [v[at : at + limit] for _, v in series(path) for at in range(0, len(v), limit)]
    kept = {codecs.encode(c) for c in cuts}
    return sum(len(blob) for _, blob in kept) / sum(map(len, cuts))


def test_real_scrapes_take_less_than_a_quarter_byte_a_sample(shared_data):
    assert bytes_per_sample(shared_data / "store" / "scrape_1s.parquet", 1920) < 0.245


@pytest.mark.slow
def test_a_day_of_series_takes_less_than_one_and_a_half_bytes_a_sample(shared_data):
    assert bytes_per_sample(shared_data / "store" / "day_1000x15s.parquet", 5760) < 1.46
