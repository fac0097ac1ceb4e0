"""Where did failures begin: in a service's own code, at a dependency that cannot be reached, or in giving up."""

from __future__ import annotations

import pandas as pd

from workbench.diagnose.checks.wording import quoted, search, share
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.measures import share_surprise
from workbench.diagnose.scene import BEFORE, DURING, Scene

__all__ = ["DependencyDown", "FailureShare", "OwnErrors", "blamed_failures"]

_WEIGHT = 30.0
"""Decibans for being the origin of all failures."""
_NOTABLE = 0.02
"""Failures per request below which they count for less."""


def blamed_failures(scene: Scene) -> pd.DataFrame:
    """Return one row per service blamed for failures that became more frequent.

    Returns
    -------
    DataFrame
        Index: service. `before`, `during` (failures), `handled_before`, `handled_during` (requests it served or,
        where it is not recorded, calls made to it; calls it made, where it gave up on some), `share` (of all added
        failures), `severity` (0-1, added failures per request entering the system), `surprise` (decibans).
    """
    before, during = (frame.groupby("service").size() for frame in scene.failures)
    table = pd.DataFrame({"before": before, "during": during}).fillna(0.0)
    if table.empty:
        return table.assign(handled_before=0.0, handled_during=0.0, share=0.0, severity=0.0, surprise=0.0)
    impatient = set().union(*(frame.loc[frame["reach"] == "gave up", "service"] for frame in scene.failures))
    for name, served, calls in zip(("handled_before", "handled_during"), scene.served, scene.calls, strict=True):
        # A service that gives up does so once per call it makes, not once per request it serves.
        made = calls[calls["caller"].isin(impatient)].groupby("caller").size()
        counts = [
            served.groupby("service").size(),
            calls.groupby("callee").size(),
            made,
            table[name.replace("handled_", "")],
        ]
        table[name] = pd.concat([count.reindex(table.index).fillna(0.0) for count in counts], axis=1).max(axis=1)
    scale = scene.seconds(DURING) / scene.seconds(BEFORE)
    added = (table["during"] - table["before"] * scale).clip(lower=0.0)
    total = float(added.sum())
    requests = max(scene.arrivals[1] * scene.seconds(DURING), 1.0)
    surprise = share_surprise(
        *(table[c].to_numpy(float) for c in ("before", "handled_before", "during", "handled_during"))
    )
    return table.assign(
        share=added / total if total else 0.0, severity=min(total / requests / _NOTABLE, 1.0), surprise=surprise
    )


class FailureShare:
    """Damage: the share of all added failures that began in a service."""

    name = "failure_share"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service where a tenth or more of the added failures began."""
        table = blamed_failures(scene)
        return [
            self._finding(scene, str(service), row)
            for service, row in table[(table["share"] >= 0.1) & (table["surprise"] > 5)].iterrows()
        ]

    def _finding(self, scene: Scene, service: str, row: pd.Series) -> Evidence:
        mine = scene.failures[1][scene.failures[1]["service"] == service]
        problem = _most_common(mine["problem"])
        reach = _most_common(mine["reach"])
        reporters = ", ".join(sorted(set(mine["reporter"])))
        where = f" (reported by {reporters})" if reach in ("unreachable", "too slow") else ""
        what = {
            "gave up": "of the calls it makes were given up",
            "too slow": "of the calls to it were given up as too slow",
        }
        statement = (
            f"{100 * row['share']:.0f} % of the added failures began in {service}{where}:"
            f" {share(row['during'], row['handled_during'])} {what.get(reach, 'of its requests failed')},"
            f" {share(row['before'], row['handled_before'])} before" + (f"; mostly {problem}." if problem else ".")
        )
        reporter = _most_common(mine["reporter"]) if reach in ("unreachable", "too slow") else service
        return Evidence(
            check=self.name,
            service=service,
            kind="",
            statement=statement,
            query=search(scene, "spans", f"service:{quoted(reporter)} status:error"),
            strength=_WEIGHT * float(row["share"]) * float(row["severity"]),
            onset=mine["time"].min().to_datetime64() if len(mine) else scene.fault[0],
            rows=len(mine),
            component=_most_common(mine["operation"]),
        )


def _most_common(values: pd.Series) -> str:
    counts = values[values != ""].value_counts()
    text = str(counts.index[0]) if len(counts) else ""
    return text if len(text) <= 200 else text[:199] + "\N{HORIZONTAL ELLIPSIS}"


class OwnErrors:
    """Mechanism: requests fail inside the service's own code."""

    name = "own_errors"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service whose own failures became more frequent."""
        table = blamed_failures(scene)
        found = []
        for service, row in table[(table["surprise"] > 10) & (table["share"] >= 0.1)].iterrows():
            mine = scene.failures[1]
            mine = mine[(mine["service"] == service) & (mine["reach"] == "own")]
            if len(mine) < 0.5 * row["during"]:
                continue
            found.append(
                Evidence(
                    check=self.name,
                    service=str(service),
                    kind="errors",
                    statement=f"{len(mine)} failures began in {service}'s own code, in {_most_common(mine['operation'])}"
                    f" first: {_most_common(mine['problem']) or 'no exception was recorded'}.",
                    query=search(scene, "spans", f"service:{quoted(str(service))} status:error"),
                    strength=12.0,
                    onset=mine["time"].min().to_datetime64(),
                    rows=len(mine),
                    component=_most_common(mine["operation"]),
                )
            )
        return found


class DependencyDown:
    """Mechanism: calls to a service or database are not answered, and it serves nothing any more."""

    name = "dependency_down"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per callee most of whose calls go unanswered while the fault lasts."""
        before, during = scene.failures
        found = []
        for callee, rows in during[during["reach"] == "unreachable"].groupby("service"):
            name = str(callee)
            # Once it is back, what had piled up is answered in a rush; the share lost is that of the outage itself.
            outage = scene.calls[1]["time"].between(rows["time"].min(), rows["time"].max())
            calls = int(((scene.calls[1]["callee"] == name) & outage).sum())
            served = [int((frame["service"] == name).sum()) / scene.seconds(p) for p, frame in enumerate(scene.served)]
            lost = len(rows) / max(calls, 1)
            silent = 1.0 - served[1] / served[0] if served[0] else 1.0
            if lost < 0.3 or silent < 0.5:
                continue
            used_to = int((before["service"] == name).sum())
            found.append(
                Evidence(
                    check=self.name,
                    service=name,
                    kind="dependency_down",
                    statement=f"{share(len(rows), calls)} of the calls to {name} got no answer, {used_to} before;"
                    f" it served {served[1]:.2g} requests a second, {served[0]:.2g} before"
                    f" ({_most_common(rows['problem']) or 'no reason recorded'}).",
                    query=search(scene, "spans", f"kind:client status:error @server.address:{quoted(name)}"),
                    strength=32.0 * min(lost * 1.5, 1.0) * silent,
                    onset=rows["time"].min().to_datetime64(),
                    rows=len(rows),
                )
            )
        return found
