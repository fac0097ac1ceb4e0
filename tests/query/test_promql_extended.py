"""What Prometheus calls experimental, on small cases of our own: ranges carried to their borders, `info`, shares, starts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.memory import SECOND, Memory, at, memory, seconds
from workbench.query.promql import evaluate_value
from workbench.query.promql.sampled import xxh64
from workbench.signals import build_samples

counters = st.lists(st.tuples(st.integers(10, 40), st.integers(0, 9)), min_size=12, max_size=40)


def counter(rises):
    """Return times and values of a counter that only rises, from instant 0 on."""
    steps = np.array(rises)
    return np.concatenate([[0], np.cumsum(steps[:, 0])]), np.concatenate([[0], np.cumsum(steps[:, 1])]).astype(float)


def asked(selector, expr, first, last=None, step=7):
    answer = evaluate_value(selector, expr, at(first), at(first if last is None else last), seconds(step))
    vector = answer.value
    found = {}
    for i in range(vector.labels.n):
        labels = tuple(sorted((k, str(v[i])) for k, v in vector.labels.columns.items() if v[i] != ""))
        found[labels] = {int(answer.steps[j]) / SECOND: vector.values[i, j] for j in np.flatnonzero(vector.present[i])}
    return found


@settings(max_examples=30)
@given(counters, st.sampled_from([30, 45, 100]))
def test_anchored_takes_the_value_before_the_window(rises, length):
    time, value = counter(rises)
    data = memory([({"metric": "x_total"}, list(zip(time, value, strict=True)))])
    (found,) = asked(data, f"increase(x_total[{length}s] anchored)", length, int(time[-1])).values()
    for now, got in found.items():
        before = value[np.searchsorted(time, now - length, side="right") - 1]
        assert got == value[np.searchsorted(time, now, side="right") - 1] - before


@settings(max_examples=30)
@given(counters, st.sampled_from([30, 45, 100]))
def test_smoothed_is_a_straight_line_between_samples(rises, length):
    time, value = counter(rises)
    data = memory([({"metric": "x_total"}, list(zip(time, value, strict=True)))])
    (line,) = asked(data, "x_total smoothed", 0, int(time[-1])).values()
    assert list(line.values()) == pytest.approx(np.interp(list(line), time, value), rel=1e-12)
    (found,) = asked(data, f"increase(x_total[{length}s] smoothed)", length, int(time[-1])).values()
    moments = np.array(list(found))
    wanted = np.interp(moments, time, value) - np.interp(moments - length, time, value)
    assert list(found.values()) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_info_adds_the_labels_of_what_is_known_of_a_target():
    data = memory(
        [
            ({"metric": "x", "instance": "a", "job": "j"}, [(0, 1.0)]),
            ({"metric": "x", "instance": "b", "job": "j"}, [(0, 2.0)]),
            ({"metric": "target_info", "instance": "a", "job": "j", "zone": "z1", "os": "linux"}, [(0, 1.0)]),
        ]
    )
    a, b = (("__name__", "x"), ("instance", "a"), ("job", "j")), (("__name__", "x"), ("instance", "b"), ("job", "j"))
    both = tuple(sorted([*a, ("zone", "z1"), ("os", "linux")]))
    assert asked(data, "info(x)", 0) == {both: {0: 1.0}, b: {0: 2.0}}
    assert asked(data, 'info(x, {zone=~".+"})', 0) == {tuple(sorted([*a, ("zone", "z1")])): {0: 1.0}}
    assert asked(data, 'info(x, {zone="z2"})', 0) == {}


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_the_hash_is_the_published_one(data, known):
    assert xxh64(data) == known


@settings(max_examples=30)
@given(st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_a_share_and_the_rest_are_everything_once(n, share):
    data = memory([({"metric": "x", "i": str(i)}, [(0, float(i))]) for i in range(n)])
    some, rest = asked(data, f"limit_ratio({share}, x)", 0), asked(data, f"limit_ratio({share - 1}, x)", 0)
    assert not some.keys() & rest.keys()
    assert some | rest == asked(data, "x", 0)
    assert len(asked(data, "limitk(4, x)", 0)) == min(n, 4)


def test_counters_that_begin_anew_at_every_sample_are_added():
    time = np.arange(1, 6) * 60 * SECOND
    plain = build_samples([{"metric": "x_total"}], np.zeros(5, np.int64), time, np.full(5, 5.0))
    anew = build_samples(
        [{"metric": "x_total"}], np.zeros(5, np.int64), time, np.full(5, 5.0), start=time - 60 * SECOND
    )
    assert asked(Memory(plain), "increase(x_total[3m])", 300) == {(): {300: 0.0}}
    assert asked(Memory(anew), "increase(x_total[3m])", 300) == {(): {300: 15.0}}
