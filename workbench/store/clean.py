"""Cleaning up: what was retired long enough ago is forgotten, and files that nothing names are removed.

A reader that took its snapshot before a segment was retired may still read it, so everything waits for the grace
period (`files.GRACE_S`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from workbench.store import files
from workbench.store.catalog import Catalog
from workbench.store.crash import reach
from workbench.store.places import Folder, Place

__all__ = ["tidy"]


def tidy(
    place: Folder, catalog: Catalog, places: Mapping[str, Place] | None = None, grace_s: float | None = None
) -> int:
    """Forget segments retired longer than the grace period ago and remove files without a name; return how many.

    Parameters
    ----------
    place : Folder
        The store's own folder.
    catalog : Catalog
    places : mapping of str to Place, optional
        Other tiers by name, whose retired files are removed too.
    grace_s : float, optional
        Seconds; `files.GRACE_S` by default.
    """
    grace_s = files.GRACE_S if grace_s is None else grace_s
    oldest = (time.time_ns() - int(grace_s * 1e9),)
    with catalog.write() as connection:
        old = connection.execute(
            "SELECT tier, path FROM files JOIN segments ON segment = id WHERE retired < ?", oldest
        ).fetchall()
        for table in ("files", "chunks"):
            connection.execute(
                f"DELETE FROM {table} WHERE segment IN (SELECT id FROM segments WHERE retired < ?)", oldest
            )
        connection.execute("DELETE FROM segments WHERE retired < ?", oldest)
        gone = connection.execute("SELECT path FROM leftovers WHERE since < ?", oldest).fetchall()
        connection.execute("DELETE FROM leftovers WHERE since < ?", oldest)
        named = {row[0] for row in connection.execute("SELECT path FROM files JOIN segments ON segment = id WHERE tier = 'warm'")}
        named |= {row[0] for row in connection.execute("SELECT path FROM leftovers")}
    reach("delete.committed")
    for tier, path in [*old, *(("warm", row[0]) for row in gone)]:
        there = place if tier == "warm" else (places or {}).get(tier)
        if there is not None:
            there.delete(path)
            reach("delete.file")
    removed = files.sweep(place, named, grace_s)
    catalog.shrink()
    return len(old) + len(gone) + removed
