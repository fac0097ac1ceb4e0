"""What an investigation is: the evidence it looked at, what it concluded, and what it rests on.

`Telemetry` is the input (the shapes of one window), `Evidence` one finding of one check, `Hypothesis` a ranked suspect,
`Investigation` the whole result, which `show` turns into pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from workbench.signals import Profiles, Samples

__all__ = ["Evidence", "Hypothesis", "Investigation", "Telemetry", "Window"]

Window: TypeAlias = tuple[np.datetime64, np.datetime64]
"""A half-open window `[start, end)` of `datetime64[ns]`, naive UTC."""


@dataclass(frozen=True, eq=False)
class Telemetry:
    """The shapes of one window, as an investigation reads them; an empty shape means that signal is absent."""

    window: Window
    metrics: Samples
    logs: pd.DataFrame
    spans: pd.DataFrame
    profiles: Profiles
    events: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Evidence:
    """One finding of one check about one service.

    Attributes
    ----------
    check : str
        Name of the check.
    service : str
        The service (or database, queue, external peer) it speaks about.
    kind : str
        The fault kind it speaks for, one of `workbench.signals.FAULT_KINDS`; "" for damage, whatever the cause.
    statement : str
        One sentence with figures, before and after, with units.
    query : str
        What to type to see the rows it rests on (`bench.spans("...")`, `bench.logs("...")`, `bench.metrics("...")`).
    strength : float
        Weight in decibans (10 = ten to one), set by hand per check and scaled by what was measured.
    onset : datetime64[ns]
        First instant at which it held; NaT when it has none.
    rows : int
        How many rows or samples it rests on.
    component : str
        Operation, function, table or metric inside the service, "" when the service as a whole.
    """

    check: str
    service: str
    kind: str
    statement: str
    query: str
    strength: float
    onset: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))
    rows: int = 0
    component: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as plain JSON types."""
        onset = None if np.isnat(self.onset) else f"{self.onset}Z"
        return {
            "check": self.check,
            "statement": self.statement,
            "query": self.query,
            "strength": round(self.strength, 2),
            "onset": onset,
            "rows": self.rows,
        }


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A suspect: where (`service`, `component`), what (`kind`), how likely (`probability`, 0-1), and why."""

    service: str
    component: str
    kind: str
    probability: float
    evidence: tuple[Evidence, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the hypothesis as plain JSON types."""
        return {
            "service": self.service,
            "component": self.component,
            "kind": self.kind,
            "probability": round(self.probability, 4),
            "evidence": [item.to_json() for item in self.evidence],
        }


@dataclass(frozen=True, eq=False)
class Investigation:
    """The result of one investigation.

    Attributes
    ----------
    window : (datetime64[ns], datetime64[ns])
        What was looked at: the stretch of unbroken telemetry that stood out most, inside what was asked for.
    baseline, fault : (datetime64[ns], datetime64[ns]) or None
        The part taken as normal and the part taken as faulty; `fault` is None when nothing stood out.
    abstained : bool
        Whether no hypothesis is offered.
    summary : str
        One sentence: the finding, or why there is none.
    hypotheses : tuple of Hypothesis
        Most likely first.
    anomalies : DataFrame
        Events of kind "anomaly", with `score`, `detector`, `series`.
    telemetry : Telemetry
        The shapes it read.
    seconds : float
        Wall time it took.
    """

    window: Window
    baseline: Window | None
    fault: Window | None
    abstained: bool
    summary: str
    hypotheses: tuple[Hypothesis, ...]
    anomalies: pd.DataFrame
    telemetry: Telemetry
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON types, in the form `workbench investigate --json` prints."""

        def pair(window: Window | None) -> list[str] | None:
            return None if window is None else [f"{window[0]}Z", f"{window[1]}Z"]

        return {
            "window": pair(self.window),
            "baseline": pair(self.baseline),
            "fault": pair(self.fault),
            "abstained": self.abstained,
            "summary": self.summary,
            "hypotheses": [hypothesis.to_json() for hypothesis in self.hypotheses],
            "seconds": round(self.seconds, 3),
        }

    def show(self, panel: str = "hypotheses") -> Any:
        """Return one panel of this investigation: timeline, metric, service_map, flame, templates or hypotheses."""
        from workbench import registry

        return registry.load("workbench.panels", panel)().figure(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.show()._repr_mimebundle_(include, exclude)
