"""A catalog made anew: from segments alone, and with what is left of the old one."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tests.store import worlds
from workbench.errors import StoreError
from workbench.signals import Batch, build_samples
from workbench.store import Store, write
from workbench.store.place import CATALOG

T0, S = worlds.T0, worlds.S


def fill(folder: Path) -> None:
    with Store.open(folder) as store:
        for start in (0, 3, 100):
            store.write(worlds.everything(start), key=f"k{start}")
            store.seal()
        store.compact(everything=True)
        store.write(worlds.everything(5), key="later")
        store.seal()
        with patch.object(write, "_HOT_BYTES", 0):
            store.write(worlds.everything(7), key="large")


def contents(store: Store) -> tuple[object, ...]:
    samples = store.select([])
    rows = tuple(sorted(map(str, store.rows(n).astype(str).to_numpy().tolist())) for n in ("logs", "spans", "events"))
    return (
        samples.labels.to_dict("list"),
        samples.time.tolist(),
        samples.value.tolist(),
        rows,
        worlds.flame(store.profiles()),
    )


def drop(folder: Path) -> None:
    for place in folder.glob(f"{CATALOG}*"):
        place.unlink()


def test_from_segments_alone(tmp_path):
    folder = tmp_path / "s"
    fill(folder)
    with Store.open(folder) as store:
        truth, rollups = contents(store), store.rollup([], "sum", T0 - 12 * 3600 * S, T0 + 12 * 3600 * S, "1h")
    drop(folder)
    report = Store.rebuild(folder)
    assert report["lost"] == []
    with Store.open(folder) as store:
        assert contents(store) == truth
        assert store.verify() == []
        assert store.rollup([], "sum", T0 - 12 * 3600 * S, T0 + 12 * 3600 * S, "1h").equals(rollups)
        store.write(Batch(worlds.samples(start=3, seed=9)))
        assert (store.select([]).value == worlds.samples(start=3, seed=9).value[0]).any(), "a new write is the latest"
        store.compact(everything=True)
        assert store.verify() == []


def test_hot_rows_keys_and_labels_of_a_readable_catalog_are_taken_over(tmp_path):
    folder = tmp_path / "s"
    fill(folder)
    with Store.open(folder) as store:
        store.write(Batch(build_samples([{"metric": "only hot"}], [0], [T0], [1.0])), key="hot")
        truth = contents(store)
    report = Store.rebuild(folder)
    assert report["hot"] == 1
    assert report["lost"] == []
    with Store.open(folder) as store:
        assert contents(store) == truth
        assert store.has("hot")
        assert store.has("k0")
        assert store.verify() == []


def test_the_last_write_still_wins_after_it(tmp_path):
    folder = tmp_path / "s"
    one = [{"metric": "m"}]
    with Store.open(folder) as store:
        for i, how in enumerate(["sealed", "direct", "sealed", "direct", "compacted", "sealed"]):
            with patch.object(write, "_HOT_BYTES", 0 if how == "direct" else 2**24):
                store.write(
                    Batch(build_samples(one, [0] * (6 - i), T0 + np.arange(6 - i) * S, np.full(6 - i, float(i))))
                )
            store.seal()
            if how == "compacted":
                store.compact(everything=True)
        truth = store.select([]).value.tolist()
    assert truth == [5, 4, 3, 2, 1, 0]
    drop(folder)
    Store.rebuild(folder)
    with Store.open(folder) as store:
        assert store.select([]).value.tolist() == truth


def test_a_damaged_file_is_left_out_and_named(tmp_path):
    folder = tmp_path / "s"
    fill(folder)
    drop(folder)
    place = sorted((folder / "segments" / "logs").glob("**/*.parquet"))[-1]
    place.write_bytes(place.read_bytes()[:-20])
    report = Store.rebuild(folder)
    assert [place.name in sentence for sentence in report["lost"]] == [True]
    with Store.open(folder) as store:
        assert store.verify() == []
        assert len(store.rows("logs")) > 0


def test_nothing_to_rebuild_from_is_said(tmp_path):
    with pytest.raises(StoreError, match="nothing to make a catalog from"):
        Store.rebuild(tmp_path)
