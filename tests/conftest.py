"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.live_prometheus import Prometheus

# Machines that run tests are shared: how long one example takes says nothing.
settings.register_profile("workbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("workbench")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data with ground truth beside the checkout, or `$WORKBENCH_SHARED_DATA`; skips where absent."""
    folder = Path(os.environ.get("WORKBENCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("shared data is not here: put it at ../shared/data or name it in $WORKBENCH_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def incidents() -> dict[str, Path]:
    """Recorded incidents by name; skips where there is none."""
    from workbench import resources

    found = resources.incidents()
    if not found:
        pytest.skip("no recorded incident is in datasets/incidents")
    return found


@pytest.fixture(scope="session")
def debian() -> None:
    """Skip where Debian's Prometheus is not installed."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("Debian's prometheus is not installed")


@pytest.fixture(scope="module")
def real(debian: None, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus over the real block of the shared data."""
    folder = tmp_path_factory.mktemp("real") / "data"
    shutil.copytree(shared_data / "query" / "tsdb_block" / "prom242_node_snapshot", folder)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    server = Prometheus(folder)
    yield server
    server.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Conformance suites can be pointed at other cases of the same form."""
    parser.addoption("--cases", metavar="DIR", default=None, help="folder of conformance cases to run instead")
