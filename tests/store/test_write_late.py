"""Late, repeated and future samples: any order and any lateness, and of one instant the last write is read."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.store import worlds
from workbench.errors import ShapeError
from workbench.signals import Batch, Samples, build_samples, check_samples
from workbench.store import Store
from workbench.store import write as write_module
from workbench.store.future import TOO_FAR, without_future

HOUR, DAY = 3_600 * 10**9, 86_400 * 10**9
T0 = 20_484 * DAY
LAST = 9_214_646_400_000_000_000 - 1
BITS = [
    0x7FF0000000000002,
    0x7FF8000000000001,
    0xFFF8000000000123,
    0x7FF0000000000000,
    0xFFF0000000000000,
    1 << 63,
    0,
    5,
]
lateness = st.sampled_from([0, 1, 10**9, HOUR, DAY, 3 * DAY])
instants = st.one_of(
    st.tuples(st.integers(0, 4), lateness).map(lambda x: T0 + x[0] * 15 * 10**9 - x[1]), st.sampled_from([0, T0, LAST])
)
sample = st.tuples(st.sampled_from("abc"), instants, st.sampled_from(BITS))
steps = st.lists(
    st.tuples(st.sampled_from(["hot", "hot", "large", "seal"]), st.integers(0, 1), st.lists(sample, max_size=10)),
    max_size=8,
)


def as_batch(rows):
    names = sorted({r[0] for r in rows}) or ["a"]
    values = np.array([r[2] for r in rows], np.uint64).view(np.float64)
    which, time = [names.index(r[0]) for r in rows], np.array([r[1] for r in rows], np.int64)
    return Batch(build_samples([{"metric": n} for n in names], which, time, values))


def found(samples: Samples) -> dict[str, dict[int, int]]:
    owner = check_samples(samples).labels["metric"].to_numpy()[samples.series_of_sample()]
    out: dict[str, dict[int, int]] = {}
    for label, time, bits in zip(
        owner, samples.time.view(np.int64).tolist(), samples.value.view(np.uint64).tolist(), strict=True
    ):
        out.setdefault(label, {})[time] = bits
    return out


@given(steps, instants, instants)
@settings(max_examples=40)
def test_any_order_any_lateness_and_the_last_write_of_an_instant_is_read(story, one, two):
    start, end = min(one, two), max(one, two) + 1
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        handles = [stack.enter_context(Store.open(folder)) for _ in range(2)]
        writes = []
        for what, who, rows in story:
            if what == "seal":
                handles[who].seal()
                continue
            with patch.object(write_module, "_HOT_BYTES", 2**24 if what == "hot" else 0):
                handles[who].write(as_batch(rows))
            writes.append(rows)
        for handle in handles:
            whole = handle.select([])
            assert found(whole) == naive.stored_samples(writes, 0, LAST + 1)
            inside = handle.select([], np.datetime64(start, "ns"), np.datetime64(min(end, LAST), "ns"))
            assert found(inside) == naive.stored_samples(writes, start, min(end, LAST))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_write_of_the_same_instants_replaces_them_bit_for_bit(tmp_path, sealed):
    with Store.open(tmp_path / "s") as store:
        for k, bits in enumerate(BITS):
            store.write(as_batch([("a", T0, bits), ("a", T0 - HOUR, k)]))
            if sealed:
                store.seal()
            assert found(store.select([])) == {"a": {T0: bits, T0 - HOUR: k}}


@pytest.mark.parametrize("time", [-1, LAST + 1, 2**63 - 1, -(2**63)])
def test_instants_outside_the_years_that_can_be_kept_are_refused_whole(tmp_path, time):
    with Store.open(tmp_path / "s") as store:
        sound = as_batch([("a", 0, 0), ("a", LAST, 1)]).metrics
        for times in (np.array([0, time]), np.array([time, LAST])):
            if times[0] < times[1]:
                broken = Samples(sound.labels, sound.offsets, times.view("M8[ns]"), sound.value, sound.kind, sound.unit)
                with pytest.raises(ShapeError, match="1 instants outside 1970-2261"):
                    store.write(Batch(broken))
        assert store.select([]).n_samples == 0
        store.write(Batch(sound))
        assert store.select([]).time.view(np.int64).tolist() == [0, LAST]


def test_samples_too_far_ahead_are_counted_when_a_limit_is_asked_for():
    now = np.datetime64(T0, "ns")
    batch = as_batch([("a", T0 + HOUR, 1), ("a", T0 + HOUR + 1, 2), ("b", LAST, 3), ("c", 0, 4)])
    batch.skips["other"] = 2
    kept = without_future(batch, HOUR, now)
    assert found(kept.metrics) == {"a": {T0 + HOUR: 1}, "c": {0: 4}}
    assert kept.skips == {TOO_FAR: 2, "other": 2}
    assert batch.skips == {"other": 2}
    assert without_future(kept, HOUR, now) is kept
    assert without_future(batch, LAST, now) is batch
    assert without_future(Batch(), HOUR) == Batch()
    assert without_future(batch, HOUR).skips[TOO_FAR] == 1


def test_a_late_scrape_is_read_in_its_place(tmp_path):
    """An hour and a week late, over what was sealed meanwhile."""
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(worlds.samples(n=5, t=480)))
        store.seal()
        for hours in (1, 168):
            late = worlds.samples(n=5, t=1)
            time = late.time + 480 * 15 * worlds.S - hours * 3600 * worlds.S + worlds.S
            store.write(Batch(Samples(late.labels, late.offsets, time, late.value, late.kind, late.unit)))
            store.write(Batch(worlds.samples(n=5, t=1, start=480 + hours)))
            store.seal()
        got = check_samples(store.select([]))
        assert np.diff(got.offsets).tolist() == [484] * 5
