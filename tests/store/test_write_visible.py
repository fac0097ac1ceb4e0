"""What one process has acknowledged, others read soon: measured between real processes on one clock."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def catalog(request):
    """Only what lies in the folder is at stake here; a database server looks after itself."""
    if getattr(request, "param", "sqlite") != "sqlite":
        pytest.skip("about files in the store's folder")


WRITER = """
import sys, time
import numpy as np
import pytest
from workbench.signals import Batch, build_samples
from workbench.store import Store

store = Store.open(sys.argv[1])
labels = [{"metric": "m", "i": str(i)} for i in range(1000)]
first = build_samples(labels, np.arange(1000), np.zeros(1000, np.int64), np.zeros(1000))
T0 = np.datetime64("2026-01-01", "ns")
for number in range(int(sys.argv[2])):
    time_ = np.full(1000, T0 + np.timedelta64(number, "s"))
    store.write(Batch(type(first)(first.labels, first.offsets, time_, np.full(1000, float(number)), first.kind, first.unit)))
    print(number, time.monotonic_ns(), flush=True)
    time.sleep(0.005)
"""
READER = """
import sys, time
import numpy as np
import pytest
from workbench.signals import Matcher
from workbench.store import Store

store = Store.open(sys.argv[1])
print("ready", flush=True)
T0, last, end = np.datetime64("2026-01-01", "ns"), -1, time.monotonic() + 120
while last < int(sys.argv[2]) - 1 and time.monotonic() < end:
    got = store.select([Matcher("i", "=", "7")], T0 + np.timedelta64(max(last, 0), "s"))
    now = time.monotonic_ns()
    if got.n_samples and int(got.value[-1]) > last:
        assert got.value.tolist() == list(range(max(last, 0), int(got.value[-1]) + 1)), "a gap"
        for number in range(last + 1, int(got.value[-1]) + 1):
            print(number, now)
        last = int(got.value[-1])
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers(process: subprocess.Popen[str]) -> dict[int, int]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return {int(a): int(b) for a, b in (line.split() for line in out.splitlines())}


def test_other_processes_read_what_was_acknowledged_within_a_tenth_of_a_second(tmp_path, capsys):
    """The bound is generous, for machines that run tests are shared; the figure itself is printed."""
    folder, n = tmp_path / "s", 150
    readers = [start(READER, folder, n) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    acknowledged = numbers(start(WRITER, folder, n))
    assert len(acknowledged) == n
    for reader in readers:
        seen = numbers(reader)
        assert seen.keys() == acknowledged.keys()
        lag = np.array([seen[k] - acknowledged[k] for k in acknowledged]) / 1e6
        with capsys.disabled():
            p50, p99 = np.percentile(lag, [50, 99])
            print(f"\nread by another process {p50:.1f} ms (p50), {p99:.1f} ms (p99), {lag.max():.1f} ms (most) later")
        assert np.percentile(lag, 50) < 100
        assert np.percentile(lag, 99) < 2000
