"""Small notebooks to run and render."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Maker = Callable[..., Path]


def cell(kind: str, source: str, number: int, **more: Any) -> dict[str, Any]:
    base = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source}
    return base | ({"outputs": [], "execution_count": None} if kind == "code" else {}) | more


@pytest.fixture
def notebook(tmp_path: Path) -> Maker:
    """Return a function that writes a notebook: its parameters cell, then code cells; more cells as they are."""

    def make(
        parameters: str, *sources: str, name: str = "own.ipynb", cells: Sequence[dict[str, Any]] = (), **metadata: Any
    ) -> Path:
        made = [cell("code", parameters, 0, metadata={"tags": ["parameters"]})]
        made += [cell("code", source, i + 1) for i, source in enumerate(sources)]
        made += list(cells)
        document = {
            "cells": made,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}, **metadata},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return make
