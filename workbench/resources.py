"""Find the notebooks and recorded incidents, in an installed wheel or in a checkout.

The wheel carries them inside the package (`workbench/_notebooks`, `workbench/_incidents`); an editable install has
them at the top of the checkout.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import NotFound, closest

__all__ = ["incident", "incidents", "incidents_folder", "notebook", "notebooks"]

_PACKAGE = Path(__file__).resolve().parent


def _folder(inside: str, checkout: str) -> Path:
    packed = _PACKAGE / inside
    return packed if packed.is_dir() else _PACKAGE.parent / checkout


def _pick(table: dict[str, Path], name: str, what: str) -> Path:
    if name in table:
        return table[name]
    near = closest(name, table)
    hint = f"; did you mean {near!r}?" if near else "."
    raise NotFound(f"there is no {what} {name!r}: known are {', '.join(table) or 'none'}{hint}")


def notebooks() -> dict[str, Path]:
    """Return every shipped notebook: name (without `.ipynb`) -> path."""
    return {p.stem: p for p in sorted(_folder("_notebooks", "notebooks").glob("*.ipynb"))}


def notebook(name: str) -> Path:
    """Return the path of one shipped notebook, or raise `NotFound` with the known names."""
    return _pick(notebooks(), name, "notebook")


def incidents_folder() -> Path:
    """Return the folder that holds the recorded incidents (it need not exist)."""
    return _folder("_incidents", "datasets/incidents")


def incidents() -> dict[str, Path]:
    """Return every recorded incident: name -> folder."""
    root = incidents_folder()
    return {p.name: p for p in sorted(root.glob("*")) if (p / "truth.json").is_file() or (p / "events.json").is_file()}


def incident(name: str) -> Path:
    """Return the folder of one recorded incident, or raise `NotFound` with the known names."""
    return _pick(incidents(), name, "recorded incident")
