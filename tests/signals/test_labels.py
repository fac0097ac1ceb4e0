"""The one index over all labels: selection, alignment, and what happens to it in xarray's operations."""

from __future__ import annotations

import copy
import pickle
import time as clock

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput, NotFound, ShapeError
from workbench.signals import build_metrics, check_metrics, labels_of
from workbench.signals.labels import LabelIndex

TIMES = np.arange("2024-01-01T00:00", "2024-01-01T00:10", dtype="datetime64[m]")
ROWS = [
    {"metric": "m", "service": "a", "env": "prod"},
    {"metric": "m", "service": "b", "env": "prod"},
    {"metric": "m", "service": "c", "env": "test"},
]


def make(rows: list[dict[str, str]], first: float = 0.0) -> xr.DataArray:
    values = first + np.arange(len(rows) * len(TIMES), dtype=float).reshape(len(rows), len(TIMES))
    return build_metrics(values, TIMES, rows)


@pytest.fixture
def array() -> xr.DataArray:
    return make(ROWS)


def services(array: xr.DataArray) -> list[str]:
    return array.coords["service"].values.tolist()


def indexed(array: xr.DataArray) -> bool:
    """Whether all labels still share one index that agrees with the coordinates."""
    check_metrics(array.transpose("series", "time"))
    index = array.xindexes["service"]
    assert isinstance(index, LabelIndex)
    return all(index.table[name].tolist() == array.coords[name].values.tolist() for name in index.table)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"service": "a"}, ["a"]),
        ({"env": "prod"}, ["a", "b"]),
        ({"service": "b", "env": "prod"}, ["b"]),
        ({"service": ["c", "a"]}, ["a", "c"]),
        ({"service": np.array(["a", "c"]), "env": "test"}, ["c"]),
        ({"service": xr.DataArray(["a", "b"], dims="series")}, ["a", "b"]),
        ({"service": "c", "time": "2024-01-01T00:03"}, ["c"]),
    ],
)
def test_sel_takes_one_and_many_labels(array: xr.DataArray, wanted: dict[str, object], found: list[str]) -> None:
    assert services(array.sel(wanted)) == found
    assert services(array.loc[wanted]) == found


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        ({"service": "x"}, NotFound, "no series has service='x': values are 'a', 'b', 'c'"),
        ({"service": ["x", "y"]}, NotFound, r"no series has service=\['x', 'y'\]"),
        ({"service": []}, NotFound, "no series has service"),
        ({"service": "a", "env": "test"}, NotFound, "together: select fewer labels"),
        ({"service": slice("a", "b")}, InvalidInput, "cannot be sliced"),
        ({"zone": "z"}, KeyError, "zone"),
    ],
)
def test_sel_says_what_is_missing(array: xr.DataArray, wanted: dict[str, object], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        array.sel(wanted)


def test_sel_has_no_nearest_label(array: xr.DataArray) -> None:
    with pytest.raises(InvalidInput, match="labels have no order"):
        array.sel(service="a", method="nearest")


LABELS = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))
TABLES = st.dictionaries(LABELS, st.integers(-9, 9).map(float), min_size=1)


@given(TABLES, TABLES)
def test_arithmetic_aligns_by_the_whole_label_set(
    left: dict[tuple[str, str], float], right: dict[tuple[str, str], float]
) -> None:
    def metrics(table: dict[tuple[str, str], float]) -> xr.DataArray:
        return build_metrics(
            np.array([[v] for v in table.values()]), TIMES[:1], [{"service": s, "env": e} for s, e in table]
        )

    expected = naive.add_by_labels(left, right)
    found = metrics(left) + metrics(right)
    labels = labels_of(found)
    keys = zip(labels.get("service", []), labels.get("env", []), strict=True)
    assert dict(zip(keys, found.values[:, 0].tolist(), strict=True)) == expected
    outer = xr.align(metrics(left), metrics(right), join="outer")
    assert outer[0].sizes["series"] == len(left.keys() | right.keys())
    assert np.isnan(outer[0].values).sum() == len(right.keys() - left.keys())


def test_arithmetic_keeps_the_index_whatever_the_order(array: xr.DataArray) -> None:
    total = array + array.isel(series=[2, 0, 1])
    assert indexed(total)
    np.testing.assert_array_equal(total.sel(service="b"), 2 * array.sel(service="b"))
    assert services(xr.align(array, array.isel(series=[1]), join="left")[1]) == ["a", "b", "c"]
    assert services(xr.align(array, array.isel(series=[1]), join="right")[0]) == ["b"]


@pytest.mark.parametrize(
    ("other", "lacking"),
    [
        ([{"metric": "m", "service": s} for s in "abc"], r"\(the second lacks 'env'\)"),
        ([{**row, "zone": "z"} for row in ROWS], r"\(the first lacks 'zone'\)"),
        ([{"host": h} for h in "abc"], r"\(the first lacks 'host'; the second lacks 'env', 'service'\)"),
        ([{}, {}, {}], r"\(the second lacks 'env', 'service'\)"),
    ],
)
def test_different_labels_are_an_error_that_names_them(
    array: xr.DataArray, other: list[dict[str, str]], lacking: str
) -> None:
    for combine in (lambda a, b: a + b, lambda a, b: a > b, xr.align, lambda a, b: a.fillna(b)):
        with pytest.raises(ShapeError, match=f"different labels {lacking}"):
            combine(array, make(other))


def test_equal_labels_spelled_in_another_order_are_aligned_or_refused(array: xr.DataArray) -> None:
    assert (array + make([dict(reversed(row.items())) for row in ROWS[::-1]])).sizes["series"] == 3
    renamed = array.rename(env="zone")
    sorted_anew = build_metrics(array.values[::-1], TIMES, labels_of(renamed)[::-1])
    with pytest.raises(ShapeError, match="same labels in different order"):
        renamed + sorted_anew
    assert (build_metrics(renamed.values, TIMES, labels_of(renamed)) + sorted_anew).sizes["series"] == 3


def test_repeated_label_sets_are_refused_only_where_they_matter(array: xr.DataArray) -> None:
    twice = xr.concat([array, array], "series")
    assert (twice + twice).sizes["series"] == 6
    with pytest.raises(ShapeError, match="occurs twice"):
        twice + array
    with pytest.raises(ShapeError, match="two series have the labels"):
        check_metrics(twice)


def test_equality_is_answered_not_refused(array: xr.DataArray) -> None:
    assert array.identical(array.copy(deep=True))
    assert not array.equals(array.isel(series=[1, 0, 2]))
    assert not array.equals(make([{"host": h} for h in "abc"]))
    assert not array.identical(make([{"host": h} for h in "abc"]))


@pytest.mark.parametrize(
    "operation",
    [
        lambda a: a.where(a > 5),
        lambda a: a.where(a.service != "b", drop=True),
        lambda a: a[a.service == "a"],
        lambda a: a[0:2],
        lambda a: a.isel(series=xr.DataArray([0, 1], dims="series")),
        lambda a: a.isel(series=np.array([True, False, True])),
        lambda a: a.sortby("service", ascending=False),
        lambda a: a.resample(time="2min").mean(),
        lambda a: a.rolling(time=3).mean(),
        lambda a: a.diff("time"),
        lambda a: a.roll(series=1, roll_coords=True),
        lambda a: a.where(a > 15).dropna("series", how="all"),
        lambda a: a / a.sum("series"),
        lambda a: a - a.mean("time"),
        lambda a: xr.where(a > 5, a, 0.0),
        lambda a: xr.apply_ufunc(np.sqrt, a),
        lambda a: xr.concat([a.isel(series=[0]), a.isel(series=[1, 2])], "series"),
        lambda a: xr.concat([a.isel(time=slice(0, 5)), a.isel(time=slice(5, None))], "time"),
        lambda a: a.to_dataset(name="x").x,
        lambda a: a.T,
        lambda a: a.reindex_like(a.isel(series=[2, 1])),
        lambda a: pickle.loads(pickle.dumps(a)),  # noqa: S301 - our own bytes
        copy.deepcopy,
        lambda a: a.copy(),
        lambda a: (
            a.drop_vars(["env", "metric", "service"])
            .assign_coords({n: ("series", a[n].values) for n in ("env", "metric", "service")})
            .set_xindex(["env", "metric", "service"], LabelIndex)
        ),
    ],
)
def test_operations_keep_the_labels_indexed(array: xr.DataArray, operation: object) -> None:
    result = operation(array)  # type: ignore[operator]
    assert indexed(result)
    kept = dict(zip(services(array), array.coords["env"].values, strict=True))
    assert all(kept[s] == e for s, e in zip(services(result), result.coords["env"].values, strict=True))


def test_one_series_loses_the_index_but_keeps_its_labels(array: xr.DataArray) -> None:
    one = array.isel(series=1)
    assert one.coords["service"].item() == "b"
    assert list(one.xindexes) == ["time"]
    assert list(array.isel(series=xr.DataArray([0, 1], dims="pick")).xindexes) == ["time"]
    assert array.mean("series").dims == ("time",)


def test_groupby_aggregates_by_label(array: xr.DataArray) -> None:
    total = array.groupby("env").sum()
    np.testing.assert_array_equal(total.sel(env="prod"), array.sel(env="prod").sum("series"))


def test_the_index_shows_itself_and_converts_to_pandas(array: xr.DataArray) -> None:
    assert repr(array.xindexes["env"]) == "LabelIndex(3 series, labels env, metric, service)"
    assert array.indexes["env"].names == ["env", "metric", "service"]
    assert array.rename(series="s").xindexes["env"].dim == "s"
    assert "service" in array._repr_html_()


def test_concat_fills_absent_labels_and_honours_positions() -> None:
    left, right = LabelIndex(pd.DataFrame({"a": ["1"], "b": ["2"]})), LabelIndex(pd.DataFrame({"a": ["3"]}))
    assert LabelIndex.concat([left, right], "series", [[1], [0]]).table.to_dict("list") == {
        "a": ["3", "1"],
        "b": ["", "2"],
    }


def test_labels_on_two_dimensions_are_refused() -> None:
    plain = xr.DataArray(np.zeros((1, 1)), dims=("x", "y"), coords={"a": ("x", ["1"]), "b": ("y", ["2"])})
    with pytest.raises(ShapeError, match="must all lie on one dimension"):
        plain.set_xindex(["a", "b"], LabelIndex)


def test_ten_thousand_series_are_quick() -> None:
    """Measured: set-up 20 ms, two-label select 1.2 ms; the bounds only catch a loop over series."""
    n = 10_000
    labels = pd.DataFrame({"service": [f"s{i % 50}" for i in range(n)], "env": [f"e{i % 3}" for i in range(n)]})
    labels["host"] = [f"h{i}" for i in range(n)]
    began = clock.process_time()
    array = build_metrics(np.zeros((n, 2)), TIMES[:2], labels)
    built = clock.process_time()
    found = array.sel(service="s7", env="e1")
    selected = clock.process_time()
    assert found.sizes["series"] == sum(i % 50 == 7 and i % 3 == 1 for i in range(n))
    assert built - began < 1
    assert selected - built < 0.1
