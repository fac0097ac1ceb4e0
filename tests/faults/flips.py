"""One flipped bit somewhere in a store: what reading everything then gives, and what is said about it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.faults import content
from tests.faults.operations import OPERATIONS, missing
from tests.faults.program import say
from tests.store import worlds
from workbench.errors import WorkbenchError
from workbench.signals import Matcher, Samples
from workbench.store import Store

__all__ = ["build", "equal", "places", "survey", "tear"]

SEALED, HOT = 40, 10
"""Batches in segments, and batches after them in hot rows, most of these only in the database's log."""


def build(folder: str, opened: str, closed: str) -> None:
    """Make a store of every signal, sealed, compacted and hot; copy it while it is open, log and all, and closed.

    Says how long the log was before and after the last batch.
    """
    store = Store.open(folder)
    store.write(worlds.everything())
    store.write(worlds.everything(start=300))
    for number in range(SEALED):
        store.write(content.batch("w0", number), key=f"w0/{number}")
        if number == SEALED // 2:
            store.seal()
    store.seal()
    if not missing("compact"):
        OPERATIONS["compact"][1](store)
    if not missing("vacuum"):
        store.vacuum(grace_s=0)  # what was replaced is not read any more, a flip there would say nothing
    log = Path(folder, "catalog.sqlite-wal")
    for number in range(SEALED, SEALED + HOT):
        before = log.stat().st_size
        store.write(content.batch("w0", number), key=f"w0/{number}")
    say(json.dumps([before, log.stat().st_size]))
    shutil.copytree(folder, opened)
    store.close()
    shutil.copytree(folder, closed)


def region(path: str) -> str:
    """Return what kind of file a path inside a copy of the store is."""
    path = path.split("/", 1)[1]
    if path.startswith("catalog.sqlite"):
        return {"catalog.sqlite": "database", "catalog.sqlite-wal": "log", "catalog.sqlite-shm": "shared memory"}.get(
            path, path
        )
    return "/".join(path.split("/")[:2]) if path.startswith("segments/") else path


def places(sound: Path, count: int, seed: int) -> list[tuple[str, int, int]]:
    """Return (path, byte, bit) of some flips: as many in each kind of file, a third of them near its ends.

    The database itself is damaged in the copy of a closed store, where no log lies over it.
    """
    chance = random.Random(seed)
    kinds: dict[str, list[Path]] = {}
    for path in sorted(p for p in sound.glob("*/**/*") if p.is_file() and p.stat().st_size):
        name = str(path.relative_to(sound))
        if (name.split("/")[0] == "closed") == name.endswith("catalog.sqlite"):
            kinds.setdefault(region(name), []).append(path)
    # What everything hangs on is looked at more often than the memory that SQLite builds anew.
    weights = {kind: 1 if kind == "shared memory" else 6 if kind in ("database", "log") else 3 for kind in kinds}
    weights |= dict.fromkeys(("segments/metrics",), 6)
    chosen = []
    for kind in chance.choices(list(kinds), [weights[kind] for kind in kinds], k=count):
        path = chance.choice(kinds[kind])
        size = path.stat().st_size
        at = chance.randrange(size)
        if chance.random() < 0.33:
            near = chance.randrange(min(size, 120))
            at = near if chance.random() < 0.5 else size - 1 - near
        chosen.append((str(path.relative_to(sound)), at, chance.randrange(8)))
    return chosen


def equal(left: Any, right: Any) -> bool:
    """Return whether two answers of a store are the same to the last bit."""
    if isinstance(left, Samples):
        check: Callable[[Any, Any], None] = worlds.assert_same_samples
    elif isinstance(left, pd.DataFrame):
        check = pd.testing.assert_frame_equal
    else:
        return repr(left) == repr(right)
    try:
        check(left, right)
    except AssertionError:
        return False
    return True


READS: dict[str, Callable[[Store], Any]] = {
    "metrics": lambda store: store.select([]),
    "logs": lambda store: store.rows("logs"),
    "spans": lambda store: store.rows("spans"),
    "events": lambda store: store.rows("events"),
    "profiles": lambda store: worlds.flame(store.profiles()),
    "series": lambda store: store.series(),
    "extent": lambda store: store.extent(),
    "rollups": lambda store: content.rollups(store, SEALED) if not missing("compact") else None,
    "keys": lambda store: [store.has(f"w0/{number}") for number in range(SEALED + HOT + 2)],
}


class Look:
    """One look at a damaged store."""

    def __init__(self, truth: dict[str, Any]) -> None:
        self.truth = truth
        self.said: list[str] = []
        self.failed: dict[str, str] = {}
        self.differs: list[str] = []
        self.strange: list[str] = []
        self.found: list[str] = []
        self.kept = SEALED + HOT
        self.lost = 0

    def _try(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except WorkbenchError as error:
            self.failed[name] = str(error)
        except Exception as error:
            self.strange.append(f"{name}: {type(error).__name__}: {error}"[:300])
        return None

    def take(self, folder: Path) -> None:
        """Open a store, read everything, verify it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            store = self._try("open", lambda: Store.open(folder, create=False))
            if store is not None:
                with store:
                    self._read(store)
        self.said = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]

    def _read(self, store: Store) -> None:
        for name, read in READS.items():
            got = self._try(name, lambda read=read: read(store))
            if name not in self.failed and not equal(got, self.truth[name]):
                self.differs.append(name)
        if "metrics" in self.failed:
            self._count_lost(store)
            self._skip(store)
        if {"metrics", "logs"} & set(self.differs):
            self._count_kept(store)
        found = self._try("verify", store.verify)
        self.found = found if found is not None else []
        status = self._try("status", store.status)
        self.said += [str(s) for s in (status or {}).get("damage", [])]

    def _count_lost(self, store: Store) -> None:
        """Read each series by itself and count those that cannot be read; the others must be unaltered."""
        labels = self.truth["metrics"].labels
        for i, row in enumerate(labels.to_dict("records")):
            matchers = [Matcher(name, "=", str(value)) for name, value in row.items()]
            try:
                got = store.select(matchers)
            except WorkbenchError:
                self.lost += 1
                continue
            alone = self.truth["metrics"].take(pd.RangeIndex(len(labels)) == i)
            if not (got.n_samples == alone.n_samples and _same_numbers(got, alone)):
                self.differs.append("one series")

    def _skip(self, store: Store) -> None:
        """Read around the damage: what comes is unaltered, and what is missing is the same stretch of some series."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            got = self._try("skip", lambda: store.select([], damaged="skip"))
        if got is None:
            return
        if not caught:
            self.strange.append("what was skipped is not named")
        truth = self.truth["metrics"]
        known = {tuple(row): i for i, row in enumerate(got.labels.to_numpy().tolist())}
        stretches = set()
        for i, row in enumerate(truth.labels.to_numpy().tolist()):
            own = slice(*truth.offsets[i : i + 2])
            j = known.get(tuple(row))
            there = slice(*got.offsets[j : j + 2]) if j is not None else slice(0, 0)
            kept = np.isin(truth.time[own], got.time[there])
            if kept.sum() != len(got.time[there]) or (truth.value[own][kept].tobytes() != got.value[there].tobytes()):
                self.strange.append("what was read around the damage is altered")
            if not kept.all():
                missing = np.flatnonzero(~kept)
                stretches.add((int(truth.time[own][missing[0]].astype(np.int64)), len(missing)))
                if missing[-1] - missing[0] + 1 != len(missing):
                    self.strange.append("more than one stretch of a series was lost")
        if len(stretches) > 1:
            self.strange.append(f"more than one chunk was lost: {len(stretches)} different stretches")

    def _count_kept(self, store: Store) -> None:
        """Find how many batches are there; anything but batches 0 to k is a wrong answer."""
        try:
            counts = content.count_samples(store.select(content.MATCH), ["w0"])
            logs = store.rows("logs", columns=["hash", "part"])
            same = content.count_logs(logs[logs["service"] == "w0"], ["w0"])
            assert same == counts
            self.kept = counts["w0"]
        except WorkbenchError:
            return
        except AssertionError as error:
            self.strange.append(f"wrong: {error}")

    def outcome(self, path: str) -> str:
        """Return what this was; a word in capitals is a failure."""
        kind = region(path)
        named = any(Path(path).name in sentence for sentence in self.found) or not kind.startswith("segments/")
        if self.strange:
            return f"STRANGE {self.strange[0]}"
        if self.differs and (kind != "log" or self.kept == SEALED + HOT):
            noticed = "but verify noticed" if self.found else "silently"
            return f"WRONG {', '.join(self.differs)}, {noticed}"
        if self.differs:
            return "tail lost, noticed at open" if self.said else "tail lost SILENTLY"
        if "open" in self.failed:
            return "refused at open"
        if self.failed and not (self.found and named):
            return f"reading fails but verify is SILENT: {next(iter(self.failed.values()))[:200]}"
        if kind == "segments/metrics" and self.lost and not any("series" in s and "2026-01-0" in s for s in self.found):
            return f"damaged chunks are NOT NAMED by series and time: {self.found[0][:200]}"
        if self.failed:
            return "read error, named by verify"
        return "equal, named by verify" if self.found else "equal"


def _same_numbers(left: Samples, right: Samples) -> bool:
    return left.time.tobytes() == right.time.tobytes() and left.value.tobytes() == right.value.tobytes()


def survey(sound: str, scratch: str, flips: list[tuple[str, int, int]]) -> None:
    """Flip each bit in a copy of a sound store and say, one line of JSON a flip, what came of it."""
    truth = _truth(_copy(sound, scratch, "closed"))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for path, at, bit in flips:
        folder = Path(_copy(sound, scratch, path.split("/")[0]))
        say(json.dumps({"flip": [path, at, bit]}))
        place = folder / path.split("/", 1)[1]
        with place.open("r+b") as stream:
            stream.seek(at)
            byte = stream.read(1)[0]
            stream.seek(at)
            stream.write(bytes([byte ^ 1 << bit]))
        look = Look(truth)
        signal.alarm(60)
        look.take(folder)
        signal.alarm(0)
        failed = {name: text[:300] for name, text in look.failed.items()}
        outcome = {"outcome": look.outcome(path), "lost": look.lost, "kept": look.kept, "failed": failed}
        say(json.dumps({**outcome, "found": [text[:300] for text in look.found[:3]]}))


def _truth(folder: str) -> dict[str, Any]:
    with Store.open(folder) as store:
        assert store.verify() == []
        return {name: read(store) for name, read in READS.items()}


def _copy(sound: str, scratch: str, which: str) -> str:
    """Return a fresh copy in a folder of its own, so that nothing a process remembers of another counts."""
    for old in Path(scratch).iterdir():
        shutil.rmtree(old)
    folder = tempfile.mkdtemp(dir=scratch)
    shutil.copytree(f"{sound}/{which}", folder, dirs_exist_ok=True)
    return folder


def tear(sound: str, scratch: str, sizes: list[int]) -> None:
    """Cut the log off at each size, and say how many batches are left; the last one must then go in again."""
    for size in sizes:
        folder = Path(_copy(sound, scratch, "opened"))
        os.truncate(folder / "catalog.sqlite-wal", size)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Store.open(folder, create=False) as store:
                everything = content.count_samples(store.select(content.MATCH), ["w0"])["w0"]
                said = [str(w.message) for w in caught]
                for number in range(SEALED + HOT - 3, SEALED + HOT):
                    store.write(content.batch("w0", number), key=f"w0/{number}")
                content.count_samples(store.select(content.MATCH), ["w0"])
                again = content.count_samples(store.select(content.MATCH), ["w0"])["w0"]
        say(json.dumps({"size": size, "kept": everything, "again": again, "said": said}))
