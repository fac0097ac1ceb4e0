"""The catalog as such, on both databases: snapshots, exclusive changes, any text and number, forks and threads."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.store import server
from workbench.errors import StoreError
from workbench.store import catalog as module
from workbench.store import sqlite
from workbench.store.catalog import Catalog, next_id, next_seq, open_catalog
from workbench.store.dialect import escaped, translated, unescaped
from workbench.store.place import CATALOG, FORMAT
from workbench.store.schema import COUNTERS, statements


@pytest.fixture
def folder(catalog, tmp_path) -> Path:
    """The folder of a new store, on each database."""
    open_catalog(tmp_path / "s", url=None if catalog == "sqlite" else server.start().url()).close()
    return tmp_path / "s"


@pytest.fixture
def one(folder):
    with closing(folder) as opened:
        yield opened


class closing:  # noqa: N801
    def __init__(self, folder: Path) -> None:
        self.catalog = open_catalog(folder, create=False)

    def __enter__(self) -> Catalog:
        return self.catalog

    def __exit__(self, *error: object) -> None:
        self.catalog.close()


def keys(catalog: Catalog) -> list[str]:
    with catalog.read() as transaction:
        return [row[0] for row in transaction.execute("SELECT key FROM keys ORDER BY key")]


def test_a_new_catalog_has_its_counters_at_zero(one):
    with one.read() as transaction:
        numbers = dict(transaction.execute("SELECT name, value FROM meta").fetchall())
    assert {name: numbers[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert one.integrity() == []
    assert one.bytes_on_disk() > 0


def test_a_snapshot_does_not_move_and_is_not_waited_for(one, folder):
    with closing(folder) as two:
        with one.read() as snapshot:
            before = snapshot.execute("SELECT count(*) FROM keys").fetchone()
            with two.write() as change:
                change.execute("INSERT INTO keys VALUES (?, ?)", ("new", 1))
            assert keys(two) == ["new"]
            assert snapshot.execute("SELECT count(*) FROM keys").fetchone() == before == (0,)
        assert keys(one) == ["new"]


def change_and_fail(catalog: Catalog, sql: str) -> None:
    with catalog.write() as change:
        change.execute("INSERT INTO keys VALUES (?, ?)", ("lost", next_seq(change)))
        change.execute(sql)
        raise ZeroDivisionError


def test_a_change_is_undone_when_it_raises(one):
    for sql, error in (("SELECT 1", ZeroDivisionError), ("SELECT * FROM no_such_table", StoreError)):
        with pytest.raises(error):
            change_and_fail(one, sql)
        assert keys(one) == []
    with one.write() as change:
        assert next_seq(change) == 1


def swallow(catalog: Catalog) -> None:
    with catalog.write() as change:
        change.execute("INSERT INTO keys VALUES (?, ?)", ("kept", 1))
        with pytest.raises(Exception, match="no_such_table"):
            change.execute("SELECT * FROM no_such_table")


def test_a_change_in_which_a_statement_was_refused_is_never_half_done(one, catalog):
    """PostgreSQL has undone everything by then, SQLite that statement only; neither says `done` of what is not."""
    if catalog == "sqlite":
        swallow(one)
        assert keys(one) == ["kept"]
    else:
        with pytest.raises(StoreError, match="has undone the last change"):
            swallow(one)
        assert keys(one) == []


def test_transactions_do_not_nest(one):
    with pytest.raises(RuntimeError, match="inside another one"), one.write(), one.read():
        pass
    with one.read() as transaction:
        assert one.integrity() == []
        assert transaction.execute("SELECT 1").fetchone() == (1,)


def test_a_writer_that_waits_too_long_says_so(one, folder, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    with closing(folder) as two:
        with one.write(), pytest.raises(StoreError, match=r"another process held the store for over 1 s"), two.write():
            pass
        with two.write() as change:
            assert next_id(change, "hot") == 1


def test_numbers_are_given_once_whoever_asks(one, folder):
    with closing(folder) as two:

        def work(i: int) -> int:
            with (one, two)[i % 2].write() as change:
                return next_id(change, "segment")

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(work, range(60))) == list(range(1, 61))


HOSTILE = [
    "a\x00b",
    "\x00",
    "\U0010fffe",
    "\U0010fffe0\x00",
    "'; DROP TABLE hot; --",
    "%s ? :x",
    "é😀\u202e",
    "",
    "x" * 70_000,
]


def test_any_text_number_and_blob_comes_back(one):
    big = [-(2**63), 2**63 - 1, 0]
    blob = bytes(range(256)) * 300
    with one.write() as change:
        change.executemany("INSERT INTO notes VALUES ('leftover', ?, 1, '')", [(text,) for text in HOSTILE])
        change.executemany(
            "INSERT INTO notes VALUES ('damage', ?, ?, '?%:x')", [(str(i), n) for i, n in enumerate(big)]
        )
        row = {"id": 7, "blob": blob, "crc": 2**32 - 1}
        change.execute("INSERT INTO chunks (segment, blob, crc32) VALUES (:id, :blob, :crc)", row)
        done = change.execute("INSERT INTO chunks VALUES (:id, :blob, :crc) ON CONFLICT DO NOTHING", row)
        assert done.rowcount == 0
    with one.read() as transaction:
        assert {row[0] for row in transaction.execute("SELECT name FROM notes WHERE kind = 'leftover'")} == set(HOSTILE)
        for text in HOSTILE:
            found = transaction.execute(
                "SELECT name FROM notes WHERE kind = 'leftover' AND name = ?", (text,)
            ).fetchall()
            assert found == [(text,)]
        assert transaction.execute("SELECT at, text FROM notes WHERE kind = 'damage' ORDER BY name").fetchall() == [
            (n, "?%:x") for n in big
        ]
        got = transaction.execute("SELECT blob, crc32 FROM chunks").fetchone()
        assert (bytes(got[0]), got[1]) == (blob, 2**32 - 1)
        total = transaction.execute("SELECT sum(crc32), min(segment), count(*) FROM chunks").fetchone()
        assert total == (2**32 - 1, 7, 1)
        assert all(type(n) is int for n in total)
        ordered = [
            row[0] for row in transaction.execute("SELECT name FROM notes WHERE kind = 'leftover' ORDER BY name")
        ]
    sound = [text for text in ordered if text.isprintable()]
    assert sound == sorted(sound, key=str.encode), "text is ordered by its bytes, not by a language"


def test_a_forked_child_has_a_connection_of_its_own(one):
    with one.write() as change:
        change.execute("INSERT INTO keys VALUES ('parent', 1)")
    child = os.fork()
    if child == 0:
        try:
            with one.write() as change:
                change.execute("INSERT INTO keys VALUES ('child', 2)")
            os._exit(0 if keys(one) == ["child", "parent"] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert keys(one) == ["child", "parent"]


def test_a_child_forked_while_another_thread_writes_does_not_hang(one):
    inside, go = threading.Event(), threading.Event()

    def write() -> None:
        with one.write() as change:
            change.execute("INSERT INTO keys VALUES ('slow', 1)")
            inside.set()
            go.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if keys(one) == [] else 1)
    assert os.waitpid(child, 0)[1] == 0
    go.set()
    thread.join()
    assert keys(one) == ["slow"]


def test_a_closed_catalog_says_so(one):
    one.close()
    one.close()
    for use in (one.read, one.write):
        with pytest.raises(StoreError, match="has been closed"), use():
            pass


def test_vacuum_gives_space_back_and_leaves_everything(one, folder, catalog):
    row = "INSERT INTO hot VALUES (?, 'logs', 1, 0, 0, 1, 1, 1, ?)"
    with one.write() as change:
        change.executemany(row, [(i, os.urandom(100_000)) for i in range(1, 31)])
        change.executemany("INSERT INTO keys VALUES (?, 1)", [(f"key {i:04}",) for i in range(2000)])
    full = one.bytes_on_disk()
    with one.write() as change:
        change.execute("DELETE FROM hot WHERE id < 30")
        change.execute("DELETE FROM keys WHERE key > 'key 1'")
    left = keys(one)
    with closing(folder) as two:
        with two.read() as snapshot:
            snapshot.execute("SELECT count(*) FROM keys").fetchone()
            one.vacuum()  # somebody is in the way: it does what it can and does not wait
        one.vacuum()
        assert keys(two) == keys(one) == left
    assert one.integrity() == []
    assert one.bytes_on_disk() < (full / 10 if catalog == "sqlite" else full * 1.01)


def test_a_read_only_catalog_takes_nothing(folder):
    opened = sqlite.SqliteCatalog(folder, True) if (folder / CATALOG).exists() else None
    if opened is None:
        from workbench.store.postgres import PostgresCatalog

        opened = PostgresCatalog(folder, True)
    try:
        assert keys(opened) == []
        for change in (opened.vacuum, lambda: opened.write().__enter__()):
            with pytest.raises(StoreError, match="is read-only: copy it"):
                change()
        with pytest.raises(StoreError, match="cannot be used"), opened.read() as transaction:
            transaction.execute("INSERT INTO keys VALUES ('x', 1)")
    finally:
        opened.close()


plain = st.text(st.sampled_from(["?", ":", "a", "%", "_", "1", " ", ",", "\n"]), max_size=8)
quoted = st.text(st.sampled_from(["?", "'", ":", "a", "%"]), max_size=5).map(lambda t: "'" + t.replace("'", "''") + "'")


@given(st.lists(plain | quoted, max_size=6).map("".join))
def test_translation_equals_reading_letter_by_letter(sql):
    assert translated(sql) == naive.translated_sql(sql)


@given(st.text(st.sampled_from(["\x00", "\U0010fffe", "0", "1", "a"]), max_size=12), st.text(max_size=5))
def test_escaping_comes_back_and_leaves_no_nul(hostile, other):
    for given_text in (hostile, other):
        assert "\x00" not in escaped(given_text)
        assert unescaped(escaped(given_text)) == given_text


def test_both_databases_get_the_same_tables():
    lite, server_side = statements("sqlite"), statements("postgresql")
    assert len(lite) == len(server_side)
    assert not any("{" in statement for statement in lite + server_side)
    assert all("ROWID" not in statement for statement in server_side)
    assert FORMAT == 3
    connection = sqlite3.connect(":memory:")
    for statement in lite:
        connection.execute(statement)
    connection.close()
