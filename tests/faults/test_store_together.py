"""Four writers, a caretaker and four readers on one store: every read is some committed prefix of every writer."""

from __future__ import annotations

import pytest

from tests.faults.actors import Slots

WRITERS = [f"w{i}" for i in range(4)]


@pytest.mark.parametrize("seconds", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_every_read_is_a_committed_prefix(nursery, tmp_path, seconds):
    shared, folder = str(tmp_path / "slots"), tmp_path / "s"
    Slots(shared)
    writers = [
        nursery.start("actors:write", folder, w, 0, seconds, 0.04, shared, i, i % 2 == 0) for i, w in enumerate(WRITERS)
    ]
    for process in writers:
        process.until("ack")
    caretaker = nursery.start("actors:care", folder, seconds, 0.05, 1)
    readers = [nursery.start("actors:read", folder, WRITERS, seconds, shared, i) for i in range(4)]
    for process in [*writers, caretaker, *readers]:
        _, status = process.finish(seconds * 2 + 120)
        assert status == 0, process.errors()
    acknowledged = {w: process.said("ack") for w, process in zip(WRITERS, writers, strict=True)}
    reads = [process.said("read") for process in readers]
    cared = {name: caretaker.said(f"end {name}") for name in ("seal", "compact", "tier", "vacuum")}
    assert min(acknowledged.values()) >= seconds
    assert min(reads) >= seconds
    assert cared["seal"] > 0, "nothing was sealed, so nothing was tested"
    said = nursery.run("actors:check", folder, acknowledged, 0)
    print(f"\nacknowledged {acknowledged}, reads {reads}, care {cared}, {said[0]}")
