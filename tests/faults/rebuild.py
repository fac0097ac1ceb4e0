"""A catalog that was lost: what the segments alone still say."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.faults import content, flips
from tests.faults.operations import OPERATIONS, missing
from tests.faults.program import say
from tests.store import worlds
from workbench.store import Store

BATCHES = 40


def build(folder: str, compacted: bool) -> None:
    """Make a store whose samples were overwritten across segments; the replaced segments lie beside the new ones."""
    with Store.open(folder) as store:
        store.write(worlds.everything())
        for number in range(BATCHES):
            store.write(content.batch("w0", number))
            if number % 9 == 0:
                store.seal()
        store.seal()
        if compacted:
            OPERATIONS["compact"][1](store)
            for number in range(BATCHES, BATCHES + 3):
                store.write(content.batch("w0", number))
            store.seal()


def lose(folder: str, sound: str) -> None:
    """Remove the catalog, build it again, and prove that everything reads as before."""
    shutil.copytree(folder, sound)
    for path in Path(folder).glob("catalog.sqlite*"):
        path.unlink()
    Store.rebuild(folder)  # type: ignore[attr-defined]
    with Store.open(sound) as before, Store.open(folder, create=False) as after:
        for name, read in flips.READS.items():
            if name not in ("keys", "rollups"):  # keys stand nowhere else; sums may differ in the last digit
                assert flips.equal(read(after), read(before)), name
        assert after.verify() == []
        if not missing("compact"):
            content.check_rollups(after, BATCHES)
        number = content.count_samples(after.select(content.MATCH), ["w0"])["w0"]
        after.write(content.batch("w0", number))
        # Numbers of new writes must be larger than all there were, or the overwritten samples come back.
        for care in ("seal", "compact"):
            if not missing(care):
                OPERATIONS[care][1](after)
            assert content.count_samples(after.select(content.MATCH), ["w0"]) == {"w0": number + 1}
        assert after.verify() == []
    say("equal")
