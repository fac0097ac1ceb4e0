"""Which file a runbook's name stands for.

A name (`str`) means a shipped notebook and never a path: it may come from a scheduler, an alert or a form. A `Path`
means a notebook of the caller's own. Neither reaches papermill's own path handling, which expands `{...}` and fetches
URLs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from workbench import resources
from workbench.errors import InvalidInput, NotFound

__all__ = ["LARGEST_NOTEBOOK", "load", "resolve"]

LARGEST_NOTEBOOK = 64 * 2**20
"""Largest notebook file read, bytes."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")


def resolve(notebook: str | Path) -> Path:
    """Return the real path of a runbook.

    Parameters
    ----------
    notebook : str or Path
        A name of the catalogue (`"investigate"`), or the path of a local `.ipynb` file.

    Raises
    ------
    InvalidInput
        If a name is not letters, digits, `_` and `-`, or its file lies outside the notebooks folder; or if a path does
        not end in `.ipynb`.
    NotFound
        If there is no such notebook; the message lists the known names.
    """
    if isinstance(notebook, Path):
        return _own(notebook)
    if not _NAME.match(notebook):
        raise InvalidInput(
            f"runbook {notebook[:80]!r} is not a name: use letters, digits, '_' and '-', or a pathlib.Path for a file."
        )
    found = resources.notebook(notebook)
    root, real = found.parent.resolve(), found.resolve()
    if not real.is_relative_to(root) or not real.is_file():
        raise InvalidInput(f"runbook {notebook!r} points outside the notebooks folder: replace the link by the file.")
    return real


def _own(path: Path) -> Path:
    real = path.expanduser().resolve()
    if real.suffix != ".ipynb":
        raise InvalidInput(f"notebook {str(path)!r} does not end in .ipynb: give a Jupyter notebook.")
    if not real.is_file():
        raise NotFound(f"there is no notebook {str(path)!r}: give an existing local file.")
    return real


def load(path: Path) -> dict[str, Any]:
    """Return a notebook file as plain JSON, checked to be a Python notebook of format 4.

    Raises
    ------
    InvalidInput
        If it is too large, not JSON, not of format 4, or for another language.
    """
    size = path.stat().st_size
    if size > LARGEST_NOTEBOOK:
        raise InvalidInput(f"notebook {path.name} has {size:,} bytes: at most {LARGEST_NOTEBOOK:,} are read.")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"notebook {path.name} is not JSON: {error}.") from error
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list) or document.get("nbformat") != 4 or not all(isinstance(c, dict) for c in cells):
        raise InvalidInput(f"notebook {path.name} is not of format 4: open it in Jupyter and save it.")
    language = _language(document)
    if language != "python":
        raise InvalidInput(f"notebook {path.name} is written in {language[:40]!r}: only Python notebooks run here.")
    return dict(document)


def _language(document: dict[str, Any]) -> str:
    metadata = document.get("metadata", {})
    for part in ("kernelspec", "language_info"):
        section = metadata.get(part) if isinstance(metadata, dict) else None
        name = section.get("language" if part == "kernelspec" else "name") if isinstance(section, dict) else None
        if isinstance(name, str):
            return name.lower()
    return "python"
