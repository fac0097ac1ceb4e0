"""Power loss: a real writer's writes and syncs are recorded, and the disk after a cut at any instant is opened."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from tests.faults import operations, power
from tests.faults.harness import Nursery
from tests.faults.record import Event, parse, record
from tests.faults.replay import Disk, instants

PLACE = "data/here/s"


@pytest.fixture(scope="module")
def raw(nursery, tmp_path_factory) -> tuple[Path, list[Event]]:
    """A recording of appends, seals and whatever else the store can do, by one process in a new folder."""
    root = tmp_path_factory.mktemp("power")
    record(nursery, root.parent / "power.trace", "power:work", root / PLACE, False)
    return root, parse(root.parent / "power.trace", root)


@pytest.fixture(scope="module")
def recorded(raw) -> tuple[Path, list[Event]]:
    """The same, as if the folders that the store and its cold place were made in had been there for long."""
    root, events = raw
    return root, settled(root, events, root / PLACE, operations.cold(root / PLACE))


def settled(root: Path, events: list[Event], *folders: Path) -> list[Event]:
    """Return a recording in which some folders were synced with all above them as soon as they were made."""
    made = {str(folder) for folder in folders}
    kept = []
    for event in events:
        kept.append(event)
        if event.kind == "link" and f"{event.folder}/{event.name}" in made:
            above = [place for place in (root / PLACE).parents if place.is_relative_to(root)]
            kept += [Event("syncdir", folder=str(place)) for place in above]
    return kept


def cut(
    nursery: Nursery, root: Path, events: list[Event], wanted: list[tuple[int, str]], most: int = 10_000
) -> tuple[Counter[str], list[str]]:
    """Open the disk as it is after each cut, until `most` were wrong; return how many were looked at, and what was wrong.

    It is written where it was recorded, for a store remembers where its cold place is.
    """
    disk, taken, looked, wrong = Disk(root), 0, Counter[str](), []
    chance = random.Random(1)
    for steps, variant in wanted:
        for event in events[taken:steps]:
            disk.apply(event)
        taken = max(taken, steps)
        shutil.rmtree(root)
        disk.write(root, variant, chance)
        with tempfile.TemporaryDirectory() as cache:
            viewer = nursery.start("power:look", root / PLACE, *power.promised(disk.said), XDG_CACHE_HOME=cache)
            _, status = viewer.finish()
        looked[variant] += 1
        if status:
            last = disk.said[-1] if disk.said else "nothing"
            wrong.append(f"{variant} after step {steps}, said {last!r}: {viewer.errors()[-1_000:]}")
        if len(wrong) >= most:
            break
    return looked, wrong


@pytest.mark.parametrize("most", [16, pytest.param(600, marks=pytest.mark.soak)])
def test_what_was_acknowledged_survives_a_power_cut(nursery, recorded, most):
    root, events = recorded
    looked, wrong = cut(nursery, root, events, instants(events, most, most))
    kinds = Counter(event.kind for event in events)
    print(f"\n{len(events)} steps {dict(kinds)}; cuts {dict(looked)}, wrong {len(wrong)}")
    assert kinds["sync"] > 10
    assert wrong == []


@pytest.mark.slow
def test_every_prefix_of_the_recording_keeps_what_was_acknowledged(nursery, recorded):
    """Unsynced changes dropped: only a sync changes the disk then, and only what was said the promises."""
    root, events = recorded
    wanted = [(i + 1, "dropped") for i, e in enumerate(events) if e.kind in ("sync", "syncdir", "said")]
    looked, wrong = cut(nursery, root, events, distinct(root, events, wanted))
    print(
        f"\n{len(events)} prefixes, {len(wanted)} after a sync or a promise, {looked.total()} of them different disks"
    )
    assert len(wanted) > 100
    assert wrong == []


def distinct(root: Path, events: list[Event], wanted: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the cuts whose disk or promises differ from those of the cut before."""
    disk, taken, before, kept = Disk(root), 0, None, []
    for steps, variant in wanted:
        for event in events[taken:steps]:
            disk.apply(event)
        taken = steps
        now = ({n: bytes(data) for n, data in disk.content.items()}, deepcopy(disk.entries), power.promised(disk.said))
        if now != before:
            kept.append((steps, variant))
        before = now
    return kept


@pytest.mark.parametrize("said", ["ack 0", "end tier"])
def test_a_new_folder_survives_with_all_above_it(nursery, raw, said):
    root, events = raw
    if said == "end tier":
        events = settled(root, events, root / PLACE)
    at = [i for i, e in enumerate(events) if e.kind == "said" and e.name == said]
    if not at:
        pytest.skip("the store has no tiers")
    _, wrong = cut(nursery, root, events, [(at[0] + 1, "dropped")])
    assert wrong == []


def without(events: list[Event], forgotten: Callable[[Event, str], bool]) -> list[Event]:
    """Return a recording in which some syncs were forgotten; the predicate is given the path as it was then."""
    paths: dict[int, str] = {}
    kept = []
    for event in events:
        if event.kind == "link":
            paths[event.inode] = f"{event.folder}/{event.name}"
        path = event.folder if event.kind == "syncdir" else paths.get(event.inode, "")
        if not (event.kind in ("sync", "syncdir") and forgotten(event, path)):
            kept.append(event)
    return kept


@pytest.mark.parametrize(
    ("forgotten", "name"),
    [
        (lambda e, path: e.kind == "sync" and path.endswith("-wal"), "database log"),
        (lambda e, path: e.kind == "sync" and path.endswith("catalog.sqlite"), "database"),
        (lambda e, path: e.kind == "sync" and ("/segments/" in path or "/tmp/" in path), "segment"),
        (lambda e, path: e.kind == "syncdir" and "/segments/" in path, "folder of segments"),
        (lambda e, path: e.kind == "syncdir" and path.endswith(PLACE.rpartition("/")[0]), "folder of the store"),
    ],
)
def test_a_forgotten_sync_is_found(nursery, recorded, forgotten, name):
    root, events = recorded
    broken = without(events, forgotten)
    assert len(broken) < len(events), f"the {name} is never synced"
    after = [i + 1 for i, e in enumerate(broken) if e.kind == "said" and e.name.startswith(("ack", "end"))]
    _, wrong = cut(nursery, root, broken, [(n, "dropped") for n in after[:: max(len(after) // 12, 1)]], 1)
    assert wrong, f"nobody noticed that the {name} was not synced"


def test_a_database_that_does_not_wait_for_the_disk_is_found(nursery, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    record(nursery, tmp_path / "careless.trace", "power:work", root / PLACE, True)
    events = parse(tmp_path / "careless.trace", root)
    after = [i + 1 for i, e in enumerate(events) if e.kind == "said" and e.name.startswith("ack")]
    _, wrong = cut(nursery, root, events, [(n, "dropped") for n in after], 1)
    assert wrong, "PRAGMA synchronous=OFF went unnoticed"
