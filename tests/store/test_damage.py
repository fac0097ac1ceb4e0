"""Damage: a flipped bit anywhere is named, and never becomes a wrong value."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.store import worlds
from workbench.errors import StoreError
from workbench.signals import Batch, Matcher
from workbench.store import Store
from workbench.store.place import CATALOG


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A closed store with one segment per signal and hot rows beside."""
    folder = tmp_path_factory.mktemp("sound") / "s"
    with Store.open(folder) as store:
        store.write(worlds.everything())
        store.seal()
        store.write(Batch(worlds.samples(n=2, t=5, start=900)))
        assert store.verify() == []
    return folder


def copy(sound: Path, tmp_path: Path, name: str) -> Path:
    shutil.copytree(sound, tmp_path / name)
    return tmp_path / name


READ = {
    "metrics": lambda s: s.select([]), "logs": lambda s: s.rows("logs"), "spans": lambda s: s.rows("spans"),
    "events": lambda s: s.rows("events"), "profiles": lambda s: s.profiles(),
}  # fmt: skip


@pytest.mark.parametrize("signal", list(READ))
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_segment_is_named_and_the_rest_is_readable(sound, tmp_path, signal, how):
    folder = copy(sound, tmp_path, "s")
    rng = np.random.default_rng(5)
    with Store.open(sound) as store:
        truth = store.select([], None, worlds.T0 + 400 * worlds.S)
    for place in sorted((folder / "segments" / signal).glob("**/*.parquet")):
        data = bytearray(place.read_bytes())
        for at in rng.integers(0, len(data), 6) if how == "flip" else [len(data) // 2]:
            if how == "gone":
                place.unlink()
            elif how == "cut":
                place.write_bytes(data[:at])
            else:
                broken = bytearray(data)
                broken[at] ^= 1 << int(rng.integers(8))
                place.write_bytes(broken)
            with Store.open(folder) as store:
                if signal == "metrics" and how != "gone":  # only the bytes of a chunk matter to a reader
                    try:
                        got = store.select([], None, worlds.T0 + 400 * worlds.S)
                    except StoreError as error:
                        said = str(error)
                    else:
                        said = place.name
                        worlds.assert_same_samples(got, truth)
                    assert place.name in said
                else:
                    with pytest.raises(StoreError, match=place.name):
                        READ[signal](store)
                assert [place.name in sentence for sentence in store.verify()] == [True]
                for other in READ.keys() - {signal}:
                    assert READ[other](store) is not None
            place.write_bytes(data)


def test_damage_behind_the_reader_s_back_is_seen_by_page_checksums(sound, tmp_path):
    import os

    folder = copy(sound, tmp_path, "s")
    with Store.open(folder) as store:
        before = len(store.rows("logs"))
        place = next((folder / "segments" / "logs").glob("**/*.parquet"))
        stat, data = place.stat(), bytearray(place.read_bytes())
        data[60] ^= 1
        with place.open("r+b") as stream:
            stream.write(data)
        os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        with pytest.raises(StoreError, match=place.name):
            store.rows("logs")
        assert before == 50


def edit(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / CATALOG)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_a_damaged_hot_row_is_named_and_sealed_data_is_readable(sound, tmp_path):
    folder = copy(sound, tmp_path, "s")
    connection = sqlite3.connect(folder / CATALOG)
    payload = bytearray(connection.execute("SELECT payload FROM hot").fetchone()[0])
    connection.close()
    payload[len(payload) // 2] ^= 4
    edit(folder, "UPDATE hot SET payload = ?", bytes(payload))
    with Store.open(folder) as store:
        with pytest.raises(StoreError, match=r"hot row \d+ of metrics is damaged"):
            store.select([])
        assert store.select([], None, worlds.T0 + 400 * worlds.S).n_samples == 100
        assert len(store.rows("logs")) == 50
        assert ["hot row" in sentence for sentence in store.verify()] == [True]
        with pytest.raises(StoreError, match="hot row"):
            store.seal()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE hot SET seq = seq + 1", "hot row"),
        ("UPDATE segments SET t_max = t_max + 1 WHERE signal = 'metrics'", "segment"),
        ("UPDATE segments SET series_max = 1 WHERE signal = 'metrics'", "segment"),
        ("UPDATE files SET path = 'nowhere' WHERE role = 'chunks'", "nowhere"),
    ],
)
def test_a_damaged_catalog_row_is_named(sound, tmp_path, statement, named):
    folder = copy(sound, tmp_path, "s")
    edit(folder, statement)
    with Store.open(folder) as store:
        assert any(named in sentence for sentence in store.verify())
        if "series SET" not in statement:
            with pytest.raises(StoreError, match=named):
                store.select([Matcher("metric", "!=", "")])


def test_a_torn_catalog_is_an_error_not_a_wrong_answer(sound, tmp_path):
    folder = copy(sound, tmp_path, "s")
    data = (folder / CATALOG).read_bytes()
    with Store.open(sound) as store:
        truth = store.select([])
    rng = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(data)
        broken[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(8))
        (folder / CATALOG).write_bytes(broken)
        try:
            with Store.open(folder) as store:
                got = store.select([])
                told = store.verify()
        except StoreError:
            continue
        if not told:
            worlds.assert_same_samples(got, truth)
