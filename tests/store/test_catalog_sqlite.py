"""The catalog in the store's folder: how small it is, how long its log gets, and that care never keeps others waiting."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from workbench.errors import StoreError
from workbench.store.place import CATALOG
from workbench.store.sqlite import SqliteCatalog

ROW = "INSERT INTO hot VALUES (?, 'logs', 1, 0, 0, 1, 1, 1, ?)"


@pytest.fixture
def one(tmp_path):
    opened = SqliteCatalog(tmp_path)
    yield opened
    opened.close()


def log(one: SqliteCatalog) -> int:
    return Path(f"{one.path}-wal").stat().st_size


def test_an_empty_catalog_is_sixteen_small_pages(one):
    one.vacuum()
    assert one.bytes_on_disk() <= 16 * 1024


def test_the_log_stays_under_four_mebibytes_and_one_change(one):
    longest = 0
    for number in range(1, 61):
        with one.write() as change:
            change.execute(ROW, (number, os.urandom(200_000)))
        longest = max(longest, log(one))
    assert longest < 4 * 2**20 + 3 * 200_000


def test_shrinking_does_not_wait_for_a_reader_or_a_writer(one, tmp_path):
    with one.write() as change:
        change.executemany(ROW, [(i, os.urandom(50_000)) for i in range(1, 41)])
    two = SqliteCatalog(tmp_path)
    with two.read() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM hot").fetchone() == (40,)
        with one.write() as change:
            change.execute("DELETE FROM hot")
        began = time.monotonic()
        one.shrink()
        one.vacuum()
        assert snapshot.execute("SELECT count(*), sum(length(payload)) FROM hot").fetchone() == (40, 40 * 50_000)
    with two.write() as change:
        one.shrink()
        one.vacuum()
        change.execute("INSERT INTO keys VALUES ('k', 1)")
    assert time.monotonic() - began < 10
    two.close()
    one.vacuum()
    assert one.bytes_on_disk() <= 16 * 1024
    with one.read() as snapshot:
        assert snapshot.execute("SELECT key FROM keys").fetchall() == [("k",)]


def test_a_vacuum_between_changes_of_others_loses_none(one, tmp_path):
    done, end = [], threading.Event()

    def write() -> None:
        two = SqliteCatalog(tmp_path)
        while not end.is_set():
            with two.write() as change:
                change.execute("INSERT INTO keys VALUES (?, 1)", (f"{len(done):06}",))
            done.append(len(done))
        two.close()

    thread = threading.Thread(target=write)
    thread.start()
    while len(done) < 20:
        time.sleep(0.01)
    for _ in range(10):
        one.vacuum()
    end.set()
    thread.join()
    with one.read() as snapshot:
        assert [int(row[0]) for row in snapshot.execute("SELECT key FROM keys ORDER BY key")] == done
    assert one.integrity() == []


def test_damage_is_found_by_the_database_itself(tmp_path):
    opened = SqliteCatalog(tmp_path)
    with opened.write() as change:
        change.executemany("INSERT INTO keys VALUES (?, 1)", [(f"key {i}",) for i in range(500)])
    opened.close()
    data = bytearray((tmp_path / CATALOG).read_bytes())
    at = data.rindex(b"key 250")
    data[at - 200 : at + 200] = bytes(400)
    (tmp_path / CATALOG).write_bytes(data)
    opened = SqliteCatalog(tmp_path)
    try:
        try:
            found = opened.integrity()
        except StoreError as error:
            found = [str(error)]
        assert found
        assert "is damaged" in found[0]
    finally:
        opened.close()


def test_two_that_upgrade_at_once_do_it_once(tmp_path):
    import shutil

    golden = Path(__file__).resolve().parents[1] / "golden" / "store-1"
    shutil.copytree(golden, tmp_path / "s")
    opened: list[SqliteCatalog] = []
    threads = [threading.Thread(target=lambda: opened.append(SqliteCatalog(tmp_path / "s"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for each in opened:
        with each.read() as snapshot:
            assert snapshot.execute("SELECT count(*) FROM keys").fetchone() == (2,)
        each.close()
    connection = sqlite3.connect(tmp_path / "s" / CATALOG)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
