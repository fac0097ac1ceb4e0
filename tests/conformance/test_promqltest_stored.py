"""Prometheus' scripts with native histograms, their data in a store: every eval gives what it gives from memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.promqltest import run
from tests.conformance.promqltest_memory import Memory
from workbench.signals import Batch, Matcher, Samples
from workbench.store import Store


class Stored(Memory):
    """A selector over what the script has loaded, which has been through a store."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def keep(self, new: Samples) -> None:
        self.store.write(Batch(new))
        self.store.seal()

    def count(self, matchers: Sequence[Matcher], start: np.datetime64, end: np.datetime64) -> tuple[int, int]:
        return self.store.count(matchers, start, end)

    def select(
        self,
        matchers: Sequence[Matcher],
        start: np.datetime64 | None = None,
        end: np.datetime64 | None = None,
        *,
        check: Callable[[int, int], None] | None = None,
    ) -> Samples:
        return self.store.select(matchers, start, end, check=check)


@pytest.mark.parametrize("name", ["histograms", pytest.param("functions", marks=pytest.mark.slow), "limit"])
def test_a_script_says_the_same_of_stored_samples(shared_data: Path, tmp_path: Path, name: str) -> None:
    text = (shared_data / "query" / "promqltest" / f"{name}.test").read_text(encoding="utf-8")
    opened: list[Store] = []

    def stored() -> Memory:
        for store in opened:
            store.close()
        opened.append(Store.open(tmp_path / f"s{len(opened)}"))
        return Stored(opened[-1])

    assert run(text, name, stored) == run(text, name)
    opened[-1].close()
