"""Resources against their limits, with labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.diagnose.capacity import Capacity, assess, match_limit
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import build_metrics

DAY_NS = 86_400 * 10**9
START = np.datetime64("2026-01-05", "ns")


def metrics(values: np.ndarray, names: list[dict[str, str]] | None = None) -> xr.DataArray:
    time = START + np.arange(values.shape[1]) * np.timedelta64(3600, "s")
    return build_metrics(values, time, names or [{"metric": "used", "host": f"h{i}"} for i in range(len(values))])


@pytest.fixture(scope="module")
def disks() -> Capacity:
    """One grows a unit a day, one is level, one is above its limit, one lost half at a clean-up and grows on."""
    at, rng = np.arange(60 * 24), np.random.default_rng(0)
    grows, broken = 40 + at / 24, 80 + at / 24 - 60 * (at >= 720)
    values = np.stack([grows, np.full(len(at), 50.0), 60 + at / 24, broken]) + rng.normal(size=(4, len(at))) / 10
    return assess(metrics(values), np.array([130.0, 100.0, 110.0, 200.0]), 90 * DAY_NS)


def test_the_table_says_when_each_ends_soonest_first(disks: Capacity) -> None:
    table = disks.table()
    assert table["host"].tolist() == ["h2", "h0", "h3", "h1"]
    row = table.iloc[1]
    expected = pd.Timestamp(START) + pd.Timedelta(days=90)
    assert abs(row["expected"] - expected) < pd.Timedelta(days=1)
    assert row["soonest"] <= row["expected"] <= row["latest"]
    assert row["growth_per_day"] == pytest.approx(1, rel=0.02)
    assert row["headroom"] == pytest.approx(30, abs=0.5)
    assert row["headroom_least"] <= row["headroom_then"] == pytest.approx(-60, abs=2)
    assert row["probability"] == 1
    assert table.iloc[0]["headroom"] < 0
    assert table.iloc[0]["expected"] == pd.Timestamp(disks.metrics["time"].values[-1])
    assert pd.isna(table.iloc[3]["expected"])
    assert table.iloc[2]["breaks"] == 1
    assert table.iloc[2]["last_break"] == pd.Timestamp(START) + pd.Timedelta(days=30)
    assert table.iloc[2]["growth_per_day"] == pytest.approx(1, rel=0.02)


def test_what_if_prices_growth(disks: Capacity) -> None:
    plain = disks.what_if(unit_cost=2.0, growth=1.0, target=0.5).set_index("host")
    assert plain.loc["h0", "needed"] == pytest.approx(190 / 0.5, rel=0.02)
    assert plain.loc["h0", "cost"] == 260
    assert plain.loc["h0", "cost_then"] == pytest.approx(2 * plain.loc["h0", "needed"])
    assert plain.loc["h0", "add"] == pytest.approx(plain.loc["h0", "needed"] - 130)
    still = disks.what_if(growth=0.0, target=1.0).set_index("host")
    assert still.loc["h1", "spare"] == pytest.approx(50, abs=1)
    twice = disks.what_if(growth=2.0).set_index("host")
    assert twice.loc["h0", "used_then"] == pytest.approx((100 + 180) / 130, rel=0.02)
    for wrong in ({"target": 0.0}, {"target": 1.5}, {"growth": -1.0}, {"unit_cost": float("nan")}):
        with pytest.raises(InvalidInput, match="out of range"):
            disks.what_if(**wrong)


def test_selecting_keeps_limits_with_their_series(disks: Capacity) -> None:
    one = disks.sel(host="h3")
    assert one.limit.tolist() == [200.0]
    assert one.table().iloc[0]["breaks"] == 1
    assert one.labels == ["host", "metric"]


def test_free_space_runs_out_by_falling() -> None:
    at = np.arange(40 * 24)
    free = metrics((100 - at / 24)[None] + np.random.default_rng(1).normal(size=(1, len(at))) / 10)
    found = assess(free, 0.0, 90 * DAY_NS)
    assert not found.exhaustion.rising[0]
    assert abs(found.table()["expected"][0] - (pd.Timestamp(START) + pd.Timedelta(days=100))) < pd.Timedelta(days=1)
    assert len(found.what_if()) == 0
    assert assess(free, 0.0, DAY_NS, rising=True).exhaustion.headroom[0] < 0


def test_limits_are_matched_by_the_labels_both_have() -> None:
    used = metrics(np.ones((2, 5)), [{"metric": "used", "host": "a", "disk": "x"}, {"metric": "used", "host": "b"}])
    sizes = metrics(
        np.array([[1.0, 7], [2, np.nan]]), [{"metric": "size", "host": "b"}, {"metric": "size", "host": "a"}]
    )
    assert match_limit(used, sizes).tolist() == [2.0, 7.0]
    one = metrics(np.array([[3.0]]), [{"metric": "size", "zone": "z"}])
    assert match_limit(used, one).tolist() == [3.0, 3.0]
    other = metrics(np.ones((2, 1)), [{"metric": "size", "zone": "z"}, {"metric": "size", "zone": "y"}])
    twice = metrics(
        np.ones((2, 1)), [{"metric": "size", "host": "a", "z": "1"}, {"metric": "size", "host": "a", "z": "2"}]
    )
    far = metrics(np.ones((2, 1)), [{"metric": "size", "host": "c"}, {"metric": "size", "host": "d"}])
    for limits, says in (
        (other, "share no label"),
        (twice, "same host"),
        (far, "no limit agrees"),
        (used[:0], "no value"),
    ):
        with pytest.raises(InvalidInput, match=says):
            match_limit(used, limits)


def test_arguments_are_checked() -> None:
    whole = metrics(np.ones((2, 30)))
    for wrong, kind in (
        ({"limit": np.ones(3)}, ShapeError), ({"level": 0.0}, InvalidInput), ({"horizon_ns": 0}, InvalidInput),
        ({"metrics": whole[:, :1]}, ShapeError), ({"metrics": whole.isel(time=[0, 1, 5])}, ShapeError),
    ):  # fmt: skip
        with pytest.raises(kind):
            assess(**{"metrics": whole, "limit": 5.0, "horizon_ns": DAY_NS, **wrong})


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e308, -1e308, 5e-324])
def test_odd_series_have_a_table(value: float) -> None:
    for t in (2, 3, 30, 400):
        found = assess(metrics(np.full((1, t), value)), 1.0, 90 * DAY_NS)
        assert len(found.table()) == 1
        found.what_if()
    assert len(assess(metrics(np.empty((0, 9))), 1.0, DAY_NS).table()) == 0
