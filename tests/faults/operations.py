"""One operation of the store at a time, to be killed at its crash points, and what must hold afterwards."""

from __future__ import annotations

import os
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
from workbench.store import Store, crash

BATCHES = 60
"""Batches of the one writer in the store that an operation starts from; they lie on both sides of a midnight."""
LOADED = 3
"""Further batches that the operation `append` writes, before one that is too large for a hot row."""


def _append(store: Store) -> None:
    for number in range(BATCHES, BATCHES + LOADED):
        store.write(content.batch("w0", number), key=f"w0/{number}")
        say(f"ack {number}")
    store.write(content.large("w0", 0), key="large")
    say("ack large")


def _tier(store: Any) -> None:
    store.tier()


OPERATIONS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "append": ("write", _append),
    "seal": ("seal", lambda store: store.seal()),
    "compact": ("compact", lambda store: store.compact()),
    "rollup": ("rollup", lambda store: store.rollup()),
    "tier": ("tier", _tier),
    "delete": ("seal", lambda store: _later(store.seal)),
    "vacuum": ("vacuum", lambda store: store.vacuum()),
}
"""Name -> the method of a store it needs, and what it does."""


def _later(work: Callable[[], object]) -> None:
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


def build(folder: str, name: str) -> None:
    """Make the store that an operation starts from: several segments and some hot rows."""
    with Store.open(folder) as store:
        for number in range(BATCHES):
            store.write(content.batch("w0", number), key=f"w0/{number}")
            if number in (19, 39):
                store.seal()
        if name in ("delete", "vacuum", "tier"):
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
        content.check(store, {"w0": acknowledged}, 1)
        if name == "append":
            check_large(store, [1] if large else [0, 1])
        OPERATIONS[name][1](store)
        total = BATCHES + (LOADED if name == "append" else 0)
        content.check(store, {"w0": total}, 0)
        if name == "append":
            check_large(store, [1])
        _later(store.seal)
        content.check(store, {"w0": total}, 0)
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
    """Return the files of a store that its catalog does not name."""
    connection = sqlite3.connect(folder / "catalog.sqlite")
    named = {row[0] for row in connection.execute("SELECT path FROM files")}
    connection.close()
    found = [p for part in ("segments", "tmp") for p in (folder / part).glob("**/*") if p.is_file()]
    return sorted(str(p.relative_to(folder)) for p in found if str(p.relative_to(folder)) not in named)


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
        _later(store.seal)


def _replace_reach(by: Callable[[str], None]) -> None:
    for module in [m for n, m in sys.modules.items() if n.startswith("workbench.store.")]:
        if getattr(module, "reach", None) is crash.reach and module is not crash:
            module.reach = by  # type: ignore[attr-defined]
