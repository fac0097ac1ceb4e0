"""The driver of an investigation; it reads as a list of steps."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench import registry, traces
from workbench.diagnose.fuse import rank
from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Telemetry, Window
from workbench.diagnose.scene import Facts, Scene, build_facts
from workbench.diagnose.stretches import cut, stretches
from workbench.diagnose.window import choose_step, find_window, signal_block
from workbench.errors import NotFound, closest

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["investigate"]

_LOOK_BACK = np.timedelta64(45, "s")
_FEW_STEPS = 18
"""Steps of telemetry below which silence says nothing: the scores need a dozen to learn what is usual."""


def investigate(telemetry: Telemetry, service: str | None = None) -> Investigation:
    """Find the fault window, gather evidence, and rank what could explain it.

    Parameters
    ----------
    telemetry : Telemetry
        The shapes of one window that begins with some normal minutes. Where it holds holes, each stretch of unbroken
        telemetry is looked at for itself, and the one that stands out most is explained.
    service : str, optional
        Only suspect this service and what it calls, directly or not.

    Returns
    -------
    Investigation
        It abstains where nothing stands out, or where no hypothesis beats "nothing in particular".

    Raises
    ------
    NotFound
        If `service` is not in the telemetry.
    """
    began = clock.perf_counter()
    suspects = _suspects(traces.service_map(telemetry.spans).graph, service)
    seen = [_look(cut(telemetry, window)) for window in stretches(telemetry) or [telemetry.window]]
    best = max(seen, key=lambda look: look.weight)
    hypotheses = _explain(best, suspects)
    # Two kinds of one service share its probability; the service is what has to be likelier than not.
    accepted = sum(h.probability for h in hypotheses if h.service == hypotheses[0].service) >= 0.5
    return Investigation(
        window=best.telemetry.window,
        baseline=best.baseline,
        fault=best.fault,
        abstained=not accepted,
        summary=_summary(hypotheses if accepted else (), best, service) + _elsewhere(best, seen),
        hypotheses=hypotheses if accepted else (),
        anomalies=best.anomalies,
        telemetry=best.telemetry,
        seconds=clock.perf_counter() - began,
    )


@dataclass(frozen=True, eq=False)
class _Look:
    """What one stretch of telemetry shows."""

    telemetry: Telemetry
    facts: Facts
    fault: Window | None
    baseline: Window | None
    weight: float
    anomalies: pd.DataFrame


def _look(telemetry: Telemetry) -> _Look:
    facts = build_facts(telemetry.spans)
    fault, weight, anomalies = find_window(signal_block(telemetry, facts))
    fault = None if fault is None else _from_first_failure(fault, facts)
    baseline = None if fault is None else _baseline(telemetry, fault)
    return _Look(telemetry, facts, fault, baseline, weight, anomalies)


def _explain(look: _Look, suspects: set[str] | None) -> tuple[Hypothesis, ...]:
    if look.fault is None or look.baseline is None:
        return ()
    scene = Scene(look.telemetry, look.facts, look.baseline, look.fault)
    evidence = [item for item in gather(scene) if suspects is None or item.service in suspects]
    return rank(evidence, traces.service_map(look.telemetry.spans).graph)


def gather(scene: Scene) -> list[Evidence]:
    """Run every registered check over a scene."""
    checks = registry.load_all("workbench.checks")
    return [item for name in sorted(checks) for item in checks[name]().run(scene) if item.strength > 0]


def _suspects(graph: nx.DiGraph[Any], service: str | None) -> set[str] | None:
    if service is None:
        return None
    import networkx as nx

    if service not in graph:
        near = closest(service, graph.nodes)
        hint = f"; did you mean {near!r}?" if near else "."
        raise NotFound(
            f"no span is from service {service!r}: known are {', '.join(sorted(graph.nodes)) or 'none'}{hint}"
        )
    return {service, *nx.descendants(graph, service)}


def _from_first_failure(fault: Window, facts: Facts) -> Window:
    """Return the window begun at the first failure, where failures began shortly before it and there were none earlier.

    Rare failures take a while to add up to a sign; looking back, the first of them is the onset.
    """
    before = facts.failures["time"].to_numpy()
    before = before[before < fault[0]]
    if len(before) and before.min() >= fault[0] - _LOOK_BACK:
        return before.min(), fault[1]
    return fault


def _baseline(telemetry: Telemetry, fault: Window) -> Window | None:
    """Return the time before the fault, one step short of it; None when it is shorter than three steps."""
    step = choose_step(telemetry.window)
    end = fault[0] - step
    return (telemetry.window[0], end) if end - telemetry.window[0] >= 3 * step else None


def _summary(hypotheses: tuple[Hypothesis, ...], look: _Look, service: str | None) -> str:
    start, stop = (_clock(t) for t in look.telemetry.window)
    steps = int((look.telemetry.window[1] - look.telemetry.window[0]) // choose_step(look.telemetry.window))
    if look.telemetry.spans.empty and look.telemetry.logs.empty and not look.telemetry.metrics.n_samples:
        return f"There is no telemetry from {start} to {stop} UTC: widen the window."
    if look.fault is None and steps < _FEW_STEPS:
        return f"The telemetry from {start} to {stop} UTC is too short to tell normal from not; widen the window."
    if look.fault is None:
        return f"From {start} to {stop} UTC nothing stands out from its own past; no hypothesis is offered."
    begin, end = (_clock(t) for t in look.fault)
    if look.baseline is None:
        return (
            f"Something stands out from {begin} UTC, but too little normal time lies before it to compare with;"
            " begin the window earlier."
        )
    if not hypotheses:
        where = f" in {service} or what it calls" if service else ""
        return f"Signals moved between {begin} and {end} UTC, but nothing{where} explains it well; no hypothesis is offered."
    top = hypotheses[0]
    probability = sum(h.probability for h in hypotheses if h.service == top.service)
    told = f"{probability:.2f}" if probability < 0.995 else "over 0.99"
    seconds = float((look.fault[1] - look.fault[0]) / np.timedelta64(1, "s"))
    day = str(look.fault[0].astype("datetime64[D]"))
    lasted = (
        "and was still going on at the end"
        if look.fault[1] >= look.telemetry.window[1]
        else f"and lasted {seconds:.0f} s"
    )
    return (
        f"{top.service} is the most likely culprit ({top.kind.replace('_', ' ')}, probability {told});"
        f" it began about {day} {begin} UTC {lasted}."
    )


def _elsewhere(best: _Look, seen: list[_Look]) -> str:
    """Return a sentence on other stretches of the window in which something moved too, "" for none."""
    others = [_clock(look.fault[0], day=True) for look in seen if look is not best and look.fault is not None]
    return (
        f" Something moved about {', '.join(sorted(others))} UTC too: narrow the window to look there."
        if others
        else ""
    )


def _clock(instant: np.datetime64, day: bool = False) -> str:
    return pd.Timestamp(instant).strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")
