"""Snapshots of the catalog beside the cold data: what is in them, what is refused, and how long they stay."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.test_tier import NEVER, NOW, WEEK, World
from workbench.errors import StoreError
from workbench.store import retention, tier
from workbench.store.blocks import BlockCache
from workbench.store.place import FORMAT
from workbench.store.publish import open_url, publish, published
from workbench.store.remote import Remote
from workbench.store.sqlite import SqliteCatalog
from workbench.store.tier import Policy


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two cold segments, one warm, one retired, a hot row and the name of a batch."""
    made = World(tmp_path)
    made.add(1, 2)
    made.add(3, 4, "profiles")
    made.add(5, 6, "spans")
    tier.move(made.catalog, made.warm, made.cold, WEEK, NOW)
    retention.retire(made.catalog, Policy(**{**NEVER, "raw_days": 997.5}), NOW)
    made.add(990, 999)
    with made.catalog.write() as connection:
        connection.execute("INSERT INTO hot VALUES (1, 'logs', 9, 1, 2, 1, 1, 0, X'00')")
        connection.execute("INSERT INTO keys VALUES ('a batch', 1)")
    return made


@pytest.fixture
def cache(tmp_path: Path) -> BlockCache:
    return BlockCache(tmp_path / "cache", 2**30)


def test_only_what_is_cold_is_published_and_the_rest_is_counted(world: World, cache: BlockCache) -> None:
    pointer = publish(world.catalog, world.cold)
    assert pointer["left_out"] == {"hot_rows": 1, "segments": 1}
    opened = open_url(world.cold.url, cache)
    assert opened.pointer == pointer == published(world.cold)
    with closing(SqliteCatalog(opened.folder, read_only=True)) as catalog, catalog.read() as connection:
        assert connection.execute("SELECT id, tier FROM segments ORDER BY id").fetchall() == [(2, "cold"), (3, "cold")]
        paths = sorted(row[0] for row in connection.execute("SELECT path FROM files"))
        assert paths == sorted(world.paths[2] + world.paths[3])
        for table in ("hot", "keys"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    for path in paths:
        assert opened.place.read(path, [(0, 10**6)]) == world.cold.read(path, [(0, 10**6)])
    with pytest.raises(StoreError, match="read-only"), SqliteCatalog(opened.folder, read_only=True).write():
        pass


def test_a_few_old_snapshots_stay(world: World, cache: BlockCache) -> None:
    numbers = [publish(world.catalog, world.cold)["number"] for _ in range(6)]
    assert numbers == [1, 2, 3, 4, 5, 6]
    names = [f"catalog/{n:012d}.sqlite.zst" for n in (4, 5, 6)]
    assert world.cold.list("catalog/") == [*names, "catalog/latest.json"]
    assert open_url(world.cold.url, cache).folder.name == f"{6:012d}"
    publish(world.catalog, world.cold)
    opened = open_url(world.cold.url, cache)
    assert [p.name for p in opened.folder.parent.iterdir()] == [f"{7:012d}"]


def test_a_newer_pointer_is_not_taken_back(world: World) -> None:
    pointer = publish(world.catalog, world.cold)
    newer = {**pointer, "number": 99}
    world.cold.replace("catalog/latest.json", json.dumps(newer).encode())
    assert publish(world.catalog, world.cold) == newer
    assert published(world.cold) == newer


def test_two_stores_cannot_publish_at_one_url(world: World, tmp_path: Path) -> None:
    publish(world.catalog, world.cold)
    (tmp_path / "another").mkdir()
    other = SqliteCatalog(tmp_path / "another")
    with pytest.raises(StoreError, match="a cold place of its own"):
        publish(other, world.cold)


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE segments SET t_max = t_max + 1 WHERE id = 2", "row of segment 2 is damaged"),
        ("INSERT INTO chunks (segment, blob, crc32) VALUES (2, X'00', 1)", "chunk index of segment 2"),
    ],
)
def test_damage_is_not_spread(world: World, statement: str, match: str) -> None:
    with world.catalog.write() as connection:
        connection.execute(statement)
    with pytest.raises(StoreError, match=match):
        publish(world.catalog, world.cold)
    assert published(world.cold) is None


def test_what_is_there_is_checked(world: World, cache: BlockCache) -> None:
    pointer = publish(world.catalog, world.cold)
    data = bytearray(world.cold.fetch(pointer["path"]))

    def refused(match: str) -> None:
        with pytest.raises(StoreError, match=match):
            open_url(world.cold.url, BlockCache(cache.folder / match[:4], 2**30))

    data[len(data) // 2] ^= 1
    world.cold.replace(pointer["path"], bytes(data))
    refused("snapshot .* is damaged")
    for wrong in (b"{", b"[]", b"{}", b'{"number": "one"}', b"\xff"):
        world.cold.replace("catalog/latest.json", wrong)
        refused("latest.json is damaged")
    world.cold.replace("catalog/latest.json", json.dumps({**pointer, "format": FORMAT + 1}).encode())
    refused("update workbench")
    world.cold.replace("catalog/latest.json", json.dumps({**pointer, "path": "../../etc/passwd"}).encode())
    refused("not the name of a file")
    world.cold.replace("catalog/latest.json", json.dumps({**pointer, "path": "catalog/gone"}).encode())
    refused("try again")
    world.cold.delete("catalog/latest.json")
    refused("no published store")


def test_a_snapshot_that_lies_about_its_size_is_not_unpacked(world: World, cache: BlockCache) -> None:
    import zlib

    import zstandard

    pointer = publish(world.catalog, world.cold)
    bomb = zstandard.compress(bytes(200_000_000))
    world.cold.replace(pointer["path"], bomb)
    lie = {**pointer, "bytes": len(bomb), "crc32": zlib.crc32(bomb)}
    world.cold.replace("catalog/latest.json", json.dumps(lie).encode())
    with pytest.raises(StoreError, match="is damaged"):
        open_url(world.cold.url, cache)


def test_a_snapshot_damaged_on_this_disk_is_fetched_anew(world: World, cache: BlockCache) -> None:
    publish(world.catalog, world.cold)
    opened = open_url(world.cold.url, cache)
    place = opened.folder / "catalog.sqlite"
    sound = place.read_bytes()
    place.write_bytes(sound[:-1] + b"?")
    assert open_url(world.cold.url, cache).folder == opened.folder
    assert place.read_bytes() == sound
    shutil.rmtree(cache.folder)
    assert (open_url(world.cold.url, cache).folder / "catalog.sqlite").read_bytes() == sound


def test_a_place_nobody_published_at(cache: BlockCache) -> None:
    assert published(Remote("memory://nobody")) is None
    with pytest.raises(StoreError, match="no published store at memory://nobody"):
        open_url("memory://nobody", cache)
