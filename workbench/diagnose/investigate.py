"""The driver of an investigation; it reads as a list of steps."""

from __future__ import annotations

import time as clock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench import registry, traces
from workbench.diagnose.fuse import NOTHING, rank
from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Telemetry, Window
from workbench.diagnose.scene import Facts, Scene, build_facts
from workbench.diagnose.window import choose_step, find_window, signal_block
from workbench.errors import NotFound, closest

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["investigate"]

_LOOK_BACK = np.timedelta64(45, "s")


def investigate(telemetry: Telemetry, service: str | None = None) -> Investigation:
    """Find the fault window, gather evidence, and rank what could explain it.

    Parameters
    ----------
    telemetry : Telemetry
        The shapes of one window that begins with some normal minutes.
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
    facts = build_facts(telemetry.spans)
    graph = traces.service_map(telemetry.spans).graph
    suspects = _suspects(graph, service)
    block = signal_block(telemetry, facts)
    fault, anomalies = find_window(telemetry, block)
    fault = None if fault is None else _from_first_failure(fault, facts)
    baseline = None if fault is None else _baseline(telemetry, fault)
    hypotheses: tuple[Hypothesis, ...] = ()
    if fault is not None and baseline is not None:
        scene = Scene(telemetry, facts, baseline, fault)
        evidence = [item for item in gather(scene) if suspects is None or item.service in suspects]
        hypotheses = rank(evidence, graph)
    accepted = bool(hypotheses) and hypotheses[0].probability >= 0.5
    return Investigation(
        window=telemetry.window,
        baseline=baseline,
        fault=fault,
        abstained=not accepted,
        summary=_summary(hypotheses if accepted else (), fault, baseline),
        hypotheses=hypotheses if accepted else (),
        anomalies=anomalies,
        telemetry=telemetry,
        seconds=clock.perf_counter() - began,
    )


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


def _summary(hypotheses: tuple[Hypothesis, ...], fault: Window | None, baseline: Window | None) -> str:
    if fault is None:
        return "Nothing in this window stands out from its own past; no hypothesis is offered."
    begin, end = (pd.Timestamp(t).strftime("%H:%M:%S") for t in fault)
    if baseline is None:
        return f"Something stands out from {begin} UTC, but too little normal time lies before it to compare with."
    if not hypotheses:
        return (
            f"Signals moved between {begin} and {end} UTC, but no explanation is more likely than chance"
            f" (threshold {NOTHING:.0f} decibans); no hypothesis is offered."
        )
    top = hypotheses[0]
    seconds = float((fault[1] - fault[0]) / np.timedelta64(1, "s"))
    return (
        f"{top.service} is the most likely culprit ({top.kind.replace('_', ' ')}, probability {top.probability:.2f});"
        f" it began about {begin} UTC and lasted {seconds:.0f} s."
    )
