"""Metrics arrays, and the grid that makes them from samples."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import build_metrics, build_samples, check_metrics, grid, labels_of
from workbench.signals.samples import STALE_NAN

TIMES = np.arange("2024-01-01T00:00", "2024-01-01T00:03", dtype="datetime64[m]")
SERIES = st.dictionaries(st.integers(0, 60), st.one_of(st.none(), st.integers(-5, 5)), max_size=8)


@given(
    st.lists(SERIES, min_size=1, max_size=4),
    st.integers(0, 30),
    st.integers(0, 60),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_grid_agrees_with_its_twin(
    series: list[dict[int, int | None]], start: int, length: int, step: int, lookback: int
) -> None:
    rows = [(i, t, STALE_NAN if v is None else float(v)) for i, s in enumerate(series) for t, v in s.items()]
    samples = (
        build_samples([{"metric": str(i)} for i in range(len(series))], *zip(*rows, strict=True)) if rows else None
    )
    if samples is None:
        return
    instants = [np.datetime64(t, "ns") for t in (start, start + length)]
    found = grid(samples, *instants, np.timedelta64(step, "ns"), np.timedelta64(lookback, "ns"))
    check_metrics(found)
    steps = list(range(start, start + length + 1, step))
    assert found["time"].values.astype(int).tolist() == steps
    plain = [[(t, 0.0 if v is None else float(v), v is None) for t, v in s.items()] for s in series]
    np.testing.assert_array_equal(found.values, naive.grid(plain, steps, lookback))


def test_a_sample_exactly_as_old_as_the_lookback_does_not_count() -> None:
    samples = build_samples([{"metric": "m"}], [0], [np.datetime64("2024-01-01T00:00", "ns")], [1.0])
    start, end = np.datetime64("2024-01-01T00:04", "ns"), np.datetime64("2024-01-01T00:05", "ns")
    assert np.isnan(grid(samples, start, end, np.timedelta64(60, "s")).values).tolist() == [[False, True]]


def test_a_stale_marker_ends_a_series_and_a_plain_nan_is_a_value() -> None:
    samples = build_samples([{"metric": "m"}], [0, 0, 0], [0, 2, 4], [1.0, STALE_NAN, 3.0], ["gauge"], ["s"])
    found = grid(samples, np.datetime64(0, "ns"), np.datetime64(5, "ns"), np.timedelta64(1, "ns"))
    np.testing.assert_array_equal(found.values, [[1, 1, np.nan, np.nan, 3, 3]])
    assert found.attrs == {"kind": "gauge", "unit": "s"}


def test_grid_of_nothing_and_impossible_steps() -> None:
    start, step = np.datetime64(0, "ns"), np.timedelta64(1, "ns")
    nothing = build_samples([{"metric": "m"}], [], np.empty(0, "datetime64[ns]"), [])
    assert np.isnan(grid(nothing, start, start + 2, step).values).all()
    assert check_metrics(grid(nothing.take(np.array([False])), start, start, step)).shape == (0, 1)
    for broken in (np.timedelta64(0, "ns"), np.timedelta64(-1, "s"), np.timedelta64("NaT", "ns")):
        with pytest.raises(InvalidInput, match="step"):
            grid(nothing, start, start, broken)


def test_labels_round_trip_and_empty_ones_are_dropped() -> None:
    rows = [{"metric": "m", "service": "a", "zone": "", "time": "noon", "series": "1", "time_": "x"}, {"service": "b"}]
    array = check_metrics(build_metrics(np.zeros((2, 3)), TIMES, rows))
    assert sorted(map(str, array.coords)) == ["metric", "series_", "service", "time", "time_", "time__"]
    labels = labels_of(array)
    assert labels.to_dict("records") == [
        {"metric": "m", "series": "1", "service": "a", "time": "noon", "time_": "x"},
        {"metric": "", "series": "", "service": "b", "time": "", "time_": ""},
    ]
    assert build_metrics(array.values, TIMES, labels).identical(array)


def test_metric_is_always_a_coordinate_but_an_empty_one_is_no_label() -> None:
    array = check_metrics(build_metrics(np.zeros((1, 3)), TIMES, [{}]))
    assert array.coords["metric"].values.tolist() == [""]
    assert labels_of(array).shape == (1, 0)


def test_shapes_must_fit() -> None:
    with pytest.raises(ShapeError, match=r"values have shape \(1, 3\); 2 series and 3 times"):
        build_metrics(np.zeros((1, 3)), TIMES, [{"metric": "a"}, {"metric": "b"}])


def test_the_first_offence_of_metrics_is_named() -> None:
    sound = build_metrics(np.zeros((2, 3)), TIMES, [{"metric": "a"}, {"metric": "b"}])
    plain = xr.DataArray(np.zeros((1, 3)), dims=("series", "time"), coords={"time": TIMES.astype("datetime64[ns]")})
    for array, message in (
        (sound.T, r"dims \('series', 'time'\); got \('time', 'series'\)"),
        ("text", "got str"),
        (sound.astype("float32"), "float64 values; got float32"),
        (sound.drop_vars("time"), r"'time' coordinate of datetime64\[ns\]"),
        (sound.isel(time=[1, 0]), "strictly increasing"),
        (sound.isel(series=[0, 0]), "two series have the labels {'metric': 'a'}"),
        (sound.assign_coords(zone=("series", ["x", "y"])), r"labels \['zone'\] are plain coordinates"),
        (plain, "lack the coordinate 'metric'"),
    ):
        with pytest.raises(ShapeError, match=message):
            check_metrics(array)  # type: ignore[arg-type]
