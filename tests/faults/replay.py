"""The disk after a power cut: what was synced is there, of everything else any part may be."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.record import Event

__all__ = ["VARIANTS", "Disk", "instants"]

VARIANTS = ("dropped", "mixed", "kept")
"""Unsynced changes: none survives; any part of them does, torn and out of order; all do (what kill -9 leaves)."""

_SECTOR = 512


class Disk:
    """Files and folders as far as they are certain, and what has not been synced yet.

    A file's content is certain up to the last sync of that file, an entry of a folder up to the last sync of that
    folder: what POSIX promises and no more.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.content: dict[int, bytearray] = {}
        self.entries: dict[str, dict[str, int]] = {self.root: {}}
        self.waiting: list[tuple[int, Event]] = []
        self.said: list[str] = []
        self._count = 0

    def apply(self, event: Event) -> None:
        """Take the next step of the recording."""
        self._count += 1
        if event.kind == "said":
            self.said.append(event.name)
        elif event.kind in ("sync", "syncdir"):
            left = []
            for number, step in self.waiting:
                same = step.inode == event.inode if event.kind == "sync" else step.folder == event.folder
                content = step.kind in ("data", "size")
                if same and content == (event.kind == "sync") and number < self._count - event.during:
                    _change(self.content, self.entries, step)
                else:
                    left.append((number, step))
            self.waiting = left
        else:
            self.waiting.append((self._count, event))

    def write(self, target: Path, variant: str, chance: random.Random) -> None:
        """Write the disk after a power cut at this instant to a folder."""
        content = {inode: bytearray(data) for inode, data in self.content.items()}
        entries = {folder: dict(names) for folder, names in self.entries.items()}
        for step in _survivors([step for _, step in self.waiting], variant, chance):
            _change(content, entries, step)
        _write(self.root, target, content, entries)


def _write(folder: str, target: Path, content: dict[int, bytearray], entries: dict[str, dict[str, int]]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, inode in entries.get(folder, {}).items():
        if inode < 0:
            _write(f"{folder}/{name}", target / name, content, entries)
        else:
            (target / name).write_bytes(content.get(inode, b""))


def _change(content: dict[int, bytearray], entries: dict[str, dict[str, int]], step: Event) -> None:
    if step.kind == "data":
        data = content.setdefault(step.inode, bytearray())
        if len(data) < step.offset:
            data.extend(bytes(step.offset - len(data)))
        data[step.offset : step.offset + len(step.data)] = step.data
    elif step.kind == "size":
        data = content.setdefault(step.inode, bytearray())
        del data[step.offset :]
        data.extend(bytes(step.offset - len(data)))
    elif step.kind == "link":
        entries.setdefault(step.folder, {})[step.name] = step.inode
    elif entries.get(step.folder, {}).get(step.name) == step.inode:
        del entries[step.folder][step.name]


def _survivors(waiting: Sequence[Event], variant: str, chance: random.Random) -> Iterable[Event]:
    if variant == "kept":
        yield from waiting
    if variant != "mixed":
        return
    folders = sum(step.kind in ("link", "unlink") for step in waiting)
    keep, seen = chance.randint(0, folders), 0
    fate: dict[int, float] = {}
    for step in waiting:
        if step.kind in ("link", "unlink"):  # a journal keeps the order of names
            seen += 1
            if seen <= keep:
                yield step
            continue
        share = fate.setdefault(step.inode, chance.choice([0.0, 0.5, 0.9, 1.0]))
        if chance.random() >= share:
            continue
        if step.kind == "data" and len(step.data) > _SECTOR and chance.random() < 0.3:
            cut = chance.randrange(0, len(step.data), _SECTOR)
            yield Event("data", step.inode, step.offset, step.data[:cut])
        else:
            yield step


def instants(events: Sequence[Event], most: int, seed: int) -> list[tuple[int, str]]:
    """Return (steps taken, variant) to look at: where something became certain or was promised, and between.

    Parameters
    ----------
    events : sequence of Event
    most : int
        How many at most; fewer are spread over the whole recording.
    seed : int
    """
    chance = random.Random(seed)
    after = [i + 1 for i, e in enumerate(events) if e.kind in ("sync", "syncdir", "said")]
    before = [i for i, e in enumerate(events) if e.kind in ("sync", "syncdir")]
    strict = chance.sample(after, min(most // 2, len(after)))
    mixed = [
        chance.choice(before) if chance.random() < 0.6 else chance.randrange(len(events)) for _ in range(most // 2)
    ]
    chosen = {(n, "dropped") for n in strict} | {(n, "mixed" if chance.random() < 0.8 else "kept") for n in mixed}
    return sorted(chosen)
