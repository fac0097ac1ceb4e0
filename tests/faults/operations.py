"""One operation of the store at a time, to be killed at its crash points, and what must hold afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import content
from tests.faults.program import say
from workbench.errors import WorkbenchError
from workbench.store import Store, crash, write

BATCHES = 60
"""Batches of the one writer in the store that an operation starts from; they lie on both sides of a midnight."""
LOADED = 3
"""Further batches that the operation `append` writes, before one that is too large for a hot row."""


def _append(store: Store) -> None:
    for number in range(BATCHES, BATCHES + LOADED):
        store.write(content.batch("w0", number, native=True), key=f"w0/{number}")
        say(f"ack {number}")
    write_straight(store, 0, "large")
    say("ack large")


def write_straight(store: Store, number: int, key: str) -> None:
    """Write a batch that goes straight to a segment, of a size that is quick to prove."""
    assert write._HOT_BYTES > 20_000, "the limit of a hot row is called otherwise now: change it here"
    limit, write._HOT_BYTES = write._HOT_BYTES, 20_000
    try:
        store.write(content.large("w0", number), key=key)
    finally:
        write._HOT_BYTES = limit


def _tier(store: Any) -> None:
    """Move what is old enough, and that is everything, to a second folder; a day later remove what is left over."""
    store.tier(cold(store.path).as_uri())
    later(store.tier)


def _retain(store: Any) -> None:
    """Remove raw data older than a day, and that is everything; rollups stay."""
    os.environ["WORKBENCH_STORE_RAW_DAYS"] = "1"
    try:
        store.tier()
    finally:
        del os.environ["WORKBENCH_STORE_RAW_DAYS"]
    later(store.vacuum)


def cold(folder: Path) -> Path:
    """Return the folder that is the cold place of a store."""
    return folder.with_name(f"{folder.name}-cold")


OPERATIONS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "append": ("write", _append),
    "seal": ("seal", lambda store: store.seal()),
    "compact": ("compact", lambda store: store.compact()),
    "tier": ("tier", _tier),
    "delete": ("seal", lambda store: later(store.seal)),
    "retain": ("tier", _retain),
    "vacuum": ("vacuum", lambda store: later(store.vacuum)),
}
"""Name -> the method of a store it needs, and what it does."""


def later(work: Callable[[], object]) -> None:
    """Do something a day from now, when no reader can hold what was retired."""
    real_time, real_ns = time.time, time.time_ns
    time.time, time.time_ns = lambda: real_time() + 86_400, lambda: real_ns() + 86_400 * 10**9
    try:
        work()
    finally:
        time.time, time.time_ns = real_time, real_ns


def missing(name: str) -> bool:
    """Return whether the store cannot do this operation."""
    return not hasattr(Store, OPERATIONS[name][0])


def build(folder: str) -> None:
    """Make the store that operations start from: several segments and some hot rows."""
    with Store.open(folder) as store:
        for number in range(BATCHES):
            store.write(content.batch("w0", number, native=True), key=f"w0/{number}")
            if number in (19, 39):
                store.seal()


def prepare(folder: str, name: str) -> None:
    """Do what must have been done before an operation has anything to do."""
    if name in ("delete", "vacuum", "tier", "retain"):
        with Store.open(folder) as store:
            store.seal()
            if not missing("compact"):
                OPERATIONS["compact"][1](store)


def operate(folder: str, name: str) -> None:
    """Do one operation on a store."""
    store = Store.open(folder)
    say("begin")
    OPERATIONS[name][1](store)
    say("end")


def trace(folder: str, name: str) -> None:
    """Do one operation and say each crash point as it is reached."""
    _replace_reach(lambda point: say(f"point {point}"))
    operate(folder, name)


def recover(folder: str, name: str, acknowledged: int, large: bool) -> None:
    """After a kill: prove the content, repeat the operation, prove it again, clean up, and look for orphans."""
    worked = time.process_time()
    with Store.open(folder, create=False) as store:
        store.select(content.MATCH)
        say(f"seconds {time.process_time() - worked:.3f}")
        if name == "retain" and not store.select(content.MATCH).n_samples:
            acknowledged = 0
        content.check(store, {"w0": acknowledged}, 1, verify=name != "append")
        if name == "append":
            check_large(store, [1] if large else [0, 1])
        OPERATIONS[name][1](store)
        total = {"append": BATCHES + LOADED, "retain": 0}.get(name, BATCHES)
        content.check(store, {"w0": total}, 0, verify=False)
        if name == "append":
            check_large(store, [1])
        later(store.seal)
        later(store.vacuum)
        content.check(store, {"w0": total}, 0)
        if name not in ("append", "seal") and not missing("compact"):
            content.check_rollups(store, BATCHES)
    said = orphans(Path(folder))
    assert said == [], f"orphans: {said}"


def check_large(store: Store, allowed: list[int]) -> None:
    """Prove that the large batch is there whole, or not at all, as often as allowed."""
    from workbench.signals import Matcher

    got = store.select([Matcher("metric", "=", "large")])
    truth = content.large("w0", 0).metrics
    assert truth is not None
    assert got.n_samples in [truth.n_samples * n for n in allowed], f"{got.n_samples} samples of the large batch"
    if got.n_samples:
        assert sorted(got.labels["i"]) == sorted(truth.labels["i"])
        order = np.argsort(truth.labels["i"].to_numpy())
        assert (got.value.reshape(len(got), -1)[np.argsort(got.labels["i"].to_numpy())]
                == truth.value.reshape(len(truth), -1)[order]).all()  # fmt: skip


def orphans(folder: Path) -> list[str]:
    """Return the files of a store, and of its cold place, that its catalog does not name there."""
    connection = sqlite3.connect(folder / "catalog.sqlite")
    query = "SELECT path FROM files JOIN segments ON segment = id WHERE tier = ?"
    left = []
    for tier, place in (("warm", folder), ("cold", cold(folder))):
        named = {row[0] for row in connection.execute(query, (tier,))}
        found = [p for part in ("segments", "tmp") for p in (place / part).glob("**/*") if p.is_file()]
        left += [f"{tier} {p.relative_to(place)}" for p in found if str(p.relative_to(place)) not in named]
    connection.close()
    return sorted(left)


def interrupt(folder: str, scratch: str, name: str, points: list[tuple[str, int]]) -> None:
    """Press Ctrl-C at each crash point of an operation, and say what is wrong in the process that lives on."""
    for i, (point, nth) in enumerate(points):
        copy = f"{scratch}/{i}"
        shutil.copytree(folder, copy)
        seen: list[str] = []

        def press(reached: str, seen: list[str] = seen, point: str = point, nth: int = nth) -> None:
            seen.append(reached)
            if reached == point and seen.count(point) == nth:
                raise KeyboardInterrupt

        _replace_reach(press)
        with Store.open(copy) as store:
            try:
                OPERATIONS[name][1](store)
                problem = "nobody pressed a key"
            except KeyboardInterrupt:
                problem = _after_interrupt(store, name)
            except WorkbenchError as error:
                problem = f"the interrupt became an error: {error}"
        if problem:
            say(f"wrong {name} interrupted at {point}:{nth}: {problem}")
        shutil.rmtree(copy)


def _after_interrupt(store: Store, name: str) -> str:
    _replace_reach(lambda point: None)
    try:
        empty = name == "retain" and not store.select(content.MATCH).n_samples
        content.check(store, {"w0": 0 if empty else BATCHES}, LOADED if name == "append" else 0)
        OPERATIONS[name][1](store)
        content.check(store, {"w0": {"append": BATCHES + LOADED, "retain": 0}.get(name, BATCHES)}, 0)
        if name == "append":
            check_large(store, [1])
    except (WorkbenchError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def doze(folder: str, name: str, point: str, nth: int) -> None:
    """Do one operation and stop at the n-th time a crash point is reached, until somebody sends SIGCONT."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == point
        if reached == point and seen == nth:
            say("asleep")
            os.kill(os.getpid(), signal.SIGSTOP)

    _replace_reach(stop)
    operate(folder, name)


def clean(folder: str) -> None:
    """Clean up as somebody does a day later."""
    with Store.open(folder) as store:
        later(store.seal)


def _replace_reach(by: Callable[[str], None]) -> None:
    for module in [m for n, m in sys.modules.items() if n.startswith("workbench.store.")]:
        if module is not crash and hasattr(module, "reach"):
            module.reach = by
