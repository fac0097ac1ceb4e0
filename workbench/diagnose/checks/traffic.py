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
        if old <= 0 or new < 1.7 * old or surprise < 20:
            return []
        ratio = new / old
        return [
            Evidence(
                check=self.name,
                service=service,
                kind="traffic_surge",
                statement=f"{new:.3g} requests a second entered, most through {service}, {old:.3g} before ({ratio:.2g} times).",
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
        """Return one finding per caller and callee whose calls multiplied within one request."""
        # Calls are counted per request that makes any, so a shift of traffic between operations changes nothing.
        before, during = (
            frame[frame["connection"] == ""]
            .groupby(["caller", "callee"])
            .agg(calls=("home", "size"), homes=("home", "nunique"))
            for frame in scene.calls
        )
        table = during.join(before.add_suffix("_before"), how="inner")
        found = []
        for (caller, callee), row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
            usual, now = row["calls_before"] / row["homes_before"], row["calls"] / row["homes"]
            if now < 1.8 * usual:
                continue
            failed = scene.failures[1]
            failed = failed[(failed["reporter"] == caller) & (failed["callee"] == callee)]
            # Repeating calls to a callee that is lost or slow follows from that; a storm makes its own trouble.
            gave_up = int((failed["reach"] == "gave up").sum())
            if gave_up < max(3, 0.3 * row["calls"]):
                continue
            found.append(self._finding(scene, str(caller), str(callee), usual, now, gave_up, int(row["calls"])))
        return found

    def _finding(
        self, scene: Scene, caller: str, callee: str, usual: float, now: float, gave_up: int, count: int
    ) -> Evidence:
        return Evidence(
            check=self.name,
            service=caller,
            kind="retry_storm",
            statement=f"{caller} calls {callee} {now:.2g} times in a request that needs it, {usual:.2g} times before;"
            f" it gave up on {gave_up} of {count} calls, and {callee} did the work all the same.",
            query=search(scene, "spans", f"service:{quoted(caller)} kind:client @server.address:{quoted(callee)}"),
            strength=50.0 * float(np.clip((now / usual - 1) / 1.5, 0, 1)),
            onset=scene.fault[0],
            rows=count,
            component=f"calls to {callee}",
        )
