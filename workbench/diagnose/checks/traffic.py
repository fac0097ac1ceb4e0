"""More work arrived: from outside (a surge), or made inside by a caller that repeats itself (a retry storm)."""

from __future__ import annotations

import numpy as np

from workbench.diagnose.checks.wording import quoted, search
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.measures import rate_surprise
from workbench.diagnose.scene import BEFORE, DURING, Scene

__all__ = ["RetryStorm", "TrafficSurge"]


class TrafficSurge:
    """Mechanism: the system is asked far more often than before."""

    name = "traffic_surge"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding for the service where most of the added requests enter."""
        before, during = (frame[frame["root"]].groupby("service").size() for frame in scene.served)
        if during.empty:
            return []
        gain = (during / scene.seconds(DURING)).sub(before / scene.seconds(BEFORE), fill_value=0.0)
        service = str(gain.idxmax())
        old, new = scene.arrivals
        n_old, n_new = old * scene.seconds(BEFORE), new * scene.seconds(DURING)
        surprise = float(
            rate_surprise(np.array([n_old]), scene.seconds(BEFORE), np.array([n_new]), scene.seconds(DURING))[0]
        )
        ratio = new / old if old else np.inf
        if ratio < 1.7 or surprise < 20:
            return []
        return [
            Evidence(
                check=self.name,
                service=service,
                kind="traffic_surge",
                statement=f"{new:.3g} requests a second entered through {service}, {old:.3g} before ({ratio:.2g} times).",
                query=search(scene, "spans", f"service:{quoted(service)} kind:server"),
                # A surge slows everything behind it, so it has to outweigh the damage seen further down.
                strength=70.0 * float(np.clip((ratio - 1) / 2, 0, 1)),
                onset=scene.fault[0],
                rows=int(n_new),
            )
        ]


class RetryStorm:
    """Mechanism: a caller makes several times as many calls per request as before, and the callee really gets them."""

    name = "retry_storm"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per caller and callee whose calls multiplied beyond the traffic."""
        per_request = []
        for phase, calls, served in zip((BEFORE, DURING), scene.calls, scene.served, strict=True):
            # A request that makes no such call must not dilute the ratio: traffic may shift between operations.
            pairs = calls[calls["connection"] == ""].groupby(["caller", "callee", "operation"]).size()
            requests = max(int(served["root"].sum()), 1)
            per_request.append((pairs.groupby(level=[0, 1]).sum(), requests, scene.seconds(phase)))
        (before, n_before, _), (during, n_during, _) = per_request
        found = []
        for (caller, callee), count in zip(during.index.tolist(), during.tolist(), strict=True):
            usual = float(before.get((caller, callee), 0.0)) / n_before
            now = count / n_during
            if usual <= 0 or now / usual < 1.8:
                continue
            gave_up = scene.failures[1]
            gave_up = gave_up[(gave_up["reporter"] == caller) & (gave_up["callee"] == callee)]
            if (gave_up["reach"] == "too slow").sum() > 0.5 * len(gave_up):
                # Calls repeated because the callee is slow follow from that; a storm makes its own trouble.
                continue
            answered = self._served_ratio(scene, str(callee))
            if answered < 1.5:
                continue
            found.append(self._finding(scene, str(caller), str(callee), usual, now, len(gave_up), int(count)))
        return found

    @staticmethod
    def _served_ratio(scene: Scene, callee: str) -> float:
        old, new = ((frame["service"] == callee).sum() / max(int(frame["root"].sum()), 1) for frame in scene.served)
        return float(new / old) if old else 0.0

    def _finding(
        self, scene: Scene, caller: str, callee: str, usual: float, now: float, gave_up: int, count: int
    ) -> Evidence:
        return Evidence(
            check=self.name,
            service=caller,
            kind="retry_storm",
            statement=f"{caller} calls {callee} {now:.2g} times per request entering the system, {usual:.2g} before"
            f" ({now / usual:.2g} times); it gave up on {gave_up} of {count} calls, and {callee} did the work all the same.",
            query=search(scene, "spans", f"service:{quoted(caller)} kind:client @server.address:{quoted(callee)}"),
            strength=50.0 * float(np.clip((now / usual - 1) / 1.5, 0, 1)),
            onset=scene.fault[0],
            rows=count,
            component=f"calls to {callee}",
        )
