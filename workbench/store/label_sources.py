"""How many series each source has brought, and how many it was refused: one source cannot fill the index for all."""

from __future__ import annotations

import json
import zlib
from typing import Any

from workbench.errors import StoreError
from workbench.store.catalog import Transaction
from workbench.store.labels import utf8

__all__ = ["admit", "cardinality", "source_crc"]


def source_crc(name: str, series: int, refused: int) -> int:
    """Return the checksum of a row of `sources`."""
    return zlib.crc32(f"{name} {series} {refused}".encode())


def _checked(name: str, series: int, refused: int, crc32: int) -> tuple[int, int]:
    if source_crc(name, series, refused) != crc32:
        raise StoreError(f"the count of series of source {name[:80]} is damaged: restore the catalog.")
    return series, refused


def admit(transaction: Transaction, source: str, limit: int, new: int) -> int:
    """Return how many of `new` series a source may register, and count both those and the ones refused.

    Raises
    ------
    StoreError
        If the source's row is damaged.
    """
    name = json.dumps(utf8(source))  # as JSON: not every database keeps a NUL in text
    row: Any = transaction.execute(
        "SELECT name, series, refused, crc32 FROM sources WHERE name = ?", (name,)
    ).fetchone()
    series, refused = _checked(*row) if row else (0, 0)
    allowed = min(new, max(0, limit - series))
    series, refused = series + allowed, refused + new - allowed
    transaction.execute(
        "INSERT INTO sources (name, series, refused, crc32) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
        " SET series = excluded.series, refused = excluded.refused, crc32 = excluded.crc32",
        (name, series, refused, source_crc(name, series, refused)),
    )
    return allowed


def cardinality(transaction: Transaction) -> dict[str, dict[str, int]]:
    """Return for each source how many series it has registered and how often it was refused one, `{"series", "refused"}`.

    Raises
    ------
    StoreError
        If a row is damaged.
    """
    found = {}
    for name, *about in transaction.execute(
        "SELECT name, series, refused, crc32 FROM sources ORDER BY name"
    ).fetchall():
        series, refused = _checked(name, *about)
        found[str(json.loads(name))] = {"series": series, "refused": refused}
    return found
