"""Remote-write requests: what protobuf itself reads of them, and only declared errors for anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.remote_write_schema import CLASSES, Row, newer, older
from workbench.errors import LimitExceeded, SourceError
from workbench.signals import check_samples
from workbench.signals.names import to_prometheus
from workbench.sources import ReadOptions
from workbench.sources.remote_write import NAMELESS, Request, read_request, unpack_request

OPTIONS = ReadOptions()
names = st.sampled_from(["job", "le", "metric", "ü"])
label_sets = st.dictionaries(names, st.text(max_size=6).filter(bool), max_size=3)
stamps = st.integers(0, 2**42)
numbers = st.floats(allow_nan=False)
rows = st.lists(
    st.tuples(label_sets, st.lists(st.tuples(stamps, numbers), max_size=5, unique_by=lambda s: s[0])), max_size=6
)


def held(request: Request) -> dict[tuple[tuple[tuple[str, str], ...], int], float]:
    found = {}
    for samples in request.samples:
        check_samples(samples)
        for i in range(len(samples)):
            row = samples.labels.iloc[i]
            labels = tuple(sorted((to_prometheus(str(name)), value) for name, value in row.items() if value))
            for j in range(samples.offsets[i], samples.offsets[i + 1]):
                found[(labels, int(samples.time[j].astype("datetime64[ms]").astype(np.int64)))] = float(
                    samples.value[j]
                )
    return found


@pytest.mark.parametrize(("make", "is_newer"), [(older, False), (newer, True)])
@settings(max_examples=60)
@given(made=rows)
def test_both_versions_say_what_protobuf_says(make: Any, is_newer: bool, made: list[Any]) -> None:
    named: list[Row] = [
        ([("__name__", f"m{i}"), *sorted(labels.items())], samples) for i, (labels, samples) in enumerate(made)
    ]
    request = read_request(make(named).SerializeToString(), newer=is_newer, options=OPTIONS)
    truth = {(tuple(sorted(labels)), time): value for labels, samples in named for time, value in samples}
    assert held(request) == truth
    assert not request.skips


def test_kind_and_unit_of_version_2() -> None:
    plain = newer([([("__name__", "x_seconds_total")], [(5, 1.0)])], kind=1, unit="s").SerializeToString()
    (samples,) = read_request(plain, newer=True, options=OPTIONS).samples
    assert (samples.kind.tolist(), samples.unit.tolist()) == (["counter"], ["s"])


def test_references_that_are_not_packed() -> None:
    request = newer([([("__name__", "a"), ("job", "b")], [(5, 1.0)])])
    refs = list(request.timeseries[0].labels_refs)
    request.timeseries[0].ClearField("labels_refs")
    series = b"".join(bytes([8, ref]) for ref in refs) + request.timeseries[0].SerializeToString()
    request.ClearField("timeseries")
    plain = request.SerializeToString() + bytes([42, len(series)]) + series
    assert list(held(read_request(plain, newer=True, options=OPTIONS))) == [((("__name__", "a"), ("job", "b")), 5)]


def test_what_is_not_stored_is_counted() -> None:
    request = older([([("__name__", "a")], [(5, 1.0)])])
    request.timeseries[0].exemplars.add(value=1)
    found = read_request(request.SerializeToString(), newer=False, options=OPTIONS)
    assert found.exemplars == 1


@pytest.mark.parametrize(
    "labels", [[], [("job", "x")], [("__name__", "")], [("__name__", "a"), ("job", "x"), ("job", "y")],
               [("__name__", "a"), ("", "x")]],
)  # fmt: skip
def test_series_without_sound_labels_are_left_out(labels: list[tuple[str, str]]) -> None:
    given: list[Row] = [(labels, [(1, 1.0), (2, 2.0)]), ([("__name__", "good")], [(3, 3.0)])]
    for make, is_newer in ((older, False), (newer, True)):
        found = read_request(make(given).SerializeToString(), newer=is_newer, options=OPTIONS)
        assert held(found) == {((("__name__", "good"),), 3): 3.0}
        assert found.skips == {NAMELESS: 2}


@pytest.mark.parametrize(
    "damage", [b"\x0a\xff", b"\x0a\x03\x0a\x01\x0a", b"\x00", b"\x0f", b"\xff" * 11, b"\x0a\x02\x10\x01"]
)
def test_damaged_messages_are_refused(damage: bytes) -> None:
    with pytest.raises(SourceError, match="no remote-write message of version 1"):
        read_request(damage, newer=False, options=OPTIONS)


def test_references_beyond_the_symbols_are_refused() -> None:
    request = CLASSES["Request"](symbols=["", "__name__"])
    request.timeseries.add(labels_refs=[1, 2]).samples.add(timestamp=1, value=1)
    with pytest.raises(SourceError, match="refers to text 2 of 2"):
        read_request(request.SerializeToString(), newer=True, options=OPTIONS)
    request.timeseries[0].labels_refs.append(1)
    with pytest.raises(SourceError, match="version 2"):
        read_request(request.SerializeToString(), newer=True, options=OPTIONS)


def test_mutated_requests_raise_only_what_is_declared() -> None:
    rng = np.random.default_rng(8)
    given: list[Row] = [
        ([("__name__", f"m{i}"), ("job", "x" * i)], [(1000 * i + j, j / 7) for j in range(i)]) for i in range(6)
    ]
    outcomes = [0, 0]
    for make, is_newer in ((older, False), (newer, True)):
        whole = make(given).SerializeToString()
        for _ in range(400):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), rng.integers(1, 4)).tolist():
                data[at] = int(rng.integers(256))
            plain = bytes(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.2 else data)
            try:
                held(read_request(plain, newer=is_newer, options=OPTIONS))
                outcomes[0] += 1
            except SourceError:
                outcomes[1] += 1
    assert min(outcomes) > 50


def test_snappy_that_lies_is_refused_before_memory_is_taken() -> None:
    packed = pa.Codec("snappy").compress(b"hello", asbytes=True)
    assert unpack_request(packed, 100) == b"hello"
    for lie in (
        b"\xff\xff\xff\xff\x07" + b"x" * 50,
        b"\xff\xff\x7f" + b"x" * 50,
        b"",
        b"\xff" * 12,
        packed[:-1],
        b"\x05" + b"\x00" * 9,
    ):
        with pytest.raises(SourceError, match="snappy"):
            unpack_request(lie, 20 * 2**20)
    bomb = pa.Codec("snappy").compress(bytes(30 * 2**20), asbytes=True)
    with pytest.raises(LimitExceeded):
        unpack_request(bomb, 20 * 2**20)
