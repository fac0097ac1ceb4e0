"""The program whose writes are recorded: appends, seals, and whatever care the store knows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.faults import content
from tests.faults.actors import CARE
from tests.faults.operations import later, missing, write_straight
from tests.faults.program import say
from tests.faults.record import wait_for
from workbench.signals import Matcher
from workbench.store import Store


class Careless(sqlite3.Connection):
    """A connection that never waits for the disk, whatever it is told."""

    def execute(self, statement: str, *more: Any) -> sqlite3.Cursor:
        return super().execute(statement.replace("synchronous=FULL", "synchronous=OFF"), *more)


def work(go: str, folder: str, careless: bool) -> None:
    """Wait to be traced, then write batches and take care of the store in between."""
    if careless:
        connect = sqlite3.connect
        sqlite3.connect = lambda *a, **k: connect(*a, factory=Careless, **k)  # type: ignore[assignment]
    wait_for(go)
    store = Store.open(folder)
    number = 0
    plan = [(6, "seal"), (5, "seal"), (3, "compact"), (4, "seal"), (2, "vacuum"), (3, "tier"), (3, "")]
    for count, name in plan[:1] if careless else plan:
        for _ in range(count):
            say(f"begin {number}")
            store.write(content.batch("w0", number, native=True), key=f"w0/{number}")
            say(f"ack {number}")
            number += 1
        write_straight(store, number, f"large {number}")
        say(f"large {number}")
        if name and not missing(name):
            CARE[name](store)
            say(f"end {name}")
    for name in ("seal", "vacuum"):
        if not missing(name):
            later(lambda name=name: CARE[name](store))  # type: ignore[misc]
            say(f"end {name} a day later")
    store.close()


def promised(said: list[str]) -> tuple[int, bool]:
    """Return how many batches were acknowledged, and whether any batch that went straight to a segment was."""
    return sum(line.startswith("ack") for line in said), any(line.startswith("large") for line in said)


def look(folder: str, acknowledged: int, large: bool) -> None:
    """Prove that a store holds what it should after a power cut, and takes a further batch."""
    if not Path(folder, "catalog.sqlite").exists():
        assert not acknowledged, f"{acknowledged} batches were acknowledged and there is no store"
        return
    with Store.open(folder) as store:
        counts = content.check(store, {"w0": acknowledged}, 1)
        segment = store.select([Matcher("metric", "=", "large")]).n_samples
        assert segment == 3_000 or (segment == 0 and not large), f"{segment} samples that went straight to a segment"
        store.write(content.batch("w0", counts["w0"], native=True))
        store.seal()
        content.check(store, {"w0": counts["w0"] + 1}, 0, verify=False)
