"""One store with a recorded incident, read by every test of the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.session import Bench
from workbench.session import open as open_bench


@pytest.fixture(scope="session")
def recorded(incidents: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    name = "payment-latency" if "payment-latency" in incidents else sorted(incidents)[0]
    with open_bench(tmp_path_factory.mktemp("recorded") / "store") as bench:
        bench.ingest(incidents[name])
        yield bench
