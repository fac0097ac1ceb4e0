"""The default detector, its streams, and from scores to alarms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.detect import Alarm, Refractory, Watchdog, discoveries, expectations, to_score, to_surprise
from workbench.detect.members.change import Change
from workbench.detect.members.seasonal import Envelope, Seasonal
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import build_events

STEP = 300.0


def days(count: int, series: int = 3, seed: int = 0) -> np.ndarray:
    """Noise around a daily season, five-minute steps."""
    generator = np.random.default_rng(seed)
    day = np.sin(np.arange(count * 288) / 288 * 2 * np.pi)
    return 100 + 10 * day + generator.normal(0, 1, (series, count * 288))


def test_a_fault_stands_out_and_quiet_days_do_not() -> None:
    values = days(6)
    values[0, 1500:1530] += 12
    scores = Watchdog().score(values, step=STEP)
    fired = Alarm().fires(scores, step=STEP)
    assert 1500 in np.flatnonzero(fired[0]) or 1501 in np.flatnonzero(fired[0])
    assert (fired[1:, 576:] > 0).sum() <= 2
    assert scores[0, 1502] > 0.3


def test_the_band_holds_the_quiet_values() -> None:
    values = days(6)
    band = Watchdog().expected(values, step=STEP)
    late = slice(3 * 288, None)
    inside = (values >= band.low) & (values <= band.high)
    assert inside[:, late].mean() > 0.99
    assert np.abs(band.center - values)[:, late].mean() < 1.5
    assert (band.low[:, late] < band.center[:, late]).all()


@pytest.mark.parametrize("factor", [1e-300, 1e290])
def test_the_band_comes_back_in_the_unit_of_the_values(factor: float) -> None:
    values = days(3, 1)
    plain, scaled = Watchdog().expected(values, step=STEP), Watchdog().expected(values * factor, step=STEP)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(other / factor, one, rtol=1e-6)


def test_streams_grow_are_kept_and_go_on() -> None:
    values = days(2, 4)
    whole = Watchdog().score(values, step=STEP)
    stream = Watchdog().stream(2, step=STEP)
    first = np.stack([stream.update(column) for column in values[:2, :100].T], axis=1)
    np.testing.assert_array_equal(first, whole[:2, :100])
    stream.grow(2)
    assert len(stream) == 4
    assert stream.nbytes > 4 * 20_000
    stream = Watchdog().resume(stream.arrays())
    rest = Watchdog().combine(stream.parts(values[:, 100:]), STEP)
    np.testing.assert_array_equal(to_score(rest[:2]), whole[:2, 100:])
    late = Watchdog().score(np.where(np.arange(576) < 100, np.nan, values[2:]), step=STEP)
    np.testing.assert_array_equal(to_score(rest[2:]), late[:, 100:])


def test_weights_change_with_the_step() -> None:
    dog = Watchdog()
    assert dict(zip(dog.features, dog.shares(300.0), strict=True))["burst"] == 0.0
    assert dict(zip(dog.features, dog.shares(10.0), strict=True))["burst"] == 0.7
    assert dog.shares(60.0).sum() == pytest.approx(1.0)
    assert replace(dog, weights=(1, 0, 0, 0, 0, 1)).shares(10.0).tolist() == [0.5, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Watchdog(members=()), "at least one member"),
        (lambda: Watchdog(weights=(1.0,)), "6 are needed"),
        (lambda: Watchdog(weights=(0.0,) * 6), "not all 0"),
        (lambda: Envelope(days=0), "days >= 1"),
        (lambda: Seasonal(favour=(1.0, 1.0, 1.0, 0.0)), "four positive"),
        (lambda: Change(short=50), "short < long"),
        (lambda: Refractory(escalate=0.5), "escalate >= 1"),
        (lambda: Alarm(threshold=0.0), "0 < threshold <= 1"),
        (lambda: Watchdog().stream(2, step=0.0), "more than 0"),
        (lambda: Watchdog().resume({"a": np.zeros(2)}), "tick, step and exponent"),
        (lambda: Watchdog().resume(Change().stream(2).arrays()), "is not that of"),
    ],
)
def test_what_cannot_work_is_refused(make: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()  # type: ignore[operator]


def test_shapes_are_explained() -> None:
    with pytest.raises(ShapeError, match="shape \\(series, time\\)"):
        Watchdog().score(np.zeros(3))
    with pytest.raises(ShapeError, match="stream of 2"):
        Watchdog().stream(2).update(np.zeros(3))
    with pytest.raises(ShapeError, match="one for each"):
        Alarm().fires(np.zeros((2, 3)), factor=np.ones((2, 2)))


@given(st.lists(st.lists(st.sampled_from([np.nan, 0.0, 0.1, 0.2, 0.4, 0.9]), min_size=6, max_size=6), max_size=6))
def test_discoveries_are_those_of_the_step_up_rule(rows: list[list[float]]) -> None:
    scores = np.array(rows, np.float64).reshape(-1, 6)
    found = discoveries(scores, 0.15)
    for column in range(6):
        twin = naive.discoveries(scores[:, column].tolist(), 0.15, 0.06)
        assert found[:, column].tolist() == twin


def test_many_series_need_more_alone_than_together() -> None:
    alone, together = np.zeros((1000, 1)), np.zeros((1000, 1))
    alone[0] = together[:500] = 0.2
    assert not discoveries(alone, 0.15).any()
    assert discoveries(together, 0.15).sum() == 500
    assert discoveries(alone[:1], 0.15).all()


def test_finer_steps_need_more() -> None:
    alarm = Alarm()
    assert alarm.at(300.0) == alarm.at(3600.0) == alarm.threshold
    assert alarm.at(10.0) > alarm.at(60.0) > alarm.threshold


def test_what_was_planned_raises_the_threshold() -> None:
    time = np.datetime64("2026-03-01", "ns") + np.arange(6) * np.timedelta64(600, "s")
    events = build_events(
        {
            "time": time[[1, 4]],
            "end": np.array(["NaT", time[5]], "datetime64[ns]"),
            "kind": ["deploy", "note"],
            "service": ["cart", ""],
            "env": ["", ""],
            "title": ["v2", "sale"],
            "severity": np.array([9, 9], np.int8),
        }
    )
    factor = expectations(["cart", "stock"], time, events)
    assert factor.tolist() == [[1, 1.5, 1.5, 1, 1.5, 1], [1, 1, 1, 1, 1.5, 1]]
    scores = np.full((2, 6), 0.2)
    assert (Alarm(fleet=False).fires(scores, step=600.0, factor=np.full((2, 6), 1.5)) == 0).all()
    assert (Alarm(fleet=False).fires(scores, step=600.0) > 0).any()


def test_an_alarm_ends_after_recovery() -> None:
    scores = np.zeros((1, 60))
    scores[0, 10:14] = [0.5, 0.3, 0.1, 0.3]
    scores[0, 40] = 0.9
    found = Alarm(recovery=900.0).episodes(scores, step=300.0)
    assert found[["start", "end", "peak"]].to_numpy().tolist() == [[10, 14, 10], [40, 41, 40]]
    assert found["score"].tolist() == [0.5, 0.9]
    assert isinstance(found, pd.DataFrame)
    assert Alarm().episodes(np.zeros((0, 5))).empty
    assert Alarm().episodes(np.full((2, 5), np.nan)).empty


@given(
    st.lists(st.sampled_from([np.nan, 0.0, 0.05, 0.2, 0.25, 0.6]), max_size=40),
    st.sampled_from([1.0, 1.3]),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 6),
    st.sampled_from([0.0, 0.15]),
)
def test_the_refractory_is_that_of_its_twin(
    row: list[float], escalate: float, habit: float, held: int, least: float
) -> None:
    hold = Refractory(seconds=0.0, steps=held, escalate=escalate, habit=habit, most=0.02, lately=3600.0)
    block = np.array([row], np.float64).reshape(1, -1)
    twin = naive.refractory(row, held, escalate, habit, float(np.exp(-300 / 3600)), least, 0.02)
    np.testing.assert_allclose(hold.apply(block, step=300.0, least=least)[0], twin, rtol=1e-12, atol=1e-15)
    state = hold.begin(1)
    parts = [hold.apply(block[:, k : k + 1], step=300.0, least=least, state=state, tick=k) for k in range(len(row))]
    np.testing.assert_array_equal(
        np.concatenate(parts, axis=1) if parts else block, hold.apply(block, step=300.0, least=least)
    )


def test_the_scale_of_scores() -> None:
    np.testing.assert_array_equal(to_score(np.array([[0.0, 4.0, 8.0, 50.0, np.nan]])), [[0, 0.5, 1, 1, np.nan]])
    np.testing.assert_array_equal(to_surprise(np.array([[0.5, 1.0]])), [[4.0, 8.0]])
