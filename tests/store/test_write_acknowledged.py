"""A catalog that has fallen behind what was acknowledged is noticed, named, and its numbers are not used twice."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.store import worlds
from workbench.errors import WorkbenchWarning
from workbench.signals import Batch
from workbench.store import Store, acknowledged
from workbench.store.place import CATALOG


@pytest.fixture(scope="module", autouse=True)
def catalog(request):
    """Only what lies in the folder is at stake here; a database server looks after itself."""
    if getattr(request, "param", "sqlite") != "sqlite":
        pytest.skip("about files in the store's folder")


WRITER = """
import sys
import numpy as np
from workbench.signals import Batch, build_samples
from workbench.store import Store

store = Store.open(sys.argv[1])
labels = [{"metric": "m", "i": str(i)} for i in range(int(sys.argv[3]))]
for number in range(int(sys.argv[2])):
    time = np.full(len(labels), np.datetime64("2026-01-01", "ns") + np.timedelta64(number, "s"))
    value = np.random.default_rng(number).normal(size=len(labels))
    store.write(Batch(build_samples(labels, np.arange(len(labels)), time, value)))
    print(number, flush=True)
sys.stdin.read()
"""


def killed(folder: Path, writes: int, series: int) -> Path:
    """Write in a process of its own, and kill it when it has acknowledged the last write."""
    command = [sys.executable, "-c", WRITER, str(folder), str(writes), str(series)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [int(process.stdout.readline()) for _ in range(writes)][-1] == writes - 1
    process.kill()
    process.communicate()
    return folder


def opened(folder: Path) -> tuple[Store, list[str]]:
    """Open for writing; return what was warned of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        store = Store.open(folder)
        acknowledged.check(folder, store._catalog)
    assert all(issubclass(w.category, WorkbenchWarning) for w in told)
    return store, [str(w.message) for w in told]


def seq(store: Store) -> int:
    with store._catalog.read() as transaction:
        return int(transaction.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()[0])


def missing(sentence: str) -> tuple[int, int, int]:
    found = re.search(r"(\d+) acknowledged writes \(numbers (\d+) to (\d+)\) are missing", sentence)
    assert found, sentence
    return int(found[1]), int(found[2]), int(found[3])


@pytest.fixture(scope="module")
def killed_store(tmp_path_factory):
    return killed(tmp_path_factory.mktemp("killed") / "s", 150, 40)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_log_loses_what_came_after_and_says_so(killed_store, tmp_path, share):
    folder = shutil.copytree(killed_store, tmp_path / "s")
    log = folder / f"{CATALOG}-wal"
    data = bytearray(log.read_bytes())
    assert len(data) > 100_000
    data[int(len(data) * share)] ^= 1 << 4
    log.write_bytes(data)
    store, told = opened(folder)
    with store:
        kept = store.select([]).n_samples // 40
        assert len(told) == 1
        assert missing(told[0]) == (150 - kept, kept + 1, 150)
        assert abs(kept - 150 * share) < 20, "what came before the flip is kept"
        assert seq(store) == 150
        store.write(Batch(worlds.samples(n=1)))
        assert seq(store) == 151
    again, told = opened(folder)
    with again:
        assert told == []
        assert [missing(s)[0] for s in acknowledged.problems(folder, again._catalog)] == [150 - kept]
        assert [missing(s)[0] for s in again.verify()] == [150 - kept]
        assert again.select([]).n_samples == 40 * kept + 20


def test_an_untouched_log_of_a_killed_process_loses_nothing(killed_store, tmp_path):
    folder = shutil.copytree(killed_store, tmp_path / "s")
    store, told = opened(folder)
    with store:
        assert told == []
        assert store.select([]).n_samples == 150 * 40
        assert acknowledged.problems(folder, store._catalog) == []
        assert store.verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_flip_never_reaches_behind_the_log(tmp_path, share):
    """What was copied into the database when the log had grown beyond 4 MiB is safe."""
    folder = killed(tmp_path / "s", 1300, 200)
    log = folder / f"{CATALOG}-wal"
    data = bytearray(log.read_bytes())
    assert len(data) < 4.5 * 2**20
    written = 1300 * 200 * 8
    data[int(len(data) * share)] ^= 1
    log.write_bytes(data)
    store, told = opened(folder)
    with store:
        lost, first, last = missing(told[0])
        assert last == 1300
        assert store.select([]).n_samples == (first - 1) * 200
        assert 0 < lost * 200 * 8 < 4.5 * 2**20
        assert (first - 1) * 200 * 8 > written - 4.5 * 2**20


def test_an_older_copy_of_the_catalog_is_noticed(tmp_path):
    folder = tmp_path / "s"
    with Store.open(folder) as store:
        for k in range(3):
            store.write(Batch(worlds.samples(start=20 * k)))
    shutil.copy(folder / CATALOG, tmp_path / "copy")
    with Store.open(folder) as store:
        for k in range(3, 8):
            store.write(Batch(worlds.samples(start=20 * k)))
    shutil.copy(tmp_path / "copy", folder / CATALOG)
    store, _ = opened(folder)
    with store:
        found = acknowledged.problems(folder, store._catalog)
        assert [missing(s) for s in found] == [(5, 4, 8)]
        assert seq(store) == 8
        assert store.write(Batch(worlds.samples(start=60)))["metrics"] == 100
        assert seq(store) == 9


def test_reading_only_names_the_loss_and_changes_nothing(tmp_path, monkeypatch):
    from workbench.store import place

    folder = tmp_path / "s"
    with Store.open(folder) as store:
        store.write(Batch(worlds.samples()))
    (folder / acknowledged.NAME).write_bytes(acknowledged._packed(7))
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    for _ in range(2):
        store, told = opened(folder)
        with store:
            assert told == []
            assert [missing(s) for s in acknowledged.problems(folder, store._catalog)] == [(6, 2, 7)]
            assert seq(store) == 1


@pytest.mark.parametrize("broken", [b"x", bytes(20), bytes(30), None])
def test_a_damaged_or_absent_number_file_is_made_anew(tmp_path, broken):
    folder = tmp_path / "s"
    with Store.open(folder) as store:
        store.write(Batch(worlds.samples()))
    place = folder / acknowledged.NAME
    sound = place.read_bytes()
    if broken is None:
        place.unlink()
    else:
        place.write_bytes(broken)
    store, told = opened(folder)
    with store:
        assert ["is damaged" in t for t in told] == ([] if broken is None else [True])
        assert len(acknowledged.problems(folder, store._catalog)) == len(told)
        store.write(Batch(worlds.samples(start=20)))
        assert place.read_bytes() == acknowledged._packed(2) != sound
        assert store.select([]).n_samples == 200


def test_every_flip_in_the_number_file_is_noticed(tmp_path):
    sound = acknowledged._packed(300)
    for at in range(8 * len(sound)):
        broken = bytearray(sound)
        broken[at // 8] ^= 1 << at % 8
        assert acknowledged._number(bytes(broken)) is None
    assert [acknowledged._number(sound[:n]) for n in range(len(sound))] == [0] + [None] * (len(sound) - 1)


def _note(folder: Path, numbers: list[int]) -> None:
    with Store.open(folder) as store:
        for number in numbers:
            acknowledged.acknowledge(folder, store._catalog, number)


def test_the_number_only_grows_whoever_writes_it(tmp_path):
    folder = tmp_path / "s"
    Store.open(folder).close()
    context = multiprocessing.get_context("fork")
    orders = [np.random.default_rng(k).permutation(200).tolist() for k in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside threads: the children only write a file
        processes = [context.Process(target=_note, args=(folder, order)) for order in orders]
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (folder / acknowledged.NAME).read_bytes() == acknowledged._packed(199)


def test_a_number_file_that_cannot_be_written_does_not_undo_the_write(tmp_path):
    folder = tmp_path / "s"
    with Store.open(folder) as store:
        (folder / acknowledged.NAME).mkdir()
        assert store.write(Batch(worlds.samples()))["metrics"] == 100
        assert store.select([]).n_samples == 100
