"""From format 1, where series, distinct labels and postings had tables of their own, to the present label index."""

from __future__ import annotations

import json
import zlib
from hashlib import blake2b

from workbench.errors import StoreError
from workbench.store.catalog import Transaction
from workbench.store.label_fold import MOST, fold
from workbench.store.label_state import Sets

__all__ = ["upgrade_series"]

_AT_ONCE = MOST // 4


def upgrade_series(connection: Transaction) -> None:
    """Move the series of a format-1 catalog into the tables of the label index, which are there and empty.

    It is part of the caller's transaction. Series keep their numbers.

    Raises
    ------
    StoreError
        If a series is damaged or missing; nothing may be committed then.
    """
    found = connection.execute("SELECT id, hash, labels, kind, unit, crc32 FROM series ORDER BY id").fetchall()
    rows = []
    for at, (number, digest, labels, kind, unit, crc32) in enumerate(found, 1):
        about = zlib.crc32(f"{number} {kind} {unit}".encode())
        if number != at or about != crc32 or blake2b(labels.encode(), digest_size=16).digest() != digest:
            raise StoreError(f"the catalog's row of series {at} is damaged: restore the catalog.")
        rows.append((number, json.loads(labels), kind, unit))
        if len(rows) == _AT_ONCE:
            fold(connection, Sets.of_rows(rows))
            rows = []
    fold(connection, Sets.of_rows(rows))
    for table in ("postings", "pairs", "series"):
        connection.execute(f"DROP TABLE {table}")
