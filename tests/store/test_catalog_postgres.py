"""A store whose catalog is on a PostgreSQL server: what is refused, what the folder remembers, servers that go away."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.store import native_strategies as native
from tests.store import worlds
from tests.store.server import Server
from workbench.errors import StoreError
from workbench.signals import Batch, Matcher
from workbench.store import Store, place
from workbench.store import catalog as module
from workbench.store.catalog import Catalog, open_catalog
from workbench.store.place import FORMAT
from workbench.store.reference import Server as Named
from workbench.store.reference import load
from workbench.store.trouble import StoreRefused


@pytest.fixture
def made(postgres: Server, tmp_path) -> Iterator[Store]:
    """A store with data of every signal, its catalog on the server."""
    with Store.open(tmp_path / "s", catalog=postgres.url()) as store:
        store.write(worlds.everything(), key="first")
        yield store


def ask(catalog: Any, sql: str) -> Any:
    """Run a statement on a connection beside the catalog's."""
    import psycopg

    with psycopg.connect(catalog._server.conninfo(), autocommit=True) as other:
        other.execute(f"SET search_path = {catalog._server.schema}")
        rows = other.execute(sql)
        return rows.fetchall() if rows.description else None


def test_the_folder_remembers_its_server_and_nothing_secret(made, postgres, tmp_path):
    held = json.loads((tmp_path / "s" / place.REFERENCE).read_text())
    assert held["catalog"].startswith("postgresql://workbench@")
    assert "password" not in json.dumps(held)
    assert not (tmp_path / "s" / place.CATALOG).exists()
    with Store.open(tmp_path / "s") as again, Store.open(tmp_path / "s", catalog=held["catalog"]) as third:
        assert len(again.rows("logs")) == len(third.rows("logs")) == 50
        assert third.has("first")
    with pytest.raises(StoreError, match="keeps its catalog at"):
        Store.open(tmp_path / "s", catalog=postgres.url())
    Store.open(tmp_path / "lite").close()
    with pytest.raises(StoreError, match=r"keeps its catalog in catalog\.sqlite"):
        Store.open(tmp_path / "lite", catalog=postgres.url())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://host/db?schema=a", "no PostgreSQL URL"),
        ("", "no PostgreSQL URL"),
        ("postgresql://u:secret@host/db?schema=a", "has a password in it"),
        ("postgresql://u@host/db?schema=a&password=secret", "has a password in it"),
        ("postgresql://u@host/db", "names no schema"),
        ("postgresql://u@host/db?schema=public", "names no schema"),
        ("postgresql://u@host/db?schema=A;DROP", "names no schema"),
        ("postgresql://u@host/db?schema=pg_x", "names no schema"),
        ("postgresql://u@host/db?schema=a&options=-cfsync%3Doff", "sets 'options'"),
        ("postgresql://u@host/db?schema=a&passfile=/etc/x", "sets 'passfile'"),
    ],
)
def test_urls_that_are_refused(tmp_path, url, sentence):
    with pytest.raises(StoreError, match=sentence) as caught:
        Store.open(tmp_path / "s", catalog=url)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "s" / place.REFERENCE).exists()


def test_both_ways_to_name_the_schema():
    one, two = (
        Named.of("postgresql://u@h:1/d?schema=a&sslmode=require"),
        Named.of("postgres://u@h:1/d?sslmode=require#a"),
    )
    assert one == two == Named.of(str(one))
    assert one.lock != Named.of("postgresql://u@h:1/d?schema=b").lock
    assert "sslmode=require" in one.conninfo()
    assert "require_auth" in one.conninfo()


def test_a_server_out_of_reach_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"cannot be used \(.*\): nothing was changed; check the server"):
        Store.open(tmp_path / "s", catalog=f"postgresql://nobody@/postgres?host={tmp_path}&schema=a")
    assert not (tmp_path / "s" / place.REFERENCE).exists()


def test_a_schema_belongs_to_one_store_only(made, postgres, tmp_path):
    url = load(tmp_path / "s" / place.REFERENCE)[0]
    with pytest.raises(StoreError, match="belongs to another store: name a schema"):
        Store.open(tmp_path / "t", catalog=str(url))
    ask(made._catalog, "CREATE SCHEMA foreign_one")
    ask(made._catalog, "CREATE TABLE foreign_one.t (x int)")
    with pytest.raises(StoreError, match="has tables, but is no catalog"):
        Store.open(tmp_path / "u", catalog=postgres.url("foreign_one"))
    held = json.loads((tmp_path / "s" / place.REFERENCE).read_text())
    other = tmp_path / "v"
    other.mkdir()
    (other / place.REFERENCE).write_text(json.dumps(held | {"store": held["store"] + 1}))
    with pytest.raises(StoreError, match="belongs to another store than"):
        Store.open(other)
    for damage in ("", "{}", '{"catalog": 5, "store": 1}', "[]"):
        (other / place.REFERENCE).write_text(damage)
        with pytest.raises(StoreError, match=r"catalog\.json is damaged"):
            Store.open(other)


def test_a_lost_schema_is_not_taken_for_a_new_store(made, tmp_path):
    made.seal()
    schema = made._catalog._server.schema
    ask(made._catalog, f"DROP SCHEMA {schema} CASCADE")
    with pytest.raises(StoreError, match=r"is empty, but store .* is not new: restore the schema"):
        Store.open(tmp_path / "s")
    with pytest.raises(StoreError, match="a table is missing; restore"):
        made.rows("logs")


def test_format_2_is_brought_up(made, tmp_path):
    ask(made._catalog, "UPDATE meta SET value = 2 WHERE name = 'format'")
    with Store.open(made.path) as again:
        with again._catalog.read() as connection:
            assert connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()[0] == FORMAT
        given = native.growing()
        again.write(Batch(given))
        again.compact(everything=True)
        assert native.told(again.select([Matcher("metric", "=", "h")])) == native.told(given)


def test_a_newer_format_is_refused(made, tmp_path):
    ask(made._catalog, "UPDATE meta SET value = 99 WHERE name = 'format'")
    with pytest.raises(StoreError, match=f"format 99, this version reads up to {place.FORMAT}: update"):
        Store.open(tmp_path / "s")


def test_network_file_systems_are_allowed(tmp_path, postgres, monkeypatch):
    monkeypatch.setattr(place, "file_system", lambda *arguments: "nfs4")
    with pytest.raises(StoreError, match="network file system"):
        Store.open(tmp_path / "lite")
    Store.open(tmp_path / "s", catalog=postgres.url()).close()
    with Store.open(tmp_path / "s") as store:
        assert store.write(worlds.everything())["logs"] == 50


def test_a_read_only_folder_is_read(made, tmp_path, monkeypatch):
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    with Store.open(tmp_path / "s") as store:
        assert store.read_only
        assert len(store.rows("logs")) == 50
        assert store.verify() == []
        with pytest.raises(StoreError, match="read-only: copy it"):
            store.write(worlds.everything())


def test_a_damaged_row_is_named(made):
    made.seal()
    ask(made._catalog, "UPDATE segments SET t_max = t_max + 1 WHERE signal = 'logs'")
    with pytest.raises(StoreError, match="segment"):
        made.rows("logs")
    assert any("segment" in sentence for sentence in made.verify())


def cut_off(catalog: Catalog, others: str, statements: int) -> None:
    """Lose the connection before the last of some statements, or before the commit."""
    with catalog.write() as change:
        change.execute("INSERT INTO keys VALUES ('lost', 1)")
        ask(catalog, others)
        for number in range(1, statements):
            change.execute("INSERT INTO keys VALUES (?, 1)", (f"lost {number}",))


def test_a_broken_connection_is_replaced(made):
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    for _ in range(2):
        ask(made._catalog, others)
        assert len(made.rows("logs")) == 50
    ask(made._catalog, others)
    assert made.write(Batch(worlds.samples(start=500)))["metrics"] == 100
    for statements, sentence in (
        (2, "nothing was changed; check the server and try again"),
        (1, "undone the last change"),
    ):
        with pytest.raises(StoreError, match=sentence):
            cut_off(made._catalog, others, statements)
    assert not made.has("lost")


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_restarts_is_waited_for(made, postgres, how):
    postgres.stop(how)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.rows, "logs")
        time.sleep(0.5)
        assert not waiting.done()
        postgres.start()
        assert len(waiting.result()) == 50
    postgres.stop(how)
    postgres.start()
    assert made.write(worlds.everything(start=100), key="second")["logs"] == 50
    assert len(made.rows("logs")) == 100


def test_a_server_that_stays_away_is_one_sentence(made, postgres, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    postgres.stop()
    try:
        with pytest.raises(StoreError, match="nothing was changed; check the server and try again"):
            made.rows("logs")
        with pytest.raises(StoreRefused, match=r"nothing was changed; .* may be repeated"):
            made.write(worlds.everything(start=100))
    finally:
        postgres.start()
    monkeypatch.undo()
    assert len(made.rows("logs")) == 50


class Wire:
    """Something between a catalog and its server that loses the answer to the next COMMIT, or the COMMIT itself."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.target, self.lose = str(server.folder / ".s.PGSQL.5432"), ""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            mute = threading.Event()
            for arguments in ((client, server, mute, True), (server, client, mute, False)):
                threading.Thread(target=self._carry, args=arguments, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, mute: threading.Event, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if up and self.lose and b"COMMIT\x00" in data:
                    what, self.lose = self.lose, ""
                    if what == "question":
                        break
                    mute.set()
                if mute.is_set() and not up:
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("what", ["answer", "question"])
def test_a_commit_whose_connection_breaks_is_asked_after(postgres, tmp_path, what):
    import tempfile

    url = postgres.url()
    with tempfile.TemporaryDirectory() as folder:
        wire = Wire(postgres, Path(folder))
        catalog: Catalog = open_catalog(_made(tmp_path), url=url.replace(str(postgres.folder), folder))
        try:
            for number in range(5):
                wire.lose = what
                expected = contextlib.nullcontext()
                if what == "question":
                    expected = pytest.raises(StoreError, match="undone the last change")
                with expected, catalog.write() as change:
                    change.execute("INSERT INTO keys VALUES (?, 1)", (f"{number}",))
                assert wire.lose == "", "the COMMIT was not met"
                with catalog.read() as snapshot:
                    found = snapshot.execute("SELECT count(*) FROM keys WHERE key = ?", (f"{number}",)).fetchone()[0]
                assert found == (what == "answer")
        finally:
            catalog.close()
            wire.listener.close()


def _made(folder: Path) -> Path:
    (folder / "wired").mkdir()
    return folder / "wired"


def test_a_server_that_may_forget_is_refused(tmp_path, postgres):
    postgres.stop()
    conf = postgres.folder / "data" / "postgresql.conf"
    before = conf.read_text()
    try:
        conf.write_text(before + "fsync = off\n")
        postgres.start()
        with pytest.raises(StoreError, match="fsync=off"):
            Store.open(tmp_path / "s", catalog=postgres.url())
    finally:
        postgres.stop()
        conf.write_text(before)
        postgres.start()


def test_a_copied_folder_without_its_server_says_where_it_was(made, tmp_path, monkeypatch):
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    held = json.loads((tmp_path / "copy" / place.REFERENCE).read_text())
    held["catalog"] = f"postgresql://workbench@/postgres?host={tmp_path}&schema=gone"
    (tmp_path / "copy" / place.REFERENCE).write_text(json.dumps(held))
    with pytest.raises(StoreError, match="schema=gone cannot be used"):
        Store.open(tmp_path / "copy")
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'workbench-observability\[scale\]'"):
        Store.open(tmp_path / "s")
