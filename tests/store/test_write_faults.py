"""A disk that is full or failing: a write is refused whole, reads go on, and the next write works when it is over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.store import worlds
from workbench.errors import StoreError
from workbench.signals import Batch
from workbench.store import Store
from workbench.store import write as write_module
from workbench.store.trouble import StoreRefused


@pytest.fixture(scope="module", autouse=True)
def catalog(request):
    """Only what lies in the folder is at stake here; a database server looks after itself."""
    if getattr(request, "param", "sqlite") != "sqlite":
        pytest.skip("about files in the store's folder")


CHILD = """
import sys
import numpy as np
from workbench.errors import StoreError
from workbench.signals import Batch, build_logs, build_samples
from workbench.store import Store


def opened():
    for _ in range(20):
        try:
            return Store.open(sys.argv[1])
        except StoreError as error:
            print("not opened:", error)
    raise SystemExit("never opened")


store = opened()
kept = []


def write(number):
    time = np.full(300, np.datetime64("2026-01-01", "ns") + np.timedelta64(number, "s"))
    value = np.random.default_rng(number).normal(size=300)
    samples = build_samples([{"metric": "m", "i": str(i)} for i in range(300)], np.arange(300), time, value)
    logs = build_logs({"time": time[:1], "body": [str(number)]})
    store.write(Batch(samples, logs), key=f"batch {number}")
    kept.append(number)


def check():
    assert store.select([]).n_samples == 300 * len(kept)
    assert store.rows("logs")["body"].tolist() == [str(number) for number in kept]


def refused(number):
    try:
        write(number)
    except StoreError as error:
        assert error.retryable, error
        assert "may be repeated" in str(error), error
        print(error)
        check()
        return True
    return False
"""


def child(code: str, folder: Path, *before: str) -> str:
    command = [*before, sys.executable, "-c", CHILD + textwrap.dedent(code), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems may not be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("direct", [False, True], ids=["hot", "segment"])
def test_a_full_disk_refuses_and_recovers(small_disk, monkeypatch, direct):
    if direct:
        monkeypatch.setattr(write_module, "_HOT_BYTES", 0)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * 2**20))
    with Store.open(small_disk / "s") as store, Store.open(small_disk / "s") as other:
        written = 0

        def fill():
            nonlocal written
            for _ in range(200):
                store.write(Batch(worlds.samples(n=50, t=20, start=20 * written, seed=written)), key=str(written))
                written += 1

        with pytest.raises(StoreRefused, match=r"(full|No space).*may be repeated") as caught:
            fill()
        assert written
        assert caught.value.retryable
        for reader in (store, other):
            assert reader.select([]).n_samples == written * 1000
            assert not reader.has(str(written))
        with pytest.raises(StoreRefused):
            other.write(Batch(worlds.samples(n=50, t=20)), key="other")
        ballast.unlink()
        for k in range(written, written + 3):
            store.write(Batch(worlds.samples(n=50, t=20, start=20 * k, seed=k)), key=str(k))
        for reader in (store, other):
            assert reader.select([]).n_samples == (written + 3) * 1000
        assert store.verify() == []
        # A commit that failed may have been made all the same, so its file is left to the sweep.
        store.vacuum(grace_s=0)
        assert len(list((small_disk / "s" / "segments").glob("**/*.parquet"))) == (written + 3 if direct else 0)
        assert not list((small_disk / "s").glob("tmp/*"))


def fill(disk: Path) -> Path:
    """Leave no room for a single byte; return the file to be removed."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    return ballast


READER = """
    with Store.open(sys.argv[1]) as again:
        assert again.select([]).n_samples == {samples}
        assert len(again.rows("logs")) == {logs}
        assert again.status()["samples"] == {samples}
"""


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_closed_store_is_read_on_a_full_disk(small_disk, how):
    """SQLite shares memory by a file that it cannot make then; several processes read all the same."""
    end = {"closed": "store.close()", "killed": "import os; os.kill(os.getpid(), 9)"}[how]
    work = "for number in range(6):\n    write(number)\n    number == 3 and store.seal()\n" + end
    command = [sys.executable, "-c", CHILD + work, str(small_disk / "s")]
    subprocess.run(command, capture_output=True, timeout=200, check=how == "closed")
    ballast = fill(small_disk)
    reader = READER.format(samples=1800, logs=6)
    others = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                textwrap.dedent(CHILD.split("store = opened")[0]) + textwrap.dedent(reader) * 5,
                small_disk / "s",
            ]
        )
        for _ in range(2)
    ]
    with Store.open(small_disk / "s") as store:
        for _ in range(5):
            assert store.select([]).n_samples == 1800
        assert not store.read_only
        with pytest.raises(StoreRefused, match="may be repeated"):
            store.write(Batch(worlds.samples(n=50, t=200)))
        assert store.verify() == []
        assert [other.wait(100) for other in others] == [0, 0]
        ballast.unlink()
        store.write(Batch(worlds.samples(n=50, t=20)))
        assert store.select([]).n_samples == 2800
        store.seal()
    with Store.open(small_disk / "s") as store:
        assert store.select([]).n_samples == 2800
        assert store.verify() == []


def test_a_closed_store_is_read_where_no_file_may_grow(tmp_path):
    child(
        """
        import resource

        for number in range(5):
            write(number)
        store.close()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        store = opened()
        check()
        assert refused(5)
        assert refused(5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not refused(5)
        check()
        """,
        tmp_path / "s",
    )


def test_a_file_that_may_not_grow_refuses_and_recovers(tmp_path):
    """SQLite calls it an I/O error, not a full disk."""
    out = child(
        """
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for number in range(5):
            write(number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
        number = 5
        while not refused(number):
            number += 1
        assert number < 60
        assert refused(number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not refused(number)
        for number in range(number + 1, number + 5):
            write(number)
        check()
        assert store.verify() == []
        """,
        tmp_path / "s",
    )
    assert out.count("disk I/O error") == 2


@pytest.mark.parametrize(
    ("call", "first"),
    [
        ("fdatasync", 12),
        ("pwrite64", 300),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("fdatasync", 1), ("pwrite64", 30), ("ftruncate", 1))
        ),
    ],
)
def test_a_failing_disk_refuses_and_recovers(tmp_path, call, first):
    """The kernel answers EIO to some calls: while the store is young, and in the middle of a run."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    fault = f"inject={call}:error=EIO:when={first}..{first + 8}"
    inject = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", fault]
    if subprocess.run([*inject, "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes may not be traced here")
    out = child(
        """
        number = failed = 0
        while number < 40:
            if refused(number):
                failed += 1
                assert failed < 20
            else:
                number += 1
        check()
        assert store.verify() == []
        print("failed", failed)
        """,
        tmp_path / "s",
        *inject,
    )
    assert "disk I/O error" in out, "nothing failed, so nothing was tested"
    with Store.open(tmp_path / "s") as store:
        assert len(store.rows("logs")) == 40
        assert store.select([]).n_samples == 12_000


def test_what_will_not_pass_is_no_invitation_to_repeat(tmp_path, monkeypatch):
    from workbench.store import place

    Store.open(tmp_path / "s").close()
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    with Store.open(tmp_path / "s") as store, pytest.raises(StoreError, match="read-only") as caught:
        store.write(Batch(worlds.samples()))
    assert not isinstance(caught.value, StoreRefused)


def test_a_store_held_by_another_may_be_tried_again(tmp_path, monkeypatch):
    from workbench.store import catalog

    monkeypatch.setattr(catalog, "PATIENCE", 0.05)
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        two.write(Batch(worlds.samples()))
        with one._catalog.write(), pytest.raises(StoreRefused, match="another process held the store"):
            two.write(Batch(worlds.samples(start=100)))
        two.write(Batch(worlds.samples(start=100)))
        assert one.select([]).n_samples == 200
