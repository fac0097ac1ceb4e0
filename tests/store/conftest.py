"""The store's tests run on both catalogs: SQLite in the folder, and a schema of a real PostgreSQL server.

A test file takes part by being named in `BOTH`; its tests may ask for the fixture `catalog` to know which it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.store import server
from workbench.store import Store
from workbench.store.place import CATALOG, REFERENCE

BOTH = {
    "test_catalog", "test_compact", "test_dense", "test_hot", "test_rollup", "test_rows", "test_samples", "test_seal",
    "test_tier", "test_tier_publish", "test_write_checks", "test_write_late",
}  # fmt: skip
CATALOGS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in BOTH:
        metafunc.parametrize("catalog", CATALOGS, indirect=True, scope="module")


@pytest.fixture(scope="session")
def postgres() -> server.Server:
    """A running server; skips where PostgreSQL is not installed."""
    return server.start()


@pytest.fixture(scope="module", autouse=True)
def catalog(request: pytest.FixtureRequest) -> Any:
    """Which catalog new stores get; opening is the test's own business."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield "sqlite"
        return
    running = server.start()
    real = Store.open.__func__

    def opened(cls: type[Store], path: str | Path, *, create: bool = True, catalog: str | None = None) -> Store:
        folder = Path(path)
        if catalog is None and create and not (folder / REFERENCE).exists() and not (folder / CATALOG).exists():
            catalog = running.url()
        return real(cls, path, create=create, catalog=catalog)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "open", classmethod(opened))
        yield "postgresql"
