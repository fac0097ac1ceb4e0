"""Stores written by older versions open, upgraded or from an upgraded copy, and hold to the bit what they held."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.store import native_strategies as native
from tests.store import worlds
from workbench.signals import Batch
from workbench.store import Store, place

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EXPECTED = json.loads((GOLDEN / "store-1.json").read_text())


@pytest.fixture
def old(tmp_path) -> Path:
    """A copy of a format-1 store: segments of every signal and hot rows beside, from two keyed writes and one without."""
    shutil.copytree(GOLDEN / "store-1", tmp_path / "s")
    return tmp_path / "s"


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def plain(value: Any) -> Any:
    """A cell as JSON has it: instants as nanoseconds, what is missing as null."""
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.value
    return value.item() if isinstance(value, np.generic) else value


def content(store: Store) -> dict[str, Any]:
    """Everything a store holds, in the form of the golden file."""
    got = store.select([])
    rows = {}
    for signal in ("logs", "spans", "events"):
        frame = store.rows(signal)
        first = [{name: plain(v) for name, v in row.items()} for row in frame.head(3).to_dict("records")]
        rows[signal] = {"columns": list(frame.columns), "first": first, "n": len(frame)}
    flame = [[str(time), *map(plain, rest), list(stack)] for time, *rest, stack in worlds.flame(store.profiles())]
    return {
        "samples": got.n_samples, "offsets": got.offsets.tolist(), "labels": got.labels.to_dict("records"),
        "kind": got.kind.tolist(), "unit": got.unit.tolist(), "rows": rows, "flame": flame,
        "time_sha256": sha256(got.time.view(np.int64)), "value_sha256": sha256(got.value),
        "keys": [key for key in EXPECTED["keys"] if store.has(key)],
    }  # fmt: skip


def version(folder: Path) -> int:
    connection = sqlite3.connect(folder / place.CATALOG)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return int(found)


def test_an_old_store_is_upgraded_and_says_the_same(old):
    assert version(old) == 1
    for _ in range(2):
        with Store.open(old) as store:
            assert content(store) == EXPECTED
            assert store.verify() == []
        assert version(old) == place.FORMAT


def test_an_old_store_that_cannot_be_written_is_read_and_left_as_it_is(old, monkeypatch):
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    before = {p: p.read_bytes() for p in old.glob("**/*") if p.is_file()}
    with Store.open(old) as store:
        assert store.read_only
        assert content(store) == EXPECTED
        assert store.verify() == []
    assert {p: p.read_bytes() for p in old.glob("**/*") if p.is_file()} == before


def test_an_upgraded_store_goes_on(old):
    with Store.open(old) as store:
        assert store.write(Batch(worlds.samples()), key="first")["metrics"] == 0, "the key was taken in format 1"
        before = store.select([])
        store.seal()
        assert content(store) == EXPECTED
        assert store.write(Batch(worlds.samples(start=50_000)), key="later")["metrics"] == 100
        store.seal()
        again = store.select([], None, worlds.T0 + 40_000 * worlds.S)
        worlds.assert_same_samples(again, before)
        assert store.select([]).n_samples == before.n_samples + 100
        assert store.verify() == []


def test_an_upgrade_that_is_interrupted_changes_nothing(old, monkeypatch):
    from workbench.store import sqlite

    def half(connection: sqlite3.Connection) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    upgrade = sqlite.upgrade
    monkeypatch.setattr(sqlite, "upgrade", half)
    with pytest.raises(KeyboardInterrupt):
        Store.open(old)
    assert version(old) == 1
    monkeypatch.undo()
    with Store.open(old) as store:
        assert content(store) == EXPECTED


def test_a_store_of_format_2_opens_and_says_the_same(tmp_path):
    """Compacted and rolled up, with a segment and hot rows that came later."""
    shutil.copytree(GOLDEN / "store-2", tmp_path / "s")
    expected = json.loads((GOLDEN / "store-2.json").read_text())
    with Store.open(tmp_path / "s") as store:
        means = store.rollup([], "avg", worlds.T0, worlds.T0 + 3 * 3600 * worlds.S, "1h")
        got = content(store) | {"rollup": [[None if v != v else v for v in row] for row in means.values.tolist()]}
        assert got == expected
        assert store.verify() == []
        assert version(tmp_path / "s") == place.FORMAT


def test_a_store_of_format_2_that_cannot_be_written_is_read_as_it_is(tmp_path, monkeypatch):
    shutil.copytree(GOLDEN / "store-2", tmp_path / "s")
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    monkeypatch.setattr("workbench.store.sqlite._upgraded_copy", None)
    with Store.open(tmp_path / "s") as store:
        assert len(store.select([])) == len(json.loads((GOLDEN / "store-2.json").read_text())["labels"])
    assert version(tmp_path / "s") == 2


def histograms(store: Store) -> list[Any]:
    """All samples as the golden file has them."""
    return json.loads(json.dumps(native.told(store.select([]))))


def test_a_store_of_this_format_opens_and_says_the_same(tmp_path):
    """Native histograms, exponential and custom, and numbers: compacted, in a segment that came later, and hot."""
    shutil.copytree(GOLDEN / "store-3", tmp_path / "s")
    with Store.open(tmp_path / "s") as store:
        assert histograms(store) == json.loads((GOLDEN / "store-3.json").read_text())
        assert store.verify() == []
        assert len(store.series()) == 3
