"""What the processes used up: CPU, memory, locks; from metrics and profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench import profiles
from workbench.diagnose.checks.wording import quoted
from workbench.diagnose.investigation import Evidence
from workbench.diagnose.resources import CPU_SECONDS, MEMORY_BYTES, resource_series, selector
from workbench.diagnose.scene import BEFORE, DURING, Scene
from workbench.diagnose.window import choose_step
from workbench.signals import Profiles

__all__ = ["CpuSaturation", "LockContention", "MemoryLeak", "Waiting", "lock_waits"]


def _series(scene: Scene) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return labels, values (n, t) and phases (t,) of the CPU and memory series."""
    start, end = scene.telemetry.window
    step = choose_step((start, end))
    n = int((end - start) // step)
    labels, values = resource_series(scene.telemetry.metrics, start, step, n)
    return labels, values, scene.phase(start + step * np.arange(1, n + 1))


def _median(values: np.ndarray, phases: np.ndarray, phase: int) -> np.ndarray:
    part = values[:, phases == phase]
    known = ~np.isnan(part).all(axis=1) if part.size else np.zeros(len(values), bool)
    out = np.full(len(values), np.nan)
    out[known] = np.nanmedian(part[known], axis=1)
    return out


class CpuSaturation:
    """Mechanism: a service burns far more CPU than its traffic explains."""

    name = "cpu"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service whose CPU use rose by a tenth of a core beyond what traffic explains."""
        labels, values, phases = _series(scene)
        before, during = _median(values, phases, BEFORE), _median(values, phases, DURING)
        growth = scene.arrivals[1] / scene.arrivals[0] if scene.arrivals[0] else 1.0
        found = []
        for row in np.flatnonzero((labels["metric"] == "cpu").to_numpy(bool)):
            service = str(labels["service"].iloc[row])
            explained = before[row] * max(growth, 1.0)
            added = during[row] - explained
            if not added > 0.1 or not during[row] > 2 * explained:
                continue
            where, part = self._hot_function(scene, service)
            used = selector(scene.telemetry.metrics, CPU_SECONDS, service)
            told = f", most of it ({100 * part:.0f} %) below {where}" if where else ""
            found.append(
                Evidence(
                    check=self.name,
                    service=service,
                    kind="cpu_saturation",
                    statement=f"{service} used {during[row]:.2f} CPU cores at the median, {before[row]:.2f} before{told}.",
                    query=f"bench.metrics({f'sum(rate({used}[30s]))'!r}, {scene.window_text()})",
                    strength=24.0 * float(np.clip(added / 0.4, 0, 1)),
                    onset=scene.fault[0],
                    rows=int((phases == DURING).sum()),
                    component=where,
                )
            )
        return found

    @staticmethod
    def _hot_function(scene: Scene, service: str) -> tuple[str, float]:
        """Return the function of the service's own code whose share of CPU grew most, and that share during."""
        held = scene.telemetry.profiles
        if not len(held):
            return "", 0.0
        mine = (held.samples["service"] == service).to_numpy() & (held.samples["sample_type"] == "cpu").to_numpy()
        phase = scene.phase(held.samples["time"])
        pair = [profiles.top(held.select(mine & (phase == p)), "cpu") for p in (BEFORE, DURING)]
        if not len(pair[1]):
            return "", 0.0
        shares = [
            t.assign(share=t["total"] / max(float(t["self"].sum()), 1.0)).set_index(["function", "file"])["share"]
            for t in pair
        ]
        gain = shares[1].sub(shares[0].reindex(shares[1].index).fillna(0.0))
        own = [not _foreign(file) for _, file in gain.index]
        gain = gain[own]
        if gain.empty or gain.max() < 0.1:
            return "", 0.0
        # Of the frames on one hot path, which all grew alike, the deepest tells most: the one with the most self time.
        near = gain[gain > 0.8 * gain.max()]
        weight = pair[1].set_index(["function", "file"])["self"].reindex(near.index)
        best = weight.index[int(weight.argmax())]
        return f"{best[0]} ({best[1]})", float(shares[1][best])


def _foreign(file: str) -> bool:
    """Return whether a file belongs to the runtime or an installed package rather than to the service."""
    return file.startswith(("<", "python3", "/usr/lib")) or "site-packages" in file or "/lib/python" in file or not file


class MemoryLeak:
    """Mechanism: the memory of a service grows steadily and does not come back."""

    name = "memory"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service whose memory grew by a fifth and 16 MiB, steadily, while the fault lasted."""
        labels, values, phases = _series(scene)
        found = []
        for row in np.flatnonzero((labels["metric"] == "memory").to_numpy(bool)):
            before, during = (values[row, phases == p] for p in (BEFORE, DURING))
            before, during = before[~np.isnan(before)], during[~np.isnan(during)]
            if len(before) < 3 or len(during) < 3:
                continue
            usual = float(np.median(before))
            wander = float(np.percentile(before, 95) - np.percentile(before, 5))
            # Memory may be given back when the fault ends, so growth is judged up to the peak.
            climb = during[: int(during.argmax()) + 1]
            if len(climb) < max(3, len(during) // 3):
                continue
            peak = float(climb[-1])
            grown = peak - usual
            thirds = [float(np.median(part)) for part in np.array_split(climb, 3)]
            steady = thirds[0] < thirds[1] < thirds[2]
            if grown < max(16.0, 0.2 * usual, 2 * wander) or not steady:
                continue
            service = str(labels["service"].iloc[row])
            minutes = scene.seconds(DURING) / 60 * len(climb) / len(during)
            found.append(
                Evidence(
                    check=self.name,
                    service=service,
                    kind="memory_leak",
                    statement=f"The memory of {service} grew steadily from {usual:.0f} to {peak:.0f} MiB"
                    f" ({grown / minutes:.0f} MiB a minute); it moved within {wander:.0f} MiB before.",
                    query=f"bench.metrics({selector(scene.telemetry.metrics, MEMORY_BYTES, service)!r}, {scene.window_text()})",
                    strength=45.0 * float(np.clip(grown / max(usual, 32.0), 0.4, 1)),
                    onset=scene.fault[0],
                    rows=len(during),
                )
            )
        return found


class LockContention:
    """Mechanism: threads of a service stand at a lock; from wall-clock profiles with native leaves."""

    name = "locks"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return one finding per service whose threads wait for locks half a tenth of a second per second longer."""
        held = scene.telemetry.profiles
        if not len(held):
            return []
        waits, where = lock_waits(held)
        phase = scene.phase(held.samples["time"])
        wall = (held.samples["sample_type"] == "wall").to_numpy()
        value = held.samples["value"].to_numpy() * waits * wall / 1e9
        found = []
        for service in pd.unique(held.samples["service"]):
            mine = (held.samples["service"] == service).to_numpy()
            old, new = (float(value[mine & (phase == p)].sum()) / scene.seconds(p) for p in (BEFORE, DURING))
            if new - old < 0.05 or new < 3 * old:
                continue
            during = mine & (phase == DURING) & (value > 0)
            site = pd.Series(value[during]).groupby(where[during]).sum().idxmax()
            found.append(
                Evidence(
                    check=self.name,
                    service=str(service),
                    kind="lock_contention",
                    statement=f"Threads of {service} stood at locks for {new:.2g} s per second, {old:.2g} before,"
                    f" most at {site}.",
                    query=f"bench.profiles({f'service:{quoted(str(service))}'!r}, sample_type='wall', {scene.window_text()})",
                    strength=26.0 * float(np.clip((new - old) / 0.2, 0.3, 1)),
                    onset=scene.fault[0],
                    rows=int(during.sum()),
                    component=str(site),
                )
            )
        return found


class Waiting:
    """Mechanism: a function of the service waits longer than before, for a call (a slow step) or for the CPU."""

    name = "waiting"

    def run(self, scene: Scene) -> list[Evidence]:
        """Return findings per service: the function that waits in calls, and the one that stands ready without CPU.

        Only profiles with native leaves can tell the two apart; services without any are passed over.
        """
        held = scene.telemetry.profiles
        if not len(held) or not len(held.stacks):
            return []
        site, leaf, native = _waiting_sites(held)
        # Wall time of a sample less its CPU time is waiting; both are rows of the same stack, so signs add them up.
        sign = np.select(
            [held.samples["sample_type"] == "wall", held.samples["sample_type"] == "cpu"], [1.0, -1.0], 0.0
        )
        table = pd.DataFrame(
            {
                "service": held.samples["service"].to_numpy(object),
                "native": native,
                "site": site,
                "leaf": leaf,
                "phase": scene.phase(held.samples["time"]),
                "seconds": held.samples["value"].to_numpy() * sign / 1e9,
            }
        )
        telling = set(table.loc[table["native"], "service"])
        table = table[(table["site"] != "") & ~lock_waits(held)[0] & table["service"].isin(telling)]
        by = ["service", "native", "site"]
        sums = (
            table.groupby([*by, "phase"])["seconds"]
            .sum()
            .unstack("phase")
            .reindex(columns=[BEFORE, DURING])
            .fillna(0.0)
        )
        rates = pd.DataFrame({"old": sums[BEFORE] / scene.seconds(BEFORE), "new": sums[DURING] / scene.seconds(DURING)})
        grown = rates[(rates["new"] - rates["old"] > 0.05) & (rates["new"] > 3 * rates["old"])].reset_index()
        top = grown.sort_values("new", ascending=False).drop_duplicates(["service", "native"])
        during = table[table["phase"] == DURING]
        return [self._finding(scene, row, during) for _, row in top.iterrows()]

    def _finding(self, scene: Scene, row: pd.Series, during: pd.DataFrame) -> Evidence:
        service, where, native = str(row["service"]), str(row["site"]), bool(row["native"])
        mine = during[(during["service"] == service) & (during["site"] == where) & (during["native"] == native)]
        leaf = str(mine.groupby("leaf")["seconds"].sum().idxmax())
        what = f"waited in {where} ({leaf})" if native else f"stood ready without CPU in {where}"
        return Evidence(
            check=self.name,
            service=service,
            kind="latency" if native else "cpu_saturation",
            statement=f"Threads of {service} {what} for {row['new']:.2g} s per second, {row['old']:.2g} before.",
            query=f"bench.profiles({f'service:{quoted(service)}'!r}, sample_type='wall', {scene.window_text()})",
            strength=6.0,
            onset=scene.fault[0],
            rows=len(mine),
            component=where,
        )


def _waiting_sites(held: Profiles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each sample the deepest function of the service's own code, the leaf, and whether the leaf is native.

    The function is "" for none. A native leaf means that the thread is in a call, not merely without the CPU.
    """
    frame, parent = held.stacks["frame"].to_numpy(), held.stacks["parent"].to_numpy()
    name = held.frames["function"].to_numpy(object)
    file = held.frames["file"].to_numpy(object)
    own = np.array([not _foreign(f) for f in file], bool)[frame]
    n = len(frame)
    hop = np.where(own | (parent < 0), np.arange(n), parent)
    while not np.array_equal(hop, hop[hop]):
        hop = hop[hop]
    stack = held.samples["stack"].to_numpy()
    row = np.maximum(stack, 0)
    inside = (stack >= 0) & own[hop[row]]
    native = np.array([f.startswith("<native") for f in file], bool)[frame[row]]
    return np.where(inside, name[frame[hop[row]]], ""), np.where(stack >= 0, name[frame[row]], ""), native


def lock_waits(held: Profiles) -> tuple[np.ndarray, np.ndarray]:
    """Return which samples wait for a lock (bool, shape (m,)) and the function that waits (str objects, shape (m,)).

    A wait for a lock ends in a native frame that enters a `with` or calls `acquire`, or in a named lock primitive of
    another runtime. Idle workers also end in `acquire`, inside the runtime's own queues and conditions; those do not
    count.
    """
    frames, stacks = held.frames, held.stacks
    name = frames["function"].to_numpy(object)
    native = np.array(
        [n.endswith((".__enter__", ".acquire")) or "lock_slow" in n or "futex_wait" in n for n in name], bool
    )
    runtime = np.array([_foreign(f) and not f.startswith("<native") for f in frames["file"].to_numpy(object)], bool)
    frame = stacks["frame"].to_numpy()
    parent = stacks["parent"].to_numpy()
    above = np.where(parent >= 0, frame[parent], 0) if len(frame) else frame
    waiting = native[frame] & (parent >= 0) & ~runtime[above] if len(frame) else np.zeros(0, bool)
    leaf = held.samples["stack"].to_numpy()
    known = leaf >= 0
    hit = np.zeros(len(leaf), bool)
    hit[known] = waiting[leaf[known]]
    site = np.full(len(leaf), "", object)
    site[hit] = name[above[leaf[hit]]]
    return hit, site
