"""Episodes, events, words and the shift of two windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests import naive
from workbench.detect import LevelShift, episodes, quantity, shift, to_events
from workbench.detect.words import series_text
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import build_metrics, check_events

SCORES = arrays(
    np.float64, st.tuples(st.integers(0, 3), st.integers(0, 30)), elements=st.sampled_from([0.0, 1, 3, 5, 9, np.nan])
)


@given(SCORES, st.integers(1, 3), st.integers(1, 4), st.integers(0, 5))
def test_episodes_are_those_of_a_switch(scores: np.ndarray, open_after: int, close_after: int, refractory: int) -> None:
    found = episodes(scores, 4, close=2, open_after=open_after, close_after=close_after, refractory=refractory)
    twin = [
        (row, *pair)
        for row, line in enumerate(scores.tolist())
        for pair in naive.level_episodes(line, 4, 2, open_after, close_after, refractory)
    ]
    assert list(found[["series", "start", "end"]].itertuples(index=False, name=None)) == twin
    for row in found.itertuples():
        part = scores[row.series, row.start : row.end]
        assert row.score == np.nanmax(part) == scores[row.series, row.peak]
        assert row.start <= row.peak < row.end
        assert row.open == (row.end == scores.shape[1])


def test_parameters_of_episodes_are_checked() -> None:
    for bad in ({"close": 5}, {"open_after": 0}, {"refractory": -1}):
        with pytest.raises(InvalidInput, match="episodes was given"):
            episodes(np.zeros((1, 3)), 4, **bad)
    with pytest.raises(ShapeError):
        episodes(np.zeros(3))


def test_events_say_what_moved() -> None:
    values = np.full((2, 60), 0.12)
    values[0, 40:50] = 0.48
    time = np.datetime64("2026-01-01", "ns") + np.arange(60) * np.timedelta64(5, "s")
    labels = [
        {"metric": "http.server.request.duration", "job": "checkout", "env": "prod", "http.route": '/a"b'},
        {"metric": "other", "service": "cart"},
    ]
    array = build_metrics(values, time, labels, {"unit": "s"})
    events = check_events(to_events(array, LevelShift().surprise(values), center=LevelShift().expected(values)[0]))
    assert len(events) == 1
    event = events.iloc[0]
    assert (event["kind"], event["service"], event["env"], event["detector"]) == (
        "anomaly",
        "checkout",
        "prod",
        "level",
    )
    assert event["title"] == 'http.server.request.duration (route /a"b, job checkout) rose from 120 ms to 480 ms'
    assert event["series"] == 'http.server.request.duration{env="prod",http.route="/a\\"b",job="checkout"}'
    assert time[40] <= event["time"] <= time[42]
    assert event["end"] > event["time"]
    assert event["score"] > 4
    assert (event["before"], event["after"]) == pytest.approx((0.12, 0.48))


def test_no_episode_makes_an_empty_but_whole_frame() -> None:
    array = build_metrics(np.zeros((1, 0)), np.empty(0, "datetime64[ns]"), [{"metric": "m"}])
    events = check_events(to_events(array, np.zeros((1, 0))))
    assert len(events) == 0
    assert {"score", "detector", "series", "before", "after"} <= set(events.columns)
    with pytest.raises(ShapeError, match="score the same array"):
        to_events(array, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (4.2e-6, "s", "4.2 us"),
        (95, "s", "95 s"),
        (1234, "ms", "1.23 s"),
        (0, "s", "0 s"),
        (3.5 * 2**20, "By", "3.5 MiB"),
        (12, "By/s", "12 B/s"),
        (0.25, "1", "0.25"),
        (42, "%", "42%"),
        (7, "{request}", "7 request"),
        (-1500000, "", "-1.5M"),
        (999.6, "", "1000"),
        (float("nan"), "s", "nothing"),
    ],
)
def test_quantities_read_as_a_person_writes_them(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_series_text_escapes() -> None:
    assert series_text({"metric": "m", "b": 'x"\\\n', "a": "1"}) == 'm{a="1",b="x\\"\\\\\\n"}'
    assert series_text({"metric": "m"}) == "m"


SERIES = arrays(np.float64, (2, 7), elements=st.floats(-1e3, 1e3) | st.just(float("nan")))


@given(SERIES, SERIES)
def test_shift_is_the_change_of_median_over_spread(before: np.ndarray, during: np.ndarray) -> None:
    for row, found in enumerate(shift(before, during, floor=0.5)):
        center = naive.finite_median(before[row].tolist())
        mad = naive.finite_median(np.abs(before[row] - center).tolist())
        spread = max(mad, 0.05 * abs(center), 0.5)
        np.testing.assert_allclose(found, (naive.finite_median(during[row].tolist()) - center) / spread)


def test_shift_takes_windows_of_different_length_and_a_floor_per_series() -> None:
    found = shift(np.zeros((2, 9)), np.ones((2, 3)), floor=np.array([1.0, 0.5]))
    assert found.tolist() == [1.0, 2.0]
    assert np.isnan(shift(np.zeros((1, 0)), np.ones((1, 2)))).all()
    with pytest.raises(ShapeError, match="same series"):
        shift(np.zeros((2, 3)), np.zeros((1, 3)))
