"""A process that is stopped in the middle of an operation and wakes up a day later, after others have cleaned up."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults import operations

CASES = [("append", "segment.renamed", 1), ("seal", "seal.written", 1), ("compact", "compact.written", 1),
         ("compact", "rollup.written", 1), ("tier", "tier.copied", 1)]  # fmt: skip


@pytest.mark.parametrize(("name", "point", "nth"), CASES)
def test_files_under_way_outlast_the_sleep_of_their_process(nursery, tmp_path, name, point, nth):
    if operations.missing(name):
        pytest.skip(f"the store cannot {name}")
    folder = tmp_path / "s"
    nursery.run("operations:build", folder)
    nursery.run("operations:prepare", folder, name)
    sleeper = nursery.start("operations:doze", folder, name, point, nth)
    sleeper.until("asleep")
    nursery.run("operations:clean", folder)
    os.kill(sleeper.pid, signal.SIGCONT)
    lines, status = sleeper.finish()
    # It may give up with an error, but then nothing may have changed.
    assert status == 0 or "StoreError" in sleeper.errors() or "StoreRefused" in sleeper.errors(), sleeper.errors()
    acknowledged = operations.BATCHES + sleeper.said("ack") - sleeper.said("ack large")
    recovery = nursery.start("operations:recover", folder, name, acknowledged, "ack large" in lines)
    assert recovery.finish()[1] == 0, recovery.errors()
