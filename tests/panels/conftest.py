"""The seeded incident, once per session, plain and hostile."""

from __future__ import annotations

import pytest

from tests.panels import world
from tests.panels.payloads import PAYLOADS
from workbench.diagnose.investigation import Investigation


@pytest.fixture(scope="session")
def incident() -> Investigation:
    return world.investigation()


@pytest.fixture(scope="session")
def hostile() -> Investigation:
    """Every text field holds a payload, each payload stands somewhere, and equal texts stay equal."""
    seen: dict[str, str] = {}

    def spoil(text: str) -> str:
        if text not in seen:
            payload = PAYLOADS[len(seen) % len(PAYLOADS)].encode("utf-8", "replace").decode()
            seen[text] = f"{payload} {len(seen)}"
        return seen[text]

    made = world.investigation(spoil)
    assert len(seen) >= len(PAYLOADS)
    return made
