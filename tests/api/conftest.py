"""This API over the block that the live Prometheus has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import workbench
from workbench.api import Serving


@pytest.fixture(scope="module")
def ours(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """This API over the same block."""
    with workbench.open(tmp_path_factory.mktemp("ours")) as bench:
        bench.ingest(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot")
        with workbench.serve(bench, port=0, token=False) as serving:
            yield serving


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as made:
        yield made
