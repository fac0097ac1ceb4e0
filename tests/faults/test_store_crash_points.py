"""kill -9 at every named point of every operation: the content stands, a second run finishes, no file is left over."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import operations
from tests.faults.harness import Nursery
from workbench.store import crash

OPERATIONS = list(operations.OPERATIONS)


@pytest.fixture(scope="module")
def starts(nursery, tmp_path_factory) -> dict[str, tuple[Path, list[str]]]:
    """For each operation there is: the store it starts from, and the points it reaches, in order."""
    folder = tmp_path_factory.mktemp("starts")
    made = {}
    nursery.run("operations:build", folder / "base")
    for name in OPERATIONS:
        if not operations.missing(name):
            shutil.copytree(folder / "base", folder / name)
            nursery.run("operations:prepare", folder / name, name)
            shutil.copytree(folder / name, folder / f"{name} traced")
            lines = nursery.run("operations:trace", folder / f"{name} traced", name)
            made[name] = (folder / name, [line.removeprefix("point ") for line in lines if line.startswith("point ")])
    return made


def kill_at(nursery: Nursery, start: Path, folder: Path, name: str, point: str) -> str:
    """Kill an operation at `point:n`, recover, and return what was wrong, or an empty string."""
    shutil.copytree(start, folder)
    victim = nursery.start("operations:operate", folder, name, WORKBENCH_CRASH_AT=point)
    lines, status = victim.finish()
    if status != -signal.SIGKILL:
        return f"{name} at {point}: not killed but {status}, {victim.errors()}"
    acknowledged = operations.BATCHES + victim.said("ack") - victim.said("ack large")
    recovery = nursery.start("operations:recover", folder, name, acknowledged, "ack large" in lines)
    lines, status = recovery.finish()
    shutil.rmtree(folder)
    shutil.rmtree(operations.cold(folder), ignore_errors=True)
    if status:
        return f"{name} at {point}: {recovery.errors()}"
    seconds = float(lines[0].split()[1])
    return f"{name} at {point}: restart took {seconds} s of processor" if seconds >= 2 else ""


def chosen(name: str, points: list[str], every: bool) -> list[tuple[str, int]]:
    """Return (point, how many times it is reached before): all, or of each point the first and of some the last."""
    times: Counter[str] = Counter()
    numbered = []
    for point in points:
        times[point] += 1
        numbered.append((point, times[point]))
    if not numbered:
        pytest.skip(f"not reached: {name} has no crash point")
    mine = (name, "rollup") if name == "compact" else (name,)
    own = [(point, n) for point, n in numbered if n == 1 or (n == times[point] and point.startswith(mine))]
    # Sealing has its own turn, also where another operation begins with it.
    return numbered if every else [(p, n) for p, n in own if name == "seal" or not p.startswith("seal.")]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["first-last", "every"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_at_each_point_changes_nothing(nursery, starts, tmp_path, name, every):
    if name not in starts:
        pytest.skip(f"not reached: the store cannot {name}")
    start, points = starts[name]
    wanted = [f"{point}:{n}" for point, n in chosen(name, points, every)]
    wrong = [said for i, at in enumerate(wanted) if (said := kill_at(nursery, start, tmp_path / f"k{i}", name, at))]
    print(f"\n{name}: killed at {', '.join(wanted)}")
    assert wrong == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interrupt_at_each_point_changes_nothing(nursery, starts, tmp_path, name):
    if name not in starts:
        pytest.skip(f"not reached: the store cannot {name}")
    start, points = starts[name]
    lines = nursery.run("operations:interrupt", start, tmp_path, name, chosen(name, points, False))
    assert [line for line in lines if line.startswith("wrong")] == []


def test_every_point_is_reached(starts):
    reached = {point for _, points in starts.values() for point in points}
    unknown, never = reached - set(crash.POINTS), [point for point in crash.POINTS if point not in reached]
    assert unknown == set()
    if any(operations.missing(name) for name in OPERATIONS):
        pytest.xfail(f"{len(never)} of {len(crash.POINTS)} points are not reached yet: {', '.join(never)}")
    assert never == []
