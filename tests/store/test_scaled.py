"""A real cluster of two worker processes gives the very bytes of the local path."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests.store import worlds
from workbench.signals import Batch, build_samples
from workbench.store import Store, write

T0, S = worlds.T0, worlds.S
DAY = 86_400


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is in the extra `scale`")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def batch(start: int, seed: int, n: int = 30, t: int = 200) -> Batch:
    rng = np.random.default_rng(seed)
    time = T0 + (start + np.sort(rng.choice(3600, t, replace=False))) * S
    labels = [{"metric": f"m{i % 3}", "instance": f"i{i}"} for i in range(n)]
    return Batch(
        build_samples(labels, np.repeat(np.arange(n), t), np.tile(time, n), np.round(rng.normal(size=n * t), 3))
    )


def test_two_workers_give_the_same_bytes(tmp_path, client):
    with Store.open(tmp_path / "s") as store:
        for day in range(3):
            with patch.object(write, "_HOT_BYTES", 0):
                store.write(batch(day * DAY, day))
        store.compact()
        with patch.object(write, "_HOT_BYTES", 0):
            store.write(batch(DAY, 7))  # overlaps a compacted day
        store.write(batch(2 * DAY, 8))  # hot, over another
        first, last = T0 - 100 * S, T0 + (2 * DAY + 4000) * S
        here = store.array([], first, last, "15s")
        there = store.array([], first, last, "15s", client=client)
        assert len(there.data.dask) > 3, "nothing to distribute"
        assert there.data.numblocks[1] >= 3
        computed = there.compute()
        assert computed.values.tobytes() == here.values.tobytes()
        assert computed.equals(here)
        one = there.sel(metric="m1").mean("series").compute()
        assert np.array_equal(one.values, here.sel(metric="m1").mean("series").values, equal_nan=True)


def test_an_empty_window_is_an_empty_array(tmp_path, client):
    with Store.open(tmp_path / "s") as store:
        store.write(batch(0, 1))
        got = store.array([], T0 - 1000 * S, T0 - 500 * S, "15s", client=client)
        assert got.shape[1] == 34
        assert np.isnan(got.compute().values).all()
