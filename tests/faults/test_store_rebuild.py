"""A lost catalog is built again from the segments' own footers."""

from __future__ import annotations

import pytest

from tests.faults import operations
from workbench.store import Store


@pytest.mark.parametrize("compacted", [False, True])
def test_a_lost_catalog_is_rebuilt(nursery, tmp_path, compacted):
    if not hasattr(Store, "rebuild"):
        pytest.skip("the store cannot rebuild its catalog")
    if compacted and operations.missing("compact"):
        pytest.skip("the store cannot compact")
    nursery.run("rebuild:build", tmp_path / "s", compacted)
    assert nursery.run("rebuild:lose", tmp_path / "s", tmp_path / "sound")[-1] == "equal"
