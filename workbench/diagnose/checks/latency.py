"""Where did the time go: whose own time grew, which queue, which database statement.

The time of a whole request is split without remainder into the own time of every service and the waits of every call.
What each part exceeds its mean before is its share of the slowness; the shares of all parts add up to one, so a caller
that only waits for a slow callee gets none of it. Waiting to be served is a consequence: it is handed on to whatever
keeps the serving service busy longer than before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.checks.wording import duration, quoted, search
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.measures import contrast
from workbench.diagnose.scene import Scene

__all__ = ["LatencyShare", "SlowStatement", "slowness"]

_WEIGHT = 30.0
"""Decibans for being the whole of a slowness that is beyond doubt."""
_NOTABLE = 0.15
"""Added time per request, as a share of its time before, below which slowness counts for less."""


def slowness(scene: Scene) -> pd.DataFrame:
    """Return one row per part of the requests' time that grew.

    Returns
    -------
    DataFrame
        `service` (where it is spent), `blamed`, `part` ("own", "queue", "database", "unreachable"), `operation`,
        `callee`, the columns of `measures.contrast`, `direct` and `share` (of all excess, weighed by certainty, before
        and after queueing is handed on) and `severity` (0-1, of the whole slowness).
    """
    own = contrast(*scene.served, ["service", "operation"], "own_ns").reset_index()
    own = own.assign(part="own", callee="", blamed=own["service"])
    parts = [own]
    for before, during, part in _waits(scene):
        by = ["caller", "callee", "statement" if part == "database" else "operation"]
        table = contrast(before, during, by, "wait_ns").reset_index()
        table = table.rename(columns={"caller": "service", "statement": "operation"})
        parts.append(table.assign(part=part, blamed=table["service"] if part == "database" else table["callee"]))
    table = pd.concat([p for p in parts if len(p)] or [own], ignore_index=True)
    weight = table["excess"] * table["certainty"]
    total = float(weight.sum())
    requests = max(sum(int(frame["root"].sum()) for frame in scene.served[1:]), 1)
    usual = (
        float(scene.served[0].loc[scene.served[0]["root"], "duration_ns"].mean()) if len(scene.served[0]) else np.nan
    )
    severity = np.clip(total / requests / (usual * _NOTABLE), 0, 1) if usual and np.isfinite(usual) else 0.0
    direct = weight / total if total > 0 else weight * 0.0
    return table.assign(direct=direct, share=_hand_on(table, direct.to_numpy(float)), severity=severity)


def _hand_on(table: pd.DataFrame, weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights with queueing moved to the parts that keep the queue's service busy; the sum stays the same.

    Queueing at a service is divided among that service's own parts by their weights; where those are queues again, it
    moves on. A service without any grown part keeps its queue.
    """
    queue = (table["part"] == "queue").to_numpy(bool)
    spent, blamed = table["service"].to_numpy(object), table["blamed"].to_numpy(object)
    settled, moving = np.where(queue, 0.0, weight), np.where(queue, weight, 0.0)
    for _ in range(8):
        ahead = np.where(moving > 1e-9, 0.0, moving)
        for row in np.flatnonzero(moving > 1e-9):
            inner = np.where(spent == blamed[row], weight, 0.0)
            if inner.sum() <= 0:
                settled[row] += moving[row]
            else:
                ahead += moving[row] * (inner / inner.sum())
        settled += np.where(queue, 0.0, ahead)
        moving = np.where(queue, ahead, 0.0)
    return settled + moving


def _waits(scene: Scene) -> list[tuple[pd.DataFrame, pd.DataFrame, str]]:
    """Return the calls before and during that count as queueing, as database work, and as vain attempts to connect."""
    before, during = scene.calls
    out = []
    for part in ("queue", "database"):
        # Messages wait on purpose, and an unanswered call is a failure, not a wait to be served.
        pair = [
            frame[(frame["connection"] == "database") & ~frame["lost"]]
            if part == "database"
            else frame[(frame["connection"] == "") & (frame["server"] >= 0)]
            for frame in (before, during)
        ]
        out.append((pair[0], pair[1], part))
    return [*out, (before, during[during["lost"]], "unreachable")]


class LatencyShare:
    """Damage: the share of all added request time that arises inside a service."""

    name = "latency_share"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service that holds a tenth or more of the added time."""
        table = slowness(scene)
        grown = table[(table["share"] > 0) & (table["severity"] > 0)]
        found = []
        for service, rows in grown.groupby("blamed", sort=False):
            share = float(rows["share"].sum())
            if share < 0.1:
                continue
            top = rows.iloc[int(rows["share"].argmax())]
            found.append(self._finding(scene, str(service), share, float(rows["severity"].iloc[0]), top))
        return found

    def _finding(self, scene: Scene, service: str, share: float, severity: float, top: pd.Series) -> Evidence:
        what = {
            "own": "its own time in",
            "queue": "the wait to be served for",
            "database": "its database statement",
            "unreachable": "the vain attempt to reach it for",
        }
        statement = (
            f"{100 * share:.0f} % of the time added to requests arises in {service}: {what[top['part']]} {top['operation']}"
            f" took {duration(top['median_during'])} at the median, {duration(top['median_before'])} before"
            f" ({top['n_during']:.0f} and {top['n_before']:.0f} spans)."
        )
        name = str(top["service"]) if top["part"] in ("database", "unreachable") else service
        return Evidence(
            check=self.name,
            service=service,
            kind="",
            statement=statement,
            query=search(scene, "spans", f"service:{quoted(name)}"),
            strength=_WEIGHT * share * severity,
            onset=scene.fault[0],
            rows=int(top["n_during"]),
            component=str(top["operation"]),
        )


class SlowStatement:
    """Mechanism: a database statement of one service became much slower while the others of that database did not."""

    name = "slow_statement"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service whose statements hold a fifth or more of the added time."""
        table = slowness(scene)
        slow = table[(table["part"] == "database") & (table["certainty"] > 0.5)]
        slow = slow[
            (slow["median_during"] > 2 * slow["median_before"]) | (slow["mean_during"] > 3 * slow["mean_before"])
        ]
        found = []
        for service, rows in slow.groupby("service", sort=False):
            share = float(rows["direct"].sum())
            if share < 0.2:
                continue
            top = rows.iloc[int(rows["direct"].argmax())]
            statement = (
                f"Statement of {service} on {top['callee']} takes {duration(top['median_during'])} at the median,"
                f" {duration(top['median_before'])} before ({top['n_during']:.0f} and {top['n_before']:.0f} runs):"
                f" {_short(str(top['operation']))}"
            )
            found.append(
                Evidence(
                    check=self.name,
                    service=str(service),
                    kind="slow_query",
                    statement=statement,
                    query=search(
                        scene, "spans", f"service:{quoted(str(service))} @db.system.name:{quoted(str(top['callee']))}"
                    ),
                    strength=26.0 * min(share * 1.5, 1.0),
                    onset=scene.fault[0],
                    rows=int(top["n_during"]),
                    component=_short(str(top["operation"])),
                )
            )
        return found


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
