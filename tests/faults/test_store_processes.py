"""Real processes on one store: nothing acknowledged is lost, doubled or altered, whoever is killed and whenever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from workbench.store import Store

PRELUDE = """
import sys, time
import numpy as np
from workbench.signals import Batch, build_logs, build_samples
from workbench.store import Store

T0 = np.datetime64("2026-01-01", "ns")
S = np.timedelta64(1, "s")
folder, me = sys.argv[1], sys.argv[2]


def batch(number):
    n = 20
    series = build_samples(
        [{"metric": "m", "writer": me, "i": str(i)} for i in range(n)],
        np.arange(n), np.full(n, T0 + number * S), np.arange(n) + number * 1000.0)
    logs = build_logs({"time": T0 + number * S + np.arange(5), "body": [f"{me}/{number}/{i}" for i in range(5)]})
    return Batch(series, logs)


def say(text):
    sys.stdout.write(f"{text}\\n")
    sys.stdout.flush()

"""
WRITER = """
store = Store.open(folder)
end = time.monotonic() + float(sys.argv[3])
number = 0
while time.monotonic() < end:
    store.write(batch(number))
    say(number)
    number += 1
"""
SEALER = """
store = Store.open(folder)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    say(sum(store.seal().values()))
    time.sleep(0.05)
"""
READER = """
store = Store.open(folder)
end = time.monotonic() + float(sys.argv[3])
last = 0
while time.monotonic() < end:
    got = store.select([])
    assert (got.value % 1000 == np.array([int(i) for i in got.labels["i"]] if len(got) else [])[got.series_of_sample()]).all()
    assert (np.diff(got.offsets) > 0).all()
    bodies = store.rows("logs")["body"]
    assert bodies.is_unique, "doubled"
    assert len(bodies) % 5 == 0, "half a batch"
    assert len(bodies) >= last, "went back"
    last = len(bodies)
    say(last)
assert last
"""
KEYED = """
store = Store.open(folder)
for number in range(12):
    written = store.write(batch(number), key=f"batch {number}")
    say(written["logs"])
"""
OPENER = """
store = Store.open(folder)
store.write(batch(int(me)))
say(store.select([]).n_samples)
"""


def start(code: str, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, str(folder), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[int]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [int(line) for line in out.split()]


def check(folder: Path, acknowledged: dict[str, int], at_most: dict[str, int]) -> None:
    """Every acknowledged batch is there once and whole; at most the one under way when killed is there besides."""
    with Store.open(folder, create=False) as store:
        bodies = Counter(store.rows("logs")["body"])
        assert set(bodies.values()) <= {1}
        whole = Counter(body.rsplit("/", 1)[0] for body in bodies)
        assert set(whole.values()) <= {5}
        got = store.select([])
        owner = got.labels["writer"].to_numpy(dtype=object)[got.series_of_sample()]
        number = (got.value // 1000).astype(int)
        seconds = (got.time - np.datetime64("2026-01-01", "ns")) / np.timedelta64(1, "s")
        assert (seconds == number).all(), "altered"
        for me, count in acknowledged.items():
            batches = sorted(int(name.split("/")[1]) for name in whole if name.startswith(f"{me}/"))
            assert batches == list(range(len(batches)))
            assert count <= len(batches) <= at_most[me]
            assert (owner == me).sum() == 20 * len(batches)
        assert store.verify() == []


def test_three_writers_two_readers_and_a_sealer(tmp_path):
    folder = tmp_path / "s"
    writers = [start(WRITER, folder, f"w{i}", 4) for i in range(3)]
    others = [start(READER, folder, "r0", 4), start(READER, folder, "r1", 4), start(SEALER, folder, "x", 4)]
    counts = {f"w{i}": len(finish(process)) for i, process in enumerate(writers)}
    assert min(counts.values()) > 0
    sealed = [finish(process) for process in others][2]
    assert sum(sealed) > 0, "nothing was sealed, so nothing was tested"
    check(folder, counts, counts)


@pytest.mark.parametrize(
    ("victim", "attempts"),
    [
        ("writer", 2),
        ("sealer", 2),
        pytest.param("writer", 25, marks=pytest.mark.slow),
        pytest.param("sealer", 25, marks=pytest.mark.slow),
    ],
)
def test_killed_processes_lose_nothing_acknowledged(tmp_path, victim, attempts):
    folder = tmp_path / "s"
    acknowledged: dict[str, int] = {}
    for attempt in range(attempts):
        writer, sealer = start(WRITER, folder, f"w{attempt}", 600), start(SEALER, folder, "x", 600)
        assert writer.stdout is not None
        assert sealer.stdout is not None
        first = [writer.stdout.readline() for _ in range(10)]
        sealer.stdout.readline()
        time.sleep(0.02 * attempt)
        os.kill((writer if victim == "writer" else sealer).pid, signal.SIGKILL)
        if victim == "sealer":
            first += [writer.stdout.readline() for _ in range(10)]
        for process in (writer, sealer):
            process.kill()
        # Not `communicate`: it would lose the lines that `readline` has already taken from the pipe.
        rest = writer.stdout.read().split("\n")[:-1]
        writer.communicate()
        sealer.communicate()
        acknowledged[f"w{attempt}"] = len(first) + len(rest)
    check(folder, acknowledged, {me: count + 1 for me, count in acknowledged.items()})


def test_a_key_is_written_once_however_many_processes_try(tmp_path):
    writers = [start(KEYED, tmp_path / "s", "same") for _ in range(3)]
    written = np.array([finish(process) for process in writers])
    assert written.sum(axis=0).tolist() == [5] * 12
    check(tmp_path / "s", {"same": 12}, {"same": 12})


def test_a_store_is_made_once_by_many_that_open_it_at_the_same_time(tmp_path):
    openers = [start(OPENER, tmp_path / "s", i) for i in range(5)]
    assert max(finish(process)[0] for process in openers) == 5 * 20
    with Store.open(tmp_path / "s") as store:
        assert len(store.rows("logs")) == 25
        assert store.verify() == []


def test_a_forked_child_uses_its_own_connection(tmp_path):
    code = """
import os, warnings
warnings.simplefilter("ignore")
store = Store.open(folder)
store.write(batch(0))
child = os.fork()
if child == 0:
    store.write(batch(1))
    os._exit(0 if store.select([]).n_samples == 40 else 1)
assert os.waitpid(child, 0)[1] == 0
store.write(batch(2))
say(store.select([]).n_samples)
"""
    assert finish(start(code, tmp_path / "s", "w0")) == [60]
