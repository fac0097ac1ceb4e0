"""Cleaning up this folder: what was retired long enough ago is forgotten, and files that nothing names are removed.

A reader that took its snapshot before a segment was retired may still read it, so everything waits for the grace
period (`files.GRACE_S`). What lies in other places is `tier.forget`'s.
"""

from __future__ import annotations

import time

from workbench.store import files
from workbench.store.catalog import Catalog
from workbench.store.crash import reach
from workbench.store.places import Folder

__all__ = ["tidy"]

_NAMED = "SELECT path FROM files UNION SELECT name FROM notes WHERE kind = 'leftover'"


def tidy(place: Folder, catalog: Catalog, grace_s: float | None = None) -> int:
    """Forget local segments retired longer than the grace period ago, remove files without a name; return how many.

    Parameters
    ----------
    place : Folder
        The store's own folder.
    catalog : Catalog
    grace_s : float, optional
        Seconds; `files.GRACE_S` by default.
    """
    grace_s = files.GRACE_S if grace_s is None else grace_s
    oldest = (time.time_ns() - int(grace_s * 1e9),)
    if not catalog.shrink():  # a damaged log could bring segments back whose files are gone: another time
        return 0
    old = "SELECT id FROM segments WHERE retired < ? AND tier = 'warm'"
    with catalog.read() as connection:
        gone = connection.execute(f"SELECT path FROM files WHERE segment IN ({old})", oldest).fetchall()
    for (path,) in gone:  # files first: whoever is killed in between, their names are found again
        place.delete(path)
        reach("delete.file")
    with catalog.write() as connection:
        for table in ("files", "chunks"):
            connection.execute(f"DELETE FROM {table} WHERE segment IN ({old})", oldest)
        connection.execute("DELETE FROM segments WHERE retired < ? AND tier = 'warm'", oldest)
        # Inside, so that nobody can name meanwhile what is about to go.
        swept = files.sweep(place, {row[0] for row in connection.execute(_NAMED)}, grace_s)
    reach("delete.committed")
    return len(gone) + swept
