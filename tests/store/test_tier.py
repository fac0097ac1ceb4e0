"""Policies of age: what moves, what is retired, what stays because it hides something, and what is removed when."""

from __future__ import annotations

import json
import time
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import StoreError
from workbench.store import crash, retention, tier
from workbench.store.blocks import BlockCache
from workbench.store.buckets import Again
from workbench.store.catalog import open_catalog
from workbench.store.files import File, Made, add_segment
from workbench.store.places import Folder, Gone
from workbench.store.publish import open_url, publish, published
from workbench.store.remote import Remote
from workbench.store.retention import Policy
from workbench.store.sqlite import SqliteCatalog
from workbench.store.tier import Tiers

DAY = 86_400 * 10**9
NOW = 1_000 * DAY
NEVER = dict.fromkeys(("warm_days", "warm_rollup_days", "raw_days", "rollup_days"), 0.0)
WEEK = Policy(**{**NEVER, "warm_days": 7.0})


class World:
    """A store's folder with segments whose bytes mean nothing, and a cold folder beside it."""

    def __init__(self, root: Path) -> None:
        (root / "store").mkdir()
        self.warm = Folder(root / "store")
        self.catalog = open_catalog(root / "store")
        self.cold = Remote((root / "cold").as_uri(), wait_s=0.001)
        tier.settle(self.catalog, self.cold.url)
        self.tiers = Tiers({"warm": self.warm})
        with self.catalog.read() as connection:
            self.tiers.look(connection)
        self.paths: dict[int, list[str]] = {}

    def add(self, low: float, high: float, signal: str = "logs", step: int = 0, seq: int | None = None) -> int:
        """Name a segment with rows from day `low` to day `high`."""
        number = len(self.paths) + 1
        files = []
        for role in ("samples", "stacks") if signal == "profiles" else ("rows",):
            data = f"{signal} {number} {role}".encode() * 1000
            path = f"segments/{signal}/{number}-{role}.parquet"
            self.warm.put(path, data)
            files.append(File(role, path, len(data), zlib.crc32(data)))
        row = {"signal": signal, "t_min": int(low * DAY), "t_max": int(high * DAY), "rows": 1}
        with self.catalog.write() as connection:
            made = add_segment(connection, Made(row, files), seq or number, seq or number, step=step)
        self.paths[made] = [f.path for f in files]
        return made

    def states(self) -> dict[int, str]:
        with self.catalog.read() as connection:
            query = "SELECT id, CASE WHEN retired IS NULL THEN tier ELSE 'retired' END FROM segments ORDER BY id"
            return dict(connection.execute(query).fetchall())

    def here(self) -> dict[str, list[str]]:
        """Return the paths in each place."""
        return {"warm": self.warm.list("segments/"), "cold": self.cold.list("segments/")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_old_segments_move_whole_and_their_local_files_stay_for_a_while(world: World) -> None:
    old, edge, young = world.add(1, 2), world.add(900, 993), world.add(900, 993.5)
    many = world.add(3, 4, "profiles")
    before = world.here()["warm"]
    moved = tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert sorted(moved.segments) == [old, many]
    assert moved.problems == []
    assert world.states() == {old: "cold", edge: "warm", young: "warm", many: "cold"}
    assert world.here() == {"warm": before, "cold": sorted(world.paths[old] + world.paths[many])}
    for path in world.paths[old]:
        size = world.warm.size(path) or 0
        assert world.cold.read(path, [(0, size)]) == world.warm.read(path, [(0, size)])
    assert tier.forget(world.catalog, world.tiers) == 0
    assert tier.forget(world.catalog, world.tiers, time.time_ns() + 601 * 10**9) == 3
    assert world.here()["warm"] == sorted(world.paths[edge] + world.paths[young])
    assert tier.move(world.catalog, world.warm, world.cold, WEEK, NOW).segments == []


def test_rollups_have_ages_of_their_own(world: World) -> None:
    raw, older, rollup = world.add(1, 950), world.add(1, 800, step=60), world.add(1, 950, step=60)
    policy = Policy(warm_days=7, warm_rollup_days=90, raw_days=40, rollup_days=180)
    assert retention.due(world.catalog, policy, NOW)["move"]["segments"] == 2
    assert tier.move(world.catalog, world.warm, world.cold, policy, NOW).segments == [older, raw]
    assert retention.retire(world.catalog, policy, NOW) == [raw, older]
    assert world.states() == {raw: "retired", rollup: "warm", older: "retired"}


def test_a_policy_of_nothing_does_nothing(world: World) -> None:
    world.add(1, 2)
    assert tier.move(world.catalog, world.warm, world.cold, Policy(**NEVER), NOW).segments == []
    assert retention.retire(world.catalog, Policy(**NEVER), NOW) == []


def test_retired_files_go_from_every_tier_after_the_grace_period(world: World) -> None:
    cold, warm, kept = world.add(1, 2), world.add(3, 4), world.add(1, 999)
    tier.move(world.catalog, world.warm, world.cold, Policy(**{**NEVER, "warm_days": 997.5}), NOW)
    assert world.states()[cold] == "cold"
    policy = Policy(**{**NEVER, "raw_days": 500})
    assert retention.due(world.catalog, policy, NOW)["retire"]["segments"] == 2
    now = time.time_ns()
    assert retention.retire(world.catalog, policy, NOW) == [cold, warm]
    with world.catalog.write() as connection:
        connection.execute("UPDATE segments SET retired = ? WHERE retired IS NOT NULL", (now,))
    assert tier.forget(world.catalog, world.tiers, now + 599 * 10**9) == 0
    assert world.here()["cold"] == world.paths[cold]
    tier.forget(world.catalog, world.tiers, now + 700 * 10**9)
    assert world.here()["cold"] == []
    assert world.states() == {warm: "retired", kept: "warm"}, "the store's own cleaning removes what is local"


def test_a_segment_stays_while_it_hides_older_values(world: World) -> None:
    """Retiring the later of two writes would bring back what it replaced."""
    first = world.add(450, 900, seq=1)  # stays: its last row is young
    second = world.add(100, 460, seq=2)  # hides rows of the first
    third = world.add(90, 120, seq=3)  # hides rows of the second, which stays
    free = world.add(1, 400, "spans", seq=4)
    policy = Policy(**{**NEVER, "raw_days": 500})
    assert retention.retire(world.catalog, policy, NOW) == [free]
    assert retention.retire(world.catalog, policy, NOW + 500 * DAY) == [first, second, third]


def test_a_hot_row_of_an_older_write_keeps_what_hides_it(world: World) -> None:
    later = world.add(1, 400, seq=5)
    with world.catalog.write() as connection:
        row = ("logs", 3, 2 * DAY, 3 * DAY)
        connection.execute(
            "INSERT INTO hot (id, signal, seq, t_min, t_max, rows, bytes, crc32, payload)"
            " VALUES (1, ?, ?, ?, ?, 1, 1, 0, X'00')", row)  # fmt: skip
    policy = Policy(**{**NEVER, "raw_days": 500})
    assert retention.retire(world.catalog, policy, NOW) == []
    with world.catalog.write() as connection:
        connection.execute("DELETE FROM hot")
    assert retention.retire(world.catalog, policy, NOW) == [later]


def test_a_damaged_file_stays_and_is_named_and_the_others_go(world: World) -> None:
    bad, good = world.add(1, 2), world.add(3, 4)
    place = world.warm.root / world.paths[bad][0]
    place.write_bytes(place.read_bytes()[:-1] + b"!")
    moved = tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert moved.segments == [good]
    assert len(moved.problems) == 1
    assert world.paths[bad][0] in moved.problems[0]
    assert world.here()["cold"] == world.paths[good]


def test_an_object_with_other_bytes_in_the_place_is_never_named(world: World) -> None:
    number = world.add(1, 2)
    world.cold.put(world.paths[number][0], b"of somebody else")
    moved = tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert world.states() == {number: "warm"}
    assert "is not what the catalog says" in moved.problems[0]
    assert world.cold.fetch(world.paths[number][0]) == b"of somebody else"


def test_a_segment_that_goes_while_it_is_copied_is_not_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    compacted, removed = world.add(1, 2), world.add(3, 4)
    put = world.cold.put

    def late(path: str, data: bytes) -> bool:
        with world.catalog.write() as connection:
            connection.execute("UPDATE segments SET retired = 1")
        (world.warm.root / world.paths[removed][0]).unlink(missing_ok=True)
        return put(path, data)

    monkeypatch.setattr(world.cold, "put", late)
    moved = tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert (moved.segments, moved.lost, moved.problems) == ([], 2, [])
    assert world.states() == {compacted: "retired", removed: "retired"}
    with world.catalog.read() as connection:
        assert connection.execute("SELECT count(*) FROM notes WHERE kind = 'leftover'").fetchone() == (0,)


def test_a_left_over_path_that_is_named_here_again_is_not_removed(world: World) -> None:
    number = world.add(1, 2)
    with world.catalog.write() as connection:
        connection.execute("INSERT INTO notes VALUES ('leftover', ?, 1, '')", (world.paths[number][0],))
    assert tier.forget(world.catalog, world.tiers) == 0
    assert world.here()["warm"] == world.paths[number]


def test_a_second_place_is_refused(world: World, tmp_path: Path) -> None:
    assert tier.settle(world.catalog, "") == world.cold.url
    assert tier.settle(world.catalog, world.cold.url + "/") == world.cold.url
    with pytest.raises(StoreError, match="lies at"):
        tier.settle(world.catalog, "memory://another")


def test_a_place_given_later_is_seen(world: World) -> None:
    tiers = Tiers({"warm": world.warm})
    assert set(tiers) == {"warm"}
    with world.catalog.read() as connection:
        tiers.look(connection)
    assert tiers["cold"].url == world.cold.url
    assert len(tiers) == 2


def test_only_old_objects_that_no_segment_names_are_swept(world: World) -> None:
    named = world.add(1, 2)
    world.cold.put(world.paths[named][0], (world.warm.root / world.paths[named][0]).read_bytes())
    world.cold.put("segments/logs/orphan.parquet", b"x")
    world.cold.put("other.txt", b"not ours")
    later = time.time_ns() + 2 * DAY

    def swept(now: int | None = None) -> list[str]:
        return tier.sweep(world.catalog, world.cold, now)

    assert swept() == []
    assert swept(later) == ["segments/logs/orphan.parquet"]
    assert world.cold.list("") == ["other.txt", world.paths[named][0]]
    publish(world.catalog, world.cold)
    world.cold.put("segments/logs/orphan.parquet", b"x")
    with world.catalog.write() as connection:
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'published'")
    with pytest.raises(StoreError, match="old copy"):
        swept(later)
    assert world.cold.size("segments/logs/orphan.parquet") == 1


def test_every_point_is_reached(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[str] = []
    for module in (tier, retention):
        monkeypatch.setattr(module, "reach", points.append)
    world.add(1, 2)
    tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert points == ["tier.copied", "tier.committed"]
    tier.forget(world.catalog, world.tiers, time.time_ns() + DAY)
    assert points[2:] == ["tier.deleted"]
    retention.retire(world.catalog, Policy(**{**NEVER, "raw_days": 1}), time.time_ns())
    tier.forget(world.catalog, world.tiers, time.time_ns() + DAY)
    assert points[3:] == ["delete.committed", "delete.file"]
    assert set(points) <= set(crash.POINTS)


def test_a_failing_place_loses_nothing_and_is_left_alone_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(5):
        world.add(day, day + 1)

    def busy(*_: object) -> str:
        raise Again("busy")

    monkeypatch.setattr(world.cold._bucket, "put", busy)
    moved = tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert moved.segments == []
    assert len(moved.problems) == 1
    assert world.cold.requests == 8
    assert set(world.states().values()) == {"warm"}
    monkeypatch.undo()
    assert len(tier.move(world.catalog, world.warm, world.cold, WEEK, NOW).segments) == 5


def test_a_run_does_it_all_and_then_has_nothing_to_do(world: World, tmp_path: Path) -> None:
    old, older, young = world.add(900, 950), world.add(1, 2), world.add(990, 999)
    policy = Policy(warm_days=7, raw_days=500)
    first = tier.run(world.catalog, world.tiers, policy, now=NOW)
    assert first == {
        "moved": [older, old], "bytes": first["bytes"], "lost": 0, "retired": [older], "removed": 0, "published": 1,
        "problems": [],
    }  # fmt: skip
    json.dumps(first)
    assert world.states() == {old: "cold", older: "retired", young: "warm"}
    opened = open_url(world.cold.url, BlockCache(tmp_path / "c", 2**30))
    with closing(SqliteCatalog(opened.folder, True)) as catalog, catalog.read() as connection:
        assert connection.execute("SELECT id FROM segments").fetchall() == [(old,)]
    again = tier.run(world.catalog, world.tiers, policy, now=NOW)
    assert (again["moved"], again["retired"], again["published"]) == ([], [], 1)
    late = tier.run(world.catalog, world.tiers, Policy(**NEVER), now=time.time_ns() + DAY, grace_s=0)
    assert late["removed"] == 3, "two left over here, one retired there"
    assert world.here() == {"warm": world.paths[young], "cold": world.paths[old]}


def test_a_snapshot_that_a_killed_run_owed_is_made_by_the_next(world: World) -> None:
    world.add(1, 2)
    tier.move(world.catalog, world.warm, world.cold, WEEK, NOW)
    assert published(world.cold) is None
    assert tier.run(world.catalog, world.tiers, WEEK, now=NOW)["published"] == 1


def test_nothing_goes_from_a_place_whose_snapshot_could_not_be_renewed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = world.add(1, 2)
    tier.run(world.catalog, world.tiers, WEEK, now=NOW)
    cold = world.tiers["cold"]
    assert isinstance(cold, Remote)
    policy = Policy(**{**NEVER, "raw_days": 500})
    retention.retire(world.catalog, policy, NOW)

    def busy(*_: object) -> str:
        raise Again("busy")

    monkeypatch.setattr(cold, "_wait_s", 0.0001)
    monkeypatch.setattr(cold._bucket, "put", busy)
    done = tier.run(world.catalog, world.tiers, policy, now=NOW + 10 * DAY, grace_s=0)
    assert len(done["problems"]) == 1
    assert world.here()["cold"] == world.paths[number]
    monkeypatch.undo()
    tier.run(world.catalog, world.tiers, policy, now=NOW + 10 * DAY, grace_s=0)
    assert world.here()["cold"] == []


def test_a_store_without_a_cold_place_only_retires(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "store")
    tiers = Tiers({"warm": Folder(tmp_path / "store")})
    done = tier.run(catalog, tiers, Policy(), now=NOW)
    assert (done["moved"], done["published"], done["problems"]) == ([], 0, [])
    done = tier.run(catalog, tiers, Policy(), "memory://run", NOW)
    assert tiers["cold"].url == "memory://run"
    assert done["published"] == 0, "nothing is cold yet"


def test_gone_reads_say_so(world: World) -> None:
    with pytest.raises(Gone):
        world.cold.read("segments/logs/none.parquet", [(0, 1)])


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 30), st.integers(0, 10)), max_size=8), st.integers(1, 40))
def test_what_may_be_retired_is_what_a_search_finds(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int, int]], horizon: int
) -> None:
    world = World(tmp_path_factory.mktemp("retire"))
    ids = [world.add(low, low + days, seq=seq) for seq, low, days in spans]
    policy = Policy(**{**NEVER, "raw_days": 1000.0 - horizon})
    expected = naive.retirable([(seq, low, low + days) for seq, low, days in spans], horizon)
    assert retention.retire(world.catalog, policy, NOW) == [ids[i] for i in sorted(expected)]
    world.catalog.close()
