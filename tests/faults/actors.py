"""The programs under test: a writer, a caretaker, a reader, and one operation at a time.

Each says what it is about to do and what is done, so that whoever kills it knows where it was: `begin n` and `ack n`
for a batch, `begin seal` and `end seal` for care.
"""

from __future__ import annotations

import mmap
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import content
from tests.faults.operations import cold, missing
from tests.faults.program import say
from workbench.store import Store

CARE: dict[str, Callable[[Any], Any]] = {
    "seal": lambda store: store.seal(),
    "compact": lambda store: store.compact(),
    "tier": lambda store: store.tier(cold(store.path).as_uri()),
    "vacuum": lambda store: store.vacuum(),
}
"""Operations that change nothing a reader sees, by name."""


def write(
    folder: str, writer: str, start: int, seconds: float, pause: float, shared: str, slot: int, keyed: bool
) -> None:
    """Write batches from number `start` on; every acknowledged count also stands in slot `slot` of a shared file.

    A negative number means: go on after what the store holds, as somebody does who has forgotten what was acknowledged.
    """
    slots = Slots(shared) if shared else None
    store = _opened(folder)
    if start < 0:
        got = store.rows("logs", where={"service": [writer]})
        start = content.count_logs(got, [writer])[writer]
    end = time.monotonic() + seconds
    number = start
    while time.monotonic() < end:
        ready = content.batch(writer, number)
        say(f"begin {number}")
        store.write(ready, key=f"{writer}/{number}" if keyed else None)
        if slots is not None:
            slots.put(slot, number + 1)
        say(f"ack {number}")
        number += 1
        if pause:
            time.sleep(pause)


def _opened(folder: str) -> Store:
    """Open a store, read its last ten minutes, and say how long both took together, by processor and by clock."""
    began, worked = time.monotonic(), time.process_time()
    store = Store.open(folder)
    extent = store.extent()
    if extent is not None:
        start = extent[1] - 10 * content.MINUTE
        store.select(content.MATCH, start)
        store.rows("logs", start)
    say(f"open {time.process_time() - worked:.3f} {time.monotonic() - began:.3f}")
    return store


def care(folder: str, seconds: float, pause: float, seed: int) -> None:
    """Seal, compact and so on, whatever there is, in random order until the time is up."""
    choices = [name for name in CARE if not missing(name)]
    chance = random.Random(seed)
    store = _opened(folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = chance.choice(choices)
        say(f"begin {name}")
        CARE[name](store)
        say(f"end {name}")
        time.sleep(pause)


def read(folder: str, writers: list[str], seconds: float, shared: str, seed: int) -> None:
    """Read windows and everything, and prove each read to be the first k batches of every writer, k never falling."""
    slots = Slots(shared)
    chance = random.Random(seed)
    store = Store.open(folder)
    seen = {"metrics": dict.fromkeys(writers, 0), "logs": dict.fromkeys(writers, 0)}
    end = time.monotonic() + seconds
    reads = 0
    while time.monotonic() < end:
        least = {w: slots.get(i) for i, w in enumerate(writers)}
        whole = reads % 20 == 0
        low = 0 if whole else chance.randrange(max(*least.values(), 1))
        high = None if whole else low + chance.randrange(1, 40)
        for signal in ("metrics", "logs"):
            counts = _window(store, signal, writers, low, high)
            for writer, k in counts.items():
                bound = max(least[writer], seen[signal][writer])
                bound = bound if high is None else min(bound, high)
                assert k >= bound, f"{signal} of {writer}: {k} batches in [{low}, {high}), {bound} were there before"
                if k > low:  # an empty window says nothing of where the writer is
                    seen[signal][writer] = max(seen[signal][writer], k)
        reads += 1
        say(f"read {reads}")


def _window(store: Store, signal: str, writers: list[str], low: int, high: int | None) -> dict[str, int]:
    start = content.T0 + low * content.MINUTE
    end = None if high is None else content.T0 + high * content.MINUTE
    if signal == "metrics":
        return content.count_samples(store.select(content.MATCH, start, end), writers, low, high)
    return content.count_logs(store.rows("logs", start, end), writers, low)


def check(folder: str, acknowledged: dict[str, int], flying: int) -> None:
    """Open a store that nobody uses, prove its content, and say the counts."""
    with _opened(folder) as store:
        counts = content.check(store, acknowledged, flying)
    for writer, k in counts.items():
        say(f"count {writer} {k}")


class Slots:
    """Counters in a file that several processes map: slot `i` is written by one, read by all."""

    def __init__(self, path: str) -> None:
        if not Path(path).exists():
            Path(path).write_bytes(bytes(512))
        handle = os.open(path, os.O_RDWR)
        self._array = np.frombuffer(mmap.mmap(handle, 512), np.int64)

    def put(self, slot: int, value: int) -> None:
        """Set one counter."""
        self._array[slot] = value

    def get(self, slot: int) -> int:
        """Return one counter."""
        return int(self._array[slot])


def open_at(folder: str, name: str, instant: float) -> None:
    """Open a store at an instant, the same for all who race, write one batch and read it."""
    time.sleep(max(instant - time.time(), 0))
    store = Store.open(folder)
    store.write(content.batch(name, 0))
    assert store.select([]).n_samples >= 72


def repeat(folder: str, count: int) -> None:
    """Write the same batches under the same keys as others do; say how many log records each added."""
    store = Store.open(folder)
    for number in range(count):
        say(store.write(content.batch("same", number), key=f"batch {number}")["logs"])


def fork(folder: str) -> None:
    """Write before a fork, in the child, and afterwards in the parent."""
    store = Store.open(folder)
    store.write(content.batch("w0", 0))
    child = os.fork()
    if child == 0:
        store.write(content.batch("w0", 1))
        os._exit(0 if content.count_samples(store.select([]), ["w0"]) == {"w0": 2} else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.write(content.batch("w0", 2))
    content.check(store, {"w0": 3}, 0)
