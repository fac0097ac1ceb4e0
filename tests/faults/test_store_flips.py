"""Flipped bits and torn tails: never a wrong value, little lost, always noticed and named."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from tests.faults import flips

EXPECTED = {
    "equal", "equal, named by verify", "read error, named by verify", "refused at open", "tail lost, noticed at open",
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(nursery, tmp_path_factory) -> Path:
    """Copies of one store: `opened`, which was open when it was copied, with its log, and `closed`."""
    folder = tmp_path_factory.mktemp("flips")
    lines = nursery.run("flips:build", folder / "made", folder / "sound/opened", folder / "sound/closed")
    (folder / "log.json").write_text(lines[-1])
    return folder / "sound"


def surveyed(nursery, sound: Path, scratch: Path, wanted: list[tuple[str, int, int]]) -> list[dict[str, object]]:
    """Flip bits in a process of its own; when that dies, say so and go on with the next flip in another."""
    found: list[dict[str, object]] = []
    while len(found) < len(wanted):
        process = nursery.start("flips:survey", sound, scratch, wanted[len(found) : len(found) + 250])
        lines, status = process.finish(1_200)
        said = [json.loads(line) for line in lines]
        found += [line for line in said if "outcome" in line]
        assert status == 0 or (said and "flip" in said[-1]), process.errors()
        if status:
            found.append({"outcome": f"the process DIED, status {status}: {process.errors()[-300:]}", "lost": 0})
    return found


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_never_a_wrong_value(nursery, sound, tmp_path, count):
    wanted = flips.places(sound, count, count)
    halves = [wanted[: count // 2], wanted[count // 2 :]]
    scratch = [tmp_path / "a", tmp_path / "b"]
    for folder in scratch:
        folder.mkdir()
    with ThreadPoolExecutor(2) as two:
        parts = two.map(lambda half: surveyed(nursery, sound, *half), zip(scratch, halves, strict=True))
        found = list(chain.from_iterable(parts))
    table: Counter[tuple[str, str]] = Counter()
    wrong: dict[str, list[str]] = {}
    lost: Counter[int] = Counter()
    for (path, at, bit), outcome in zip(wanted, found, strict=True):
        said = str(outcome["outcome"])
        expected = said in EXPECTED
        table[flips.region(path), said if expected else said[:60]] += 1
        if not expected:
            wrong.setdefault(said, []).append(f"{path} byte {at} bit {bit}")
        if flips.region(path) == "segments/metrics":
            lost[int(str(outcome["lost"]))] += 1
    print(f"\n{count} flips")
    for (kind, said), times in sorted(table.items()):
        print(f"{kind:20} {times:5}  {said}")
    print(f"series lost by a flip in a segment of metrics: {dict(sorted(lost.items()))}")
    assert wrong == {}


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_a_torn_log_loses_only_the_last_write(nursery, sound, tmp_path, count):
    before, after = json.loads((sound.parent / "log.json").read_text())
    assert after > before, "the last batch began a new log"
    sizes = sorted({before, before + 1, after - 1, *range(before, after, max((after - before) // count, 1))})
    lines = nursery.run("flips:tear", sound, tmp_path, sizes)
    last = flips.SEALED + flips.HOT
    torn = [json.loads(line) for line in lines]
    assert {found["kept"] for found in torn} == {last - 1}
    assert {found["again"] for found in torn} == {last}
