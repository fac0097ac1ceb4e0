"""Buckets as arrays: against the twin, against each other, and through their bytes and back."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput
from workbench.signals.samples import STALE_NAN, is_stale
from workbench.store import rollup
from workbench.store.rollup import COLUMNS, LEVELS, Buckets, combine, fold, join, roll
from workbench.store.rollup_columns import LIKE, decode_column, encode_columns
from workbench.store.rollup_tiles import NEEDS, Grid, Tiles, answer

EXACT = ("count", "nans", "min", "max", "first", "last", "t_first", "t_last")
ODD = [math.nan, STALE_NAN, math.inf, -math.inf, 0.0, -0.0]
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.integers(0, 1000).map(float),
    st.integers(0, 30).map(lambda v: v / 10),
    st.integers(-(10**6), 10**6).map(lambda v: v / 100),
    st.floats(-1e12, 1e12, allow_subnormal=False),
)


@st.composite
def worlds(draw, last=400):
    """Sorted (series, time, value) of a few series; a third of the instants lie on ends of 10-ns buckets."""
    rows = []
    for series in range(draw(st.integers(0, 4))):
        times = draw(
            st.sets(st.one_of(st.integers(1, last), st.integers(0, last // 10).map(lambda k: k * 10)), max_size=60)
        )
        counter = draw(st.booleans())
        total = 0.0
        for time in sorted(times):
            value = draw(VALUES)
            if counter and math.isfinite(value):
                total = 0.0 if draw(st.integers(0, 9)) == 0 else total + abs(value)
                value = total
            rows.append((series * 3, time, value))
    series, time, value = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(series, np.int64), np.array(time, np.int64), np.array(value, np.float64)


def close(got: float, wanted: float, scale: float) -> bool:
    return (math.isnan(got) and math.isnan(wanted)) or got == wanted or abs(got - wanted) <= 1e-12 * scale


def check(found: Buckets, series, time, value, step: int, phase: int = 0) -> None:
    """Every bucket is the twin's, and none is missing."""
    at = 0
    for number in np.unique(series).tolist():
        mine = series == number
        stale = is_stale(value[mine])
        rows = list(zip(time[mine].tolist(), value[mine].tolist(), stale.tolist(), strict=True))
        scale = sum(abs(v) for _, v, _ in rows if math.isfinite(v)) + 1e-300
        for bucket in range(-2, 1 + (400 + step) // step):
            wanted = naive.rollup_bucket(rows, (bucket - 1) * step + phase, bucket * step + phase)
            if not wanted:
                continue
            assert (found.series[at], found.bucket[at]) == (number, bucket)
            for name in COLUMNS:
                got = float(found.columns[name][at])
                if name in EXACT:
                    assert got == wanted[name] or (math.isnan(got) and math.isnan(wanted[name])), name
                else:
                    assert close(got, wanted[name], scale), (name, got, wanted[name])
            at += 1
    assert at == len(found)


@given(worlds(), st.sampled_from([10, 20, 50, 7]), st.integers(0, 6))
def test_buckets_are_the_twins(world, step, phase):
    check(roll(*world, step, phase), *world, step, phase)


@given(worlds(), st.integers(1, 50), st.sampled_from([("count",), ("count", "sum"), ("count", "max", "t_last")]))
def test_fewer_columns_and_smaller_parts_make_no_difference(world, at_once, columns):
    whole = roll(*world, 10)
    with patch.object(rollup, "_AT_ONCE", at_once):
        found = roll(*world, 10, 0, columns)
    assert set(found.columns) == set(columns)
    assert found.series.tolist() == whole.series.tolist()
    assert found.bucket.tolist() == whole.bucket.tolist()
    for name in columns:
        np.testing.assert_array_equal(found.columns[name], whole.columns[name])


@given(worlds())
def test_coarser_buckets_are_those_of_the_samples(world):
    fine = roll(*world, 10)
    middle = combine(fine, 20)
    check(middle, *world, 20)
    check(combine(middle, 100), *world, 100)
    check(combine(fine, 100), *world, 100)


@given(worlds(50), st.integers(1, 5))
def test_adjoining_buckets_joined_side_by_side_are_the_wider_bucket(world, width):
    """`join` on a dense grid, one column of tiles after the other, is `fold` of the same buckets."""
    fine = roll(*world, 10)
    fine = fine.take((fine.bucket > 0) & (fine.bucket <= width))
    shape = int(fine.series.max(initial=0)) + 1, width + 1
    dense = {name: np.zeros(shape, column.dtype) for name, column in fine.columns.items()}
    for name, column in fine.columns.items():
        dense[name][fine.series, fine.bucket] = column
    joined = {name: column[:, 1] for name, column in dense.items()}
    for tile in range(2, 1 + width):
        joined = join(joined, {name: column[:, tile] for name, column in dense.items()})
    wanted = fold(Buckets(10, fine.series, np.zeros(len(fine), np.int64), fine.columns))
    wanted = wanted.take(wanted.columns["count"] > 0)
    here = np.flatnonzero(joined["count"] > 0)
    assert here.tolist() == wanted.series.tolist()
    scale = 1e-12 * float(np.abs(world[2][np.isfinite(world[2])]).sum())
    for name in COLUMNS:
        np.testing.assert_allclose(joined[name][here], wanted.columns[name], 0, 0 if name in EXACT else scale)


@settings(max_examples=300)
@given(worlds(100), st.integers(1, 60), st.integers(1, 12), st.integers(1, 40), st.sampled_from(sorted(NEEDS)))
def test_windows_joined_from_tiles_are_the_twins(world, start, step, window, function):
    if function == "quantile":
        return
    grid, needs = Grid(start, start + 7 * step, step, window), NEEDS[function]
    series = np.unique(world[0])
    row = np.searchsorted(series, world[0])
    tiles = Tiles(len(series), grid, needs)
    half = world[1] <= start
    for part in (half, ~half):  # a tile may be put in pieces
        tiles.put(roll(row[part], world[1][part], world[2][part], grid.tile, grid.phase, needs))
    got = answer(function, tiles.windows())
    assert got.shape == (len(series), 8)
    for i, number in enumerate(series.tolist()):
        mine = world[0] == number
        stale = is_stale(world[2][mine])
        rows = list(zip(world[1][mine].tolist(), world[2][mine].tolist(), stale.tolist(), strict=True))
        scale = sum(abs(v) for _, v, _ in rows if math.isfinite(v)) + 1e-300
        for k in range(8):
            end = start + k * step
            wanted = naive.rollup_answer(naive.rollup_bucket(rows, end - window, end), function)
            assert close(got[i, k], wanted, scale)


def test_short_decimals_are_added_without_any_error():
    value = np.array([0.1] * 10 + [0.2, 0.7, 1e6 + 0.1])
    found = roll(np.array([0] * 10 + [1] * 3), np.arange(1, 14), value, 100)
    assert found.columns["sum"].tolist() == [1.0, 1_000_001.0]
    assert sum([0.1] * 10) != 1.0, "adding one after the other would not do"


def test_a_long_series_of_large_decimals_does_not_overflow():
    value = np.full(5000, 9.007199254740991e15)
    assert roll(np.zeros(5000, np.int64), np.arange(1, 5001), value, 10_000).columns["sum"][0] == pytest.approx(
        5000 * 9.007199254740991e15, rel=1e-15
    )


def test_a_counter_that_is_never_reset_rises_by_its_last_less_its_first():
    value = np.cumsum(np.random.default_rng(1).random(1000)) * 1e-3
    found = roll(np.zeros(1000, np.int64), np.arange(1, 1001), value, 50)
    for wide in (found, combine(found, 250)):
        assert (wide.columns["increase"] == wide.columns["last"] - wide.columns["first"]).all()


def test_a_reset_at_a_bucket_border_is_seen_by_what_joins_them():
    value = np.array([5.0, 9.0, 2.0, 3.0])
    fine = roll(np.zeros(4, np.int64), np.array([5, 10, 15, 20]), value, 10)
    assert fine.columns["increase"].tolist() == [4.0, 1.0]
    assert combine(fine, 20).columns["increase"].tolist() == [4.0 + 2.0 + 1.0]


def test_only_multiples_can_be_joined():
    with pytest.raises(InvalidInput, match="give a multiple"):
        combine(roll(np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1), 20), 50)


@settings(max_examples=60)
@given(worlds())
def test_columns_come_back_bit_for_bit(world):
    found = roll(*world, 10)
    if not len(found):
        return
    blobs = encode_columns(found, regular=False)
    assert set(blobs) == {"bucket", *COLUMNS}

    def get(name: str) -> np.ndarray:
        return decode_column(name, blobs[name], len(found), 10, get)

    assert get("bucket").tolist() == found.bucket.tolist()
    for name in COLUMNS:
        got, wanted = get(name), found.columns[name]
        same = got.view(np.int64) == wanted.view(np.int64)
        assert (same | (np.isnan(got) & np.isnan(wanted))).all(), name


def test_a_steady_counter_stores_least_greatest_and_rise_as_next_to_nothing():
    rng = np.random.default_rng(0)
    value = np.cumsum(rng.integers(0, 9, 5760)).astype(float)
    value[3000:] -= value[3000]
    found = roll(np.zeros(5760, np.int64), np.arange(1, 5761) * 15, value, 300)
    blobs = encode_columns(found, regular=True)
    for name in ("min", "max", "increase"):
        assert blobs[name][0] == LIKE
        assert len(blobs[name][1]) <= 4 + 12 * 1


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        ((LIKE, b"\x01\x00\x00\x00"), "cut short"),
        ((LIKE, b""), "cut short"),
        ((LIKE, b"\x01\x00\x00\x00" + b"\xff" * 12), "not there"),
        ((1, b"123"), "8 bytes"),
    ],
)
def test_bytes_that_are_no_column_are_refused(blob, said):
    with pytest.raises(ValueError, match=said):
        decode_column("min", blob, 3, 10, lambda name: np.zeros(3))


def test_levels_divide_each_other_and_the_day():
    for fine, coarse in zip(LEVELS, (*LEVELS[1:], 86_400 * 10**9), strict=True):
        assert coarse % fine == 0
