"""What several commands share: options, opening a store, printing JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.errors import StoreError

if TYPE_CHECKING:
    from workbench.session import Bench

__all__ = ["END", "JSON", "START", "STORE", "open_bench", "print_json", "printable"]

STORE_HELP = (
    "Folder of the store; else $WORKBENCH_STORE, the nearest .workbench folder, or one in the user's data folder."
)
STORE = click.option("--store", default=None, metavar="PATH", help=STORE_HELP)
START = click.option("--start", default=None, metavar="T", help="ISO 8601 time, 'now', or -6h: so long before now.")
END = click.option("--end", default=None, metavar="T", help="End of the window, as --start.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def open_bench(store: str | None, *, create: bool = False) -> Bench:
    """Return the store a command was given, which must be there unless it may be made."""
    from workbench import session
    from workbench.store.place import CATALOG

    folder = session.find_store() if store is None else Path(store).expanduser()
    if not create and "://" not in (store or "") and not folder.is_file() and not (folder / CATALOG).exists():
        raise StoreError(
            f"there is no store at {folder}: ingest telemetry into it first, or name another with --store."
        )
    return session.open(store, create=create)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, default=str, allow_nan=False))


def printable(text: str, kept: str = "\n\t") -> str:
    """Replace control characters, which telemetry and names of files could use to drive the terminal."""
    return "".join(c if c in kept or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
