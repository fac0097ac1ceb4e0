"""The program whose writes are recorded: appends, seals, and whatever care the store knows."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from tests.faults import content
from tests.faults.actors import CARE, available
from tests.faults.program import say
from tests.faults.record import wait_for
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
    for count, name in [(6, "seal"), (5, "seal"), (3, "compact"), (4, "seal"), (2, "rollup"), (3, "vacuum"), (3, "")]:
        for _ in range(count):
            say(f"begin {number}")
            store.write(content.batch("w0", number), key=f"w0/{number}")
            say(f"ack {number}")
            number += 1
        if name and available(name):
            CARE[name](store)
            say(f"end {name}")
    real_time, real_ns = time.time, time.time_ns
    time.time, time.time_ns = lambda: real_time() + 86_400, lambda: real_ns() + 86_400 * 10**9
    store.seal()
    say("end tidy")
    store.close()
