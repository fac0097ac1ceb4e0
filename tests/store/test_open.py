"""Opening: where a store may lie, and every refusal is one sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.store import worlds
from workbench.errors import StoreError
from workbench.signals import Batch
from workbench.store import Store, place


def test_a_store_is_made_where_nothing_is(tmp_path):
    with Store.open(tmp_path / "a" / "b") as store:
        assert store.path == tmp_path / "a" / "b"
        store.write(Batch(worlds.samples()))
    with Store.open(str(tmp_path / "a" / "b"), create=False) as again:
        assert again.select([]).n_samples == 100
        assert repr(again).startswith("Store(")
    with pytest.raises(StoreError, match="has been closed"):
        again.extent()


def test_missing_store_is_refused_without_create(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_a_file_a_strange_folder_and_a_strange_database_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        Store.open(tmp_path / "file")
    with pytest.raises(StoreError, match="is not a store, it holds 'file'"):
        Store.open(tmp_path)
    folder = tmp_path / "other"
    folder.mkdir()
    with sqlite3.connect(folder / place.CATALOG) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(StoreError, match="no catalog of a workbench store"):
        Store.open(folder)
    (folder / place.CATALOG).write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="damaged; restore it"):
        Store.open(folder)


def test_a_newer_format_is_refused(tmp_path):
    Store.open(tmp_path / "s").close()
    connection = sqlite3.connect(tmp_path / "s" / place.CATALOG)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=f"format 99, this version reads up to {place.FORMAT}: update"):
        Store.open(tmp_path / "s")


def mounts(tmp_path: Path, kind: str) -> Path:
    table = tmp_path / "mounts"
    quoted = str(tmp_path).replace(" ", "\\040")
    table.write_text(f"none / ext4 rw 0 0\nshort\nsrv:/x {quoted}/far {kind} rw 0 0\nnone {quoted}/fart ext4 rw 0 0\n")
    return table


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_network_file_systems_are_refused_unless_read_only(tmp_path, kind, monkeypatch):
    table = mounts(tmp_path, kind)
    (tmp_path / "far").mkdir()
    assert place.file_system(tmp_path / "far" / "s", table) == kind
    assert place.file_system(tmp_path / "farther", table) == "ext4"
    with pytest.raises(StoreError, match=rf"network file system \({kind}\)"):
        place.prepare(tmp_path / "far" / "s", True, table)
    (tmp_path / "far" / "s").mkdir(exist_ok=True)
    (tmp_path / "far" / "s" / place.CATALOG).touch()
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    assert place.prepare(tmp_path / "far" / "s", True, table) is True
    assert place.file_system(tmp_path, tmp_path / "no mounts") == ""


@pytest.mark.parametrize("logged", [False, True])
def test_a_read_only_folder_is_read_and_never_written(tmp_path, monkeypatch, logged):
    first = Store.open(tmp_path / "s")
    first.write(worlds.everything())
    first.seal()
    first.write(worlds.everything(start=100))
    if not logged:
        first.close()
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    before = sorted(p.name for p in (tmp_path / "s").glob("**/*"))
    with Store.open(tmp_path / "s") as store:
        assert store.read_only
        assert store.select([]).n_samples == 200
        assert len(store.rows("logs")) == 100
        assert store.verify() == []
        with pytest.raises(StoreError, match="read-only: copy it"):
            store.write(worlds.everything())
        with pytest.raises(StoreError, match="read-only"):
            store.seal()
    assert sorted(p.name for p in (tmp_path / "s").glob("**/*")) == before
    with pytest.raises(StoreError, match="read-only and holds no store"):
        Store.open(tmp_path / "new")
    first.close()


def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    from workbench.store import places
    from workbench.store import write as write_module

    with Store.open(tmp_path / "s") as store:
        store.write(Batch(worlds.samples()), key="first")

        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(places.os, "fsync", full)
        monkeypatch.setattr(write_module, "_HOT_BYTES", 0)
        with pytest.raises(StoreError, match="No space left"):
            store.write(Batch(worlds.samples(start=100)), key="second")
        monkeypatch.undo()
        assert not store.has("second")
        assert store.select([]).n_samples == 100
        assert list((tmp_path / "s").glob("tmp/*")) == []
        assert store.write(Batch(worlds.samples(start=100)), key="second")["metrics"] == 100
