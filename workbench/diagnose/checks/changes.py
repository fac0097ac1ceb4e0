"""What was changed shortly before: deploys that brought the damage with them, flags and settings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.diagnose.checks.failures import blamed_failures
from workbench.diagnose.checks.latency import slowness
from workbench.diagnose.checks.wording import quoted, search, share
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.scene import Scene

__all__ = ["BadDeploy", "RecentChange"]

_LEAD_S = 60
_LEAD = np.timedelta64(_LEAD_S, "s")
_LAG = np.timedelta64(20, "s")


def _nearby(scene: Scene, kinds: tuple[str, ...]) -> pd.DataFrame:
    """Return the changes between a minute before the onset and 20 seconds after it (the grid is that coarse)."""
    events = scene.telemetry.events
    onset = scene.fault[0]
    near = events["time"].between(onset - _LEAD, onset + _LAG)
    return events[near & events["kind"].isin(kinds)]


def damage(scene: Scene, service: str) -> float:
    """Return the larger of a service's shares of the added time and the added failures, 0-1, severity included."""
    slow = slowness(scene)
    late = float((slow["share"] * slow["severity"])[slow["blamed"] == service].sum())
    failed = blamed_failures(scene)
    lost = float((failed["share"] * failed["severity"]).get(service, 0.0))
    return max(late, lost)


class BadDeploy:
    """Mechanism: a new version began to run when the damage began, in the service where the damage is."""

    name = "deploy"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per deploy near the onset whose service holds a fifth or more of the damage."""
        found = []
        for _, event in _nearby(scene, ("deploy",)).iterrows():
            service = str(event["service"])
            part = damage(scene, service)
            if part < 0.2:
                continue
            told, certain = self._by_version(scene, service, event["time"].to_datetime64())
            lead = float((scene.fault[0] - event["time"].to_datetime64()) / np.timedelta64(1, "s"))
            when = f"{abs(lead):.0f} s {'before' if lead >= 0 else 'after'} the onset seen"
            found.append(
                Evidence(
                    check=self.name,
                    service=service,
                    kind="bad_deploy",
                    statement=f"{event['title']}, {when}.{told}",
                    query=search(scene, "events", f"kind:deploy service:{quoted(service)}", lead_s=_LEAD_S),
                    strength=30.0 * min(part * 1.5, 1.0) * certain,
                    onset=event["time"].to_datetime64(),
                    rows=1,
                    component=event["version"] if isinstance(event.get("version"), str) else "",
                )
            )
        return found

    @staticmethod
    def _by_version(scene: Scene, service: str, moved: np.datetime64) -> tuple[str, float]:
        """Return what the failures say about the version they ran in, and how far it fits a bad deploy (0-1)."""
        mine = scene.failures[1]
        mine = mine[(mine["service"] == service) & (mine["reach"] == "own")]
        if mine.empty or (mine["version"] == "").all():
            return "", 0.8
        version = str(mine["version"].mode().iloc[0])
        share_new = float((mine["version"] == version).mean())
        early = scene.telemetry.spans
        known = "version" in early.columns and bool(
            ((early["service"] == service) & (early["version"] == version) & (early["time"] < moved - _LAG)).any()
        )
        if known:
            return f" Version {version}, in which the failures are, ran without them before.", 0.2
        return (
            f" {share((share_new * len(mine)), len(mine))} of its failures are in version {version}, new since then.",
            1.0,
        )


class RecentChange:
    """Hint: a flag, setting or scaling was changed just before the onset; it counts where there is damage too."""

    name = "change"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per change near the onset."""
        return [self._finding(scene, event) for _, event in _nearby(scene, ("flag", "config", "scale")).iterrows()]

    def _finding(self, scene: Scene, event: pd.Series) -> Evidence:
        words = f"kind:{event['kind']} service:{quoted(str(event['service']))}"
        onset = pd.Timestamp(scene.fault[0])
        return Evidence(
            check=self.name,
            service=str(event["service"]),
            kind="",
            statement=f"{event['title']} at {event['time']:%H:%M:%S}, near the onset at {onset:%H:%M:%S}.",
            query=search(scene, "events", words, lead_s=_LEAD_S),
            strength=4.0,
            onset=event["time"].to_datetime64(),
            rows=1,
        )
