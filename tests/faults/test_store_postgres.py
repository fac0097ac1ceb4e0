"""Stores whose catalog is on a PostgreSQL server: processes killed, two that seal at once, the server crashing."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults import content
from tests.faults.program import say
from tests.faults.test_store_kills import Crew
from tests.store import server
from workbench.errors import StoreError
from workbench.store import Store


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a new store that has its catalog on the server."""
    Store.open(tmp_path / "s", catalog=server.start().url()).close()
    return tmp_path / "s"


def insist(folder: str, writer: str, seconds: float) -> None:
    """Write batches under keys; one that was refused is written again."""
    store = Store.open(folder)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        try:
            store.write(content.batch(writer, number), key=f"{writer}/{number}")
        except StoreError as error:
            say(f"refused {error}")
            continue
        say(f"ack {number}")
        number += 1


def seal(folder: str, seconds: float) -> None:
    """Seal again and again; a server that is away is no reason to give up."""
    store = Store.open(folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            say(f"sealed {sum(store.seal().values())}")
        except StoreError as error:
            say(f"refused {error}")


def hold(folder: str) -> None:
    """Begin a change and stay in it."""
    store = Store.open(folder)
    with store._catalog.write() as change:
        change.execute("INSERT INTO keys VALUES ('held', 1)")
        say("inside")
        time.sleep(600)


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_killed_writers_and_caretakers_lose_nothing_acknowledged(nursery, folder, kills):
    chance = random.Random(kills)
    crew = Crew(nursery, folder, 1)
    for _ in range(kills):
        time.sleep(chance.random() * 0.3)
        crew.kill(chance.choice(list(crew.running)))
    crew.check(1)


def test_who_dies_inside_a_change_lets_go_of_it_at_once(nursery, folder):
    holder = nursery.start("test_store_postgres:hold", folder)
    holder.until("inside")
    with Store.open(folder) as store:
        holder.kill()
        began = time.monotonic()
        assert store.write(content.batch("w0", 0))["logs"] > 0
        assert time.monotonic() - began < 10
        assert not store.has("held")


def test_two_that_seal_at_once_neither_lose_nor_double(nursery, folder):
    writer = nursery.start("test_store_postgres:insist", folder, "w0", 4)
    writer.until("ack")
    sealers = [nursery.start("test_store_postgres:seal", folder, 4) for _ in range(2)]
    for process in (writer, *sealers):
        _, status = process.finish()
        assert status == 0, process.errors()
    sealed = [sum(int(line.split()[1]) for line in process.lines if line.startswith("sealed")) for process in sealers]
    assert max(sealed) > 0
    assert not any(process.said("refused") for process in (writer, *sealers))
    acknowledged = {"w0": writer.said("ack")}
    nursery.run("actors:check", folder, acknowledged, 0)
    with Store.open(folder) as store:
        there = sum(shape["rows"] for shape in store.status()["signals"].values())
        assert sum(sealed) <= there
        left = sum(store.seal().values())
        assert sum(sealed) + left == there, "each row was sealed by one of them"


@pytest.mark.parametrize("crashes", [pytest.param(2, marks=pytest.mark.slow), pytest.param(15, marks=pytest.mark.soak)])
def test_a_server_that_crashes_in_the_middle_loses_nothing_acknowledged(nursery, tmp_path, crashes):
    own = server.Server(server.start().binaries)
    folder = tmp_path / "s"
    try:
        Store.open(folder, catalog=own.url()).close()
        seconds = 4.0 * crashes + 4
        writers = [nursery.start("test_store_postgres:insist", folder, f"w{i}", seconds) for i in range(3)]
        sealer = nursery.start("test_store_postgres:seal", folder, seconds)
        for _ in range(crashes):
            for process in writers:
                process.until("ack", 5)
            own.stop("immediate")
            own.start()
        for process in (*writers, sealer):
            _, status = process.finish()
            assert status == 0, process.errors()
        acknowledged = {f"w{i}": process.said("ack") for i, process in enumerate(writers)}
        assert min(acknowledged.values()) > 5 * crashes
        nursery.run("actors:check", folder, acknowledged, 0)
        print(f"\nacknowledged {acknowledged}, refused {[process.said('refused') for process in writers]}")
    finally:
        own.close()
