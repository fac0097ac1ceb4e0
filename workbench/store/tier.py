"""Tiers: what is old enough goes to the cold place, what is too old is retired, and nothing is ever nowhere.

A segment is moved in this order: its local bytes are compared with the catalog's checksum; copied; read back and
compared again; then one transaction says `cold` and notes the local files as left over, if the segment is still live
and warm. Local files stay for the grace period, since a reader may hold them. Of two that move the same segment one
finds it moved already, and leaves the object alone: it has the same bytes. A process that dies in between leaves an
object without a name in the catalog, which the next move finds in its place, or `sweep` removes.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import StoreError
from workbench.store import files
from workbench.store.blocks import BlockCache
from workbench.store.catalog import Catalog
from workbench.store.crash import reach
from workbench.store.files import File
from workbench.store.places import Gone, Place
from workbench.store.publish import differs, publish, published
from workbench.store.remote import Remote, Unavailable
from workbench.store.retention import MOVABLE, Policy, retire

__all__ = ["Moved", "Tiers", "forget", "move", "run", "settle", "sweep"]

_LATE_S = 86_400.0


class Tiers(Mapping[str, Place]):
    """The place of each tier: those it is given, and what the catalog's notes say of the others.

    Another process may give a store its cold place at any time, so `look` is called with each snapshot.

    Parameters
    ----------
    known : mapping of str to Place
        Places that are not looked up: the store's folder as `warm`, or, for a store opened by URL, that as `cold`.
    cache : BlockCache, optional
        Shared by all places that are not this folder.
    """

    def __init__(self, known: Mapping[str, Place], cache: BlockCache | None = None) -> None:
        self._places = dict(known)
        self._cache = cache

    def look(self, connection: Any) -> None:
        """Take over what the catalog says now, inside the caller's transaction."""
        for tier, url in connection.execute("SELECT name, text FROM notes WHERE kind = 'place'").fetchall():
            if tier not in self._places:
                self._places[tier] = Remote(url, self._cache)

    def __getitem__(self, tier: str) -> Place:
        return self._places[tier]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def settle(catalog: Catalog, url: str) -> str:
    """Make a URL the cold place of a store that has none, and return the one in force, "" for none.

    Raises
    ------
    StoreError
        If data lie at another URL already.
    """
    query = "SELECT text FROM notes WHERE kind = 'place' AND name = 'cold'"
    with catalog.read() as connection:
        row = connection.execute(query).fetchone()
    url = url.rstrip("/")
    if row is None and url:
        with catalog.write() as connection:
            connection.execute(
                "INSERT INTO notes (kind, name, at, text) VALUES ('place', 'cold', 0, ?) ON CONFLICT DO NOTHING", (url,)
            )
            row = connection.execute(query).fetchone()
    if row is not None and url and row[0] != url:
        raise StoreError(
            f"the cold tier of {catalog.folder} lies at {row[0]}, not at {url}: copy it there and change the catalog's"
            " row, or set store.cold_url to where it is."
        )
    return "" if row is None else str(row[0])


@dataclass
class Moved:
    """What a move did.

    Attributes
    ----------
    segments : list of int
        Numbers of the segments that this process moved.
    bytes : int
        Their bytes.
    lost : int
        Segments that another process moved, compacted or retired first.
    problems : list of str
        One sentence for each segment that stays where it is because something is wrong with it or with the place.
    """

    segments: list[int] = field(default_factory=list)
    bytes: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)


def move(catalog: Catalog, warm: Place, cold: Remote, policy: Policy, now: int | None = None) -> Moved:
    """Move what is old enough to the cold place, oldest first.

    A segment that is damaged stays and is named. When the place does not answer, the rest waits for the next time.

    Parameters
    ----------
    catalog : Catalog
    warm, cold : Place
    policy : Policy
    now : int, optional
        Nanoseconds; the clock's by default.
    """
    now = time.time_ns() if now is None else now
    horizons = policy.horizons(policy.warm_days, policy.warm_rollup_days, now)
    query = f"SELECT id, bytes FROM segments WHERE {MOVABLE} ORDER BY t_max, id"
    with catalog.read() as connection:
        listed = connection.execute(query, horizons).fetchall()
    moved = Moved()
    for number, size in listed:
        try:
            mine = _move_one(catalog, warm, cold, number)
        except Unavailable as error:
            moved.problems.append(str(error))
            break
        except StoreError as error:
            moved.problems.append(str(error))
            continue
        if mine:
            moved.segments.append(int(number))
            moved.bytes += int(size)
        else:
            moved.lost += 1
    return moved


def _move_one(catalog: Catalog, warm: Place, cold: Remote, number: int) -> bool:
    """Move one segment; return False when another process was first."""
    with catalog.read() as connection:
        query = "SELECT role, path, bytes, crc32 FROM files WHERE segment = ?"
        listed = [File(*row) for row in connection.execute(query, (number,)).fetchall()]
    try:
        for file in listed:
            data = warm.read(file.path, [(0, file.bytes + 1)])[0]
            _same(data, file, warm.url)
            cold.put(file.path, data)
            _same(cold.fetch(file.path), file, cold.url)
    except Gone:  # moved and cleaned up by another process, or compacted away
        return False
    reach("tier.copied")
    with catalog.write() as connection:
        mine = connection.execute(
            "UPDATE segments SET tier = 'cold' WHERE id = ? AND tier = 'warm' AND retired IS NULL RETURNING id",
            (number,),
        ).fetchone()
        if mine is not None:
            since = time.time_ns()
            connection.executemany(
                "INSERT INTO notes (kind, name, at, text) VALUES ('leftover', ?, ?, '') ON CONFLICT DO NOTHING",
                [(file.path, since) for file in listed],
            )
    reach("tier.committed")
    return mine is not None


def _same(data: bytes, file: File, url: str) -> None:
    if len(data) != file.bytes or zlib.crc32(data) != file.crc32:
        raise StoreError(
            f"segment {url}/{file.path} is not what the catalog says ({len(data)} of {file.bytes} bytes, or another"
            " checksum): it stays where it is; restore it from a copy."
        )


def forget(catalog: Catalog, places: Mapping[str, Place], now: int | None = None, grace_s: float | None = None) -> int:
    """Remove the files that moved or were retired longer than the grace period ago; return how many.

    Files go first and their names in the catalog after them, so whoever is killed, the next one finds what is left.

    Raises
    ------
    Unavailable
        If a place does not answer; what is left stays named.
    """
    oldest = (time.time_ns() if now is None else now) - int((files.GRACE_S if grace_s is None else grace_s) * 1e9)
    with catalog.read() as connection:
        left = [
            row[0] for row in connection.execute("SELECT name FROM notes WHERE kind = 'leftover' AND at < ?", (oldest,))
        ]
        named = "SELECT path FROM files JOIN segments ON segment = id WHERE tier = 'warm'"
        warm = {row[0] for row in connection.execute(named)} if left else set()
        retired = connection.execute(
            "SELECT id, tier, path FROM segments JOIN files ON segment = id WHERE retired < ? AND tier <> 'warm'",
            (oldest,),
        ).fetchall()
    gone = [path for path in left if path not in warm]
    _delete(places["warm"], gone, "tier.deleted")
    with catalog.write() as connection:
        connection.executemany("DELETE FROM notes WHERE kind = 'leftover' AND name = ?", [(path,) for path in left])
    reachable = [row for row in retired if row[1] in places]
    for tier in {row[1] for row in reachable}:
        _delete(places[tier], [row[2] for row in reachable if row[1] == tier], "delete.file")
    ids = [(number,) for number in {row[0] for row in reachable}]
    if ids:
        with catalog.write() as connection:
            for table, column in (("files", "segment"), ("chunks", "segment"), ("segments", "id")):
                connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
    return len(gone) + len(reachable)


def _delete(place: Place, paths: Sequence[str], point: str) -> None:
    for path in paths:
        place.delete(path)
        reach(point)


def run(
    catalog: Catalog, tiers: Tiers, policy: Policy, url: str = "", now: int | None = None, grace_s: float | None = None
) -> dict[str, Any]:
    """Do what the policy asks for: move, retire, publish what changed, remove what nobody can hold any more.

    Parameters
    ----------
    catalog : Catalog
    tiers : Tiers
    policy : Policy
    url : str
        The cold place of a store that has none yet; "" for the one it has, or for none.
    now : int, optional
        Nanoseconds; the clock's by default.
    grace_s : float, optional
        Seconds; `files.GRACE_S` by default.

    Returns
    -------
    dict
        `moved` and `retired` (numbers of segments), `bytes`, `lost`, `problems`, `removed` (files) and `published` (the
        number of the snapshot, 0 for none); plain JSON types.
    """
    settle(catalog, url)
    with catalog.read() as connection:
        tiers.look(connection)
    cold = tiers.get("cold")
    moved = move(catalog, tiers["warm"], cold, policy, now) if isinstance(cold, Remote) else Moved()
    retired = retire(catalog, policy, now)
    number, problems = 0, list(moved.problems)
    if isinstance(cold, Remote):
        try:
            pointer = published(cold)
            number = publish(catalog, cold)["number"] if differs(catalog, pointer) else (pointer or {}).get("number", 0)
        except Unavailable as error:
            problems.append(str(error))
    # What the snapshot still names stays: a reader elsewhere may have it.
    reach_of = tiers if not problems else {"warm": tiers["warm"]}
    removed = forget(catalog, reach_of, now, grace_s)
    return {
        "moved": moved.segments, "bytes": moved.bytes, "lost": moved.lost, "retired": retired, "removed": removed,
        "published": number, "problems": problems,
    }  # fmt: skip


def sweep(catalog: Catalog, cold: Remote, now: int | None = None, late_s: float = _LATE_S) -> list[str]:
    """Remove objects of the cold place that no segment names and that are old; return their names.

    They are what movers left that were killed, of segments that have been compacted since. The listing may be out of
    date: what it does not show stays for the next time. An object that some segment names is never touched, whatever
    its tier: it may be about to be moved. Only for the one store that has this place.

    Parameters
    ----------
    catalog : Catalog
    cold : Remote
    now : int, optional
        Nanoseconds.
    late_s : float
        How old an object must be, seconds.

    Raises
    ------
    StoreError
        If the place has a newer snapshot than this catalog, which then is an old copy and does not know everything.
    """
    listed = cold.listed("segments/")
    with catalog.read() as connection:
        row = connection.execute("SELECT value FROM meta WHERE name = 'published'").fetchone()
        named = {row[0] for row in connection.execute("SELECT path FROM files")}
    pointer = published(cold)
    if pointer is not None and pointer["number"] > (0 if row is None else row[0]):
        raise StoreError(
            f"{cold.url} has a newer snapshot than the catalog in {Path(catalog.folder)}: nothing is removed there on the"
            " word of an old copy."
        )
    oldest = (time.time_ns() if now is None else now) - int(late_s * 1e9)
    nobody = [one.name for one in listed if one.name not in named and one.modified < oldest]
    for name in nobody:
        cold.delete(name)
    return nobody
