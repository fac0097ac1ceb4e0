"""Retention: what the ages in the settings say of each segment, and retiring what is too old.

Where rollups are kept longer than raw samples, samples go only once their days have been rolled up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.store.catalog import Catalog
from workbench.store.crash import reach
from workbench.store.rollup_build import due_days
from workbench.store.rollup_plan import day_of, load_raw_spans, load_rollups

__all__ = ["MOVABLE", "Policy", "due", "retire"]

_DAY_NS = 86_400 * 10**9
_EVER = 2**63 - 1


@dataclass(frozen=True)
class Policy:
    """At what age data change their tier or go, in days; 0 is never. Ages are those of the newest row of a segment.

    Attributes
    ----------
    warm_days, warm_rollup_days : float
        Older raw data, and older rollups, are moved to the cold place.
    raw_days, rollup_days : float
        Older raw data, and older rollups, are removed, wherever they lie.
    """

    warm_days: float = 7.0
    warm_rollup_days: float = 90.0
    raw_days: float = 0.0
    rollup_days: float = 550.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """Return the policy that the settings ask for."""
        return cls(**{name: settings[f"store.{name}"] for name in cls.__dataclass_fields__})

    @property
    def leaves_rollups(self) -> bool:
        """Whether rollups are all that is left of samples one day."""
        return self.raw_days > 0 and not 0 < self.rollup_days <= self.raw_days

    def horizons(self, raw: float, rollups: float, now: int) -> dict[str, int]:
        """Return the instants before which raw data and rollups are old, as SQL parameters; the first one for never."""
        days = {"raw": raw, "rollups": rollups}
        return {name: now - int(d * _DAY_NS) if d else -(2**63) for name, d in days.items()}


_OLD = "(CASE WHEN step = 0 THEN t_max < :raw ELSE t_max < :rollups END)"
MOVABLE = f"tier = 'warm' AND retired IS NULL AND {_OLD}"
"""Which segments are to be moved, as an SQL condition with the parameters of `Policy.horizons`."""


def due(catalog: Catalog, policy: Policy, now: int | None = None) -> dict[str, dict[str, int]]:
    """Return what the policy will do next: `{"move": {"segments", "bytes"}, "retire": {"segments", "bytes"}}`."""
    now = time.time_ns() if now is None else now
    moving = policy.horizons(policy.warm_days, policy.warm_rollup_days, now)
    with catalog.read() as connection:
        query = f"SELECT bytes FROM segments WHERE {MOVABLE}"
        sizes = {"move": [row[0] for row in connection.execute(query, moving).fetchall()]}
        sizes["retire"] = [size for _, size in _going(connection, policy, now)]
    return {name: {"segments": len(found), "bytes": sum(found)} for name, found in sizes.items()}


def retire(catalog: Catalog, policy: Policy, now: int | None = None) -> list[int]:
    """Retire what is older than the policy keeps, in one transaction; return the numbers of the segments.

    Their files stay for the grace period. A segment that hides older values of its instants stays as long as these, and
    samples stay until their days are rolled up if rollups are to be what is left of them.
    """
    now = time.time_ns() if now is None else now
    with catalog.write() as connection:
        going = [number for number, _ in _going(connection, policy, now)]
        connection.executemany("UPDATE segments SET retired = ? WHERE id = ?", [(now, number) for number in going])
    if going:
        reach("delete.committed")
    return sorted(going)


def _going(connection: Any, policy: Policy, now: int) -> list[tuple[int, int]]:
    """Return number and bytes of the segments that may be retired.

    A later write hides what older ones say of the same instants, so it stays while something it hides stays.
    """
    horizons = policy.horizons(policy.raw_days, policy.rollup_days, now)
    owed = _owed(connection) if policy.leaves_rollups else set()
    live = connection.execute(
        f"SELECT id, bytes, signal, step, seq_max, t_min, t_max, {_OLD} FROM segments WHERE retired IS NULL"
        " ORDER BY seq_max, id",
        horizons,
    ).fetchall()
    hot = connection.execute("SELECT signal, seq, t_min, t_max FROM hot").fetchall()
    live = [(*row[:7], row[7] and not (row[2] == "metrics" and _touches(owed, *row[5:7]))) for row in live]
    staying = [(signal, 0, seq, low, high) for signal, seq, low, high in hot]
    staying += [tuple(row[2:7]) for row in live if not row[7]]
    near = [s for s in staying if s[3] < horizons["raw" if s[1] == 0 else "rollups"]]
    going = []
    for number, size, signal, step, seq, low, high, old in live:
        if not old:
            continue
        if any((s[0], s[1]) == (signal, step) and s[2] < seq and s[3] <= high and s[4] >= low for s in near):
            near.append((signal, step, seq, low, high))
        else:
            going.append((int(number), int(size)))
    return going


def _owed(connection: Any) -> set[int]:
    """Return the days with samples that no rollup knows; those that are not over are among them."""
    rollups = load_rollups(connection, 0, _EVER)
    return set(due_days(load_raw_spans(connection), rollups, _EVER))


def _touches(days: set[int], t_min: int, t_max: int) -> bool:
    return bool(days) and not days.isdisjoint(range(int(day_of(t_min)), int(day_of(t_max)) + 1))
