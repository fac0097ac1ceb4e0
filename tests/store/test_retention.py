"""Samples stay until their days are rolled up, where rollups are what will be left of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.signals import Batch, build_samples
from workbench.store import Store, rollup_store
from workbench.store.retention import Policy, due, retire

S = 10**9
DAY = 86_400 * S
D0 = 20_000
NOW = (D0 + 400) * DAY
WEEK = Policy(warm_days=0, warm_rollup_days=0, raw_days=7, rollup_days=550)


def write(store, first, last, every=15, seed=0):
    """Write days (first, last] of three series, a segment of its own for each call."""
    time = D0 * DAY + np.arange(int(first * 86_400) + every, int(last * 86_400) + 1, every) * S
    value = np.random.default_rng(seed).normal(size=(3, len(time))).cumsum(axis=1)
    labels = pd.DataFrame({"metric": ["m"] * 3, "service": ["a", "b", "c"]})
    row = np.repeat(np.arange(3), len(time))
    store.write(Batch(build_samples(labels, row, np.tile(time, 3).view("M8[ns]"), value.ravel())))
    store.seal()


def raw(store):
    with store._catalog.read() as connection:
        query = "SELECT count(*) FROM segments WHERE signal = 'metrics' AND retired IS NULL"
        return connection.execute(query).fetchone()[0]


def hourly(store, first=0, days=3):
    low, high = (np.datetime64((D0 + first) * DAY + t, "ns") for t in (3600 * S, days * DAY))
    return store.rollup([], "avg", low, high, "1h")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "s") as one:
        yield one


def test_samples_wait_for_the_rollups_that_are_to_be_left_of_them(store):
    for day in range(3):
        write(store, day, day + 1, seed=day)
    before = hourly(store)
    assert due(store._catalog, WEEK, NOW)["retire"] == {"segments": 0, "bytes": 0}
    assert retire(store._catalog, WEEK, NOW) == []
    store._rollups.update((D0 + 2) * DAY + 2 * 3600 * S)  # the third day is not over
    assert due(store._catalog, WEEK, NOW)["retire"]["segments"] == 2
    assert len(retire(store._catalog, WEEK, NOW)) == 2
    assert raw(store) == 1
    store._rollups.update(NOW)
    assert len(retire(store._catalog, WEEK, NOW)) == 1
    assert raw(store) == 0
    after = hourly(store)
    np.testing.assert_allclose(after.values, before.values, rtol=1e-12)
    assert {part["step"] for part in after.attrs["rollup"]} == {3600 * S}


def test_late_samples_keep_their_day_until_the_rollup_knows_them(store):
    write(store, 0, 1)
    store._rollups.update(NOW)
    write(store, 0.5, 0.6, seed=9)
    before = hourly(store, days=1)
    assert retire(store._catalog, WEEK, NOW) == [], "neither goes: the day has to be rolled up again from both"
    store._rollups.update(NOW)
    assert len(retire(store._catalog, WEEK, NOW)) == 2
    np.testing.assert_allclose(hourly(store, days=1).values, before.values, rtol=1e-12)


def test_a_segment_over_several_days_waits_for_all_of_them(store):
    write(store, 0.25, 1.75)
    store._rollups.update((D0 + 1) * DAY + 2 * 3600 * S)
    assert retire(store._catalog, WEEK, NOW) == []
    store._rollups.update(NOW)
    assert len(retire(store._catalog, WEEK, NOW)) == 1


def test_rollups_that_went_do_not_count(store):
    write(store, 0, 1)
    store._rollups.update(NOW)
    with store._catalog.read() as connection:
        made = [n for (n,) in connection.execute("SELECT id FROM segments WHERE signal = 'rollup'").fetchall()]
    store._rollups.forget(made)
    assert retire(store._catalog, WEEK, NOW) == []


@pytest.mark.parametrize("rollup_days", [5, 7])
def test_a_policy_that_keeps_no_rollups_longer_does_not_wait(store, rollup_days):
    write(store, 0, 1)
    policy = Policy(warm_days=0, warm_rollup_days=0, raw_days=7, rollup_days=rollup_days)
    assert len(retire(store._catalog, policy, NOW)) == 1


def test_rollups_kept_for_ever_are_waited_for(store):
    write(store, 0, 1)
    assert retire(store._catalog, Policy(raw_days=7, rollup_days=0), NOW) == []


def test_tier_rolls_up_before_it_retires(store, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STORE_RAW_DAYS", "7")
    write(store, 0, 2)
    before = hourly(store, days=2)
    done = store.tier(now=np.datetime64(NOW, "ns"))
    assert len(done["retired"]) == 1
    assert done["problems"] == []
    np.testing.assert_allclose(hourly(store, days=2).values, before.values, rtol=1e-12)


def test_tier_says_why_a_day_stays(store, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STORE_RAW_DAYS", "7")
    write(store, 0, 1)
    file = next((store.path / "segments").rglob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 500] = bytes(500)
    file.write_bytes(data)
    done = store.tier(now=np.datetime64(NOW, "ns"))
    assert done["retired"] == []
    assert "is damaged where it holds" in done["problems"][0]
    assert raw(store) == 1


def test_what_is_owed_is_looked_at_in_the_transaction_that_retires(store, monkeypatch):
    """Samples written after the rollup was made and before retiring keep the day."""
    write(store, 0, 1)
    store._rollups.update(NOW)
    real = rollup_store.Rollups.update

    def late(self, now=None):
        found = real(self, now)
        write(store, 0.1, 0.2, seed=3)
        return found

    monkeypatch.setattr(rollup_store.Rollups, "update", late)
    monkeypatch.setenv("WORKBENCH_STORE_RAW_DAYS", "7")
    assert store.tier(now=np.datetime64(NOW, "ns"))["retired"] == []
    assert raw(store) == 2


def test_a_store_that_was_open_before_the_cold_place_was_given_finds_it(store, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STORE_WARM_ROLLUP_DAYS", "7")
    write(store, 0, 2)
    store._rollups.update((D0 + 1) * DAY + 2 * 3600 * S)
    before = hourly(store, days=2)
    with Store.open(store.path) as early, Store.open(store.path) as late:
        assert len(store.tier((tmp_path / "cold").as_uri(), now=np.datetime64(NOW, "ns"))["moved"]) >= 2
        np.testing.assert_array_equal(hourly(early, days=2).values, before.values)
        assert late._rollups.update(NOW)["days"] == 1
