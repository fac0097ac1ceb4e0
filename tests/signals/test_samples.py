"""Samples: order, repetitions, exact bits, and what is cut or joined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.errors import ShapeError
from workbench.signals import Samples, build_samples, check_samples, concat_samples
from workbench.signals.samples import STALE_NAN, is_stale

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(allow_nan=False, allow_infinity=False)), max_size=30
)


def build(rows: list[tuple[str, int, float]]) -> Samples:
    """Every sample names its series by its own row of labels, so equal labels must be merged."""
    labels = pd.DataFrame({"metric": [row[0] for row in rows]}, dtype="str")
    return build_samples(labels, np.arange(len(rows)), [row[1] for row in rows], [row[2] for row in rows])


def as_dict(samples: Samples) -> dict[str, dict[int, float]]:
    frame = samples.to_frame()
    out: dict[str, dict[int, float]] = {name: {} for name in samples.labels["metric"]}
    for name, time, value in zip(frame["metric"], frame["time"].astype("int64"), frame["value"], strict=True):
        out[name][time] = value
    return out


@given(ROWS)
def test_build_sorts_merges_and_lets_the_last_win(rows: list[tuple[str, int, float]]) -> None:
    samples = check_samples(build(rows))
    assert as_dict(samples) == naive.build_samples(rows)
    assert len(samples) == len({row[0] for row in rows})
    assert samples.n_samples == len({row[:2] for row in rows}) == samples.offsets[-1]


@given(ROWS, ROWS)
def test_concat_is_building_from_all_rows(
    left: list[tuple[str, int, float]], right: list[tuple[str, int, float]]
) -> None:
    both = check_samples(concat_samples([build(left), build(right)]))
    assert as_dict(both) == naive.build_samples(left + right)


@given(ROWS, st.integers(0, 10), st.integers(0, 10))
def test_between_is_half_open_and_drops_empty_series(rows: list[tuple[str, int, float]], start: int, end: int) -> None:
    cut = check_samples(build(rows).between(np.datetime64(start, "ns"), np.datetime64(end, "ns")))
    assert as_dict(cut) == naive.build_samples([row for row in rows if start <= row[1] < end])


@given(ROWS, st.data())
def test_take_gives_the_rows_asked_for_in_order(rows: list[tuple[str, int, float]], data: st.DataObject) -> None:
    samples = build(rows)
    if not len(samples):
        return
    wanted = data.draw(st.lists(st.integers(-len(samples), len(samples) - 1), unique_by=lambda i: i % len(samples)))
    taken = check_samples(samples.take(np.array(wanted, np.int64)))
    names = samples.labels["metric"].tolist()
    assert taken.labels["metric"].tolist() == [names[i] for i in wanted]
    assert as_dict(taken) == {names[i]: as_dict(samples)[names[i]] for i in wanted}
    mask = np.isin(np.arange(len(samples)), np.array(wanted, np.int64) % len(samples))
    assert as_dict(samples.take(mask)) == as_dict(taken)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_every_bit_of_a_value_survives(bits: list[int]) -> None:
    """NaN payloads, the stale marker, -0.0 and infinities are kept through build, concat, take and between."""
    raw = np.array([*bits, 0x7FF0000000000002, 0x7FF8000000000001, 1 << 63], np.uint64)
    samples = build_samples([{"metric": "m"}], np.zeros(len(raw), int), np.arange(len(raw))[::-1], raw.view(np.float64))
    again = concat_samples(
        [samples.take(np.array([True])), samples.between(np.datetime64(0, "ns"), np.datetime64(5, "ns"))]
    )
    assert again.value.view(np.uint64).tolist() == raw[::-1].tolist()


def test_stale_is_one_bit_pattern_only() -> None:
    values = np.array([STALE_NAN, np.nan, 1.0, np.inf])
    assert is_stale(values).tolist() == [True, False, False, False]
    assert is_stale(values[::2]).tolist() == [True, False]


def test_labels_may_differ_between_parts_and_absent_ones_are_empty() -> None:
    left = build_samples([{"metric": "m", "host": "a"}], [0], [1], [1.0], ["gauge"], ["s"])
    right = build_samples([{"metric": "m", "zone": "z"}], [0], [1], [2.0], ["counter"], ["By"])
    both = check_samples(concat_samples([left, right]))
    assert both.labels.to_dict("records") == [
        {"host": "a", "metric": "m", "zone": ""},
        {"host": "", "metric": "m", "zone": "z"},
    ]
    assert both.kind.tolist() == ["gauge", "counter"]
    assert both.unit.tolist() == ["s", "By"]


def test_no_samples_and_no_parts_are_a_shape_too() -> None:
    assert len(check_samples(concat_samples([]))) == 0
    assert len(concat_samples([]).to_frame()) == 0


def test_series_without_labels_are_one_series() -> None:
    assert len(build_samples([{}, {}], [0, 1], [1, 2], [1.0, 2.0])) == 1


def test_labels_named_like_columns_do_not_hide_them() -> None:
    frame = build_samples([{"metric": "m", "time": "noon", "value": "v", "value_": "w"}], [0], [5], [1.0]).to_frame()
    assert frame.columns.tolist() == ["time", "value", "metric", "time_", "value_", "value__"]
    assert frame.iloc[0].tolist() == [pd.Timestamp(5), 1.0, "m", "noon", "v", "w"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [1, 2], [1.0]), r"got 1, 2, 1"),
        (([1], [1], [1.0]), "belong to series 1 to 1; 1 label sets"),
        (([-1], [1], [1.0]), "belong to series -1 to -1"),
        (([0], [1], [1.0], ["gauge", "gauge"]), "got 1, 2, 1"),
    ],
)
def test_build_says_which_columns_do_not_fit(columns: tuple[list[object], ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        build_samples([{"metric": "m"}], *columns)


def test_the_first_offence_of_samples_is_named() -> None:
    sound = build_samples([{"metric": "m"}, {"metric": "n"}], [0, 0, 1], [1, 2, 1], [1.0, 2.0, 3.0])

    def broken(**fields: object) -> Samples:
        return dataclasses.replace(sound, **fields)  # type: ignore[arg-type]

    early, missing = np.datetime64("1969-12-31", "ns"), np.datetime64("NaT", "ns")
    for samples, message in (
        (broken(labels=sound.labels.rename(columns={"metric": "name"})), "lack the label 'metric'"),
        (broken(labels=sound.labels.assign(metric="m")), "two series with the labels {'metric': 'm'}"),
        (broken(offsets=np.array([0, 2, 4])), "offsets do not run from 0 to 3"),
        (broken(offsets=np.array([0, 4, 3])), "decreasing offsets"),
        (broken(time=sound.time.astype("datetime64[us]")), r"datetime64\[ns\]"),
        (broken(value=sound.value.astype(np.float32)), "float64"),
        (broken(kind=sound.kind[:1]), "one kind and one unit"),
        (broken(kind=np.array(["gauge", "speed"], object)), "the kind 'speed'; allowed are gauge"),
        (broken(time=sound.time[[1, 0, 2]]), "not strictly increasing"),
        (broken(time=sound.time[[0, 0, 2]]), "not strictly increasing"),
        (broken(time=np.array([early, sound.time[1], sound.time[2]])), "1 instants outside 1970-2261"),
        (broken(time=np.array([missing, sound.time[1], missing])), "2 instants outside 1970-2261 or missing"),
    ):
        with pytest.raises(ShapeError, match=message):
            check_samples(samples)
