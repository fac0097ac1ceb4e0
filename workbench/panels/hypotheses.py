"""Hypotheses: what probably broke, how sure that is, and the evidence each claim rests on.

An investigation that abstains says why instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Window
from workbench.panels.data import Card, Finding, HypothesesData
from workbench.panels.figure import Drawing, Figure
from workbench.panels.interactive import views
from workbench.panels.static import hypotheses as static

__all__ = ["Hypotheses", "prepare"]

_CARDS, _FINDINGS = 5, 8


def prepare(
    hypotheses: Sequence[Hypothesis],
    *,
    summary: str = "",
    abstained: bool = False,
    window: Window | None = None,
    fault: Window | None = None,
    seconds: float = 0.0,
    title: str = "What probably broke",
    cards: int = _CARDS,
) -> HypothesesData:
    """Return the cards of ranked hypotheses.

    Parameters
    ----------
    hypotheses : sequence of Hypothesis
        Most likely first.
    summary : str
        One sentence: the finding, or why there is none.
    abstained : bool
        Whether no hypothesis is offered.
    """
    made = tuple(
        Card(rank, h.service, h.component, h.kind, h.probability, _findings(h.evidence))
        for rank, h in enumerate(hypotheses[:cards], 1)
    )
    none = abstained or not made
    if none and not summary:
        summary = "Nothing in this window stands out enough from normal to name a suspect."
    return HypothesesData(
        "No suspect named" if none else title,
        summary,
        none,
        window,
        fault,
        made,
        max(0, len(hypotheses) - cards),
        seconds,
    )


def _findings(evidence: Sequence[Evidence]) -> tuple[Finding, ...]:
    ranked = sorted(evidence, key=lambda e: -e.strength)[:_FINDINGS]
    return tuple(Finding(e.check, e.statement, e.query, e.strength, e.onset, e.rows) for e in ranked)


class Hypotheses:
    """The panel `hypotheses`."""

    name: ClassVar[str] = "hypotheses"
    drawing: ClassVar[Drawing] = Drawing(static.text, static.html, views.hypotheses)

    def prepare(self, *inputs: Any, **options: Any) -> HypothesesData:
        """Return cards of hypotheses; see `prepare`."""
        return prepare(*inputs, **options)

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the conclusion of an investigation, or cards of hypotheses given."""
        if not (inputs and isinstance(inputs[0], Investigation)):
            return Figure(self.name, prepare(*inputs, **options), self.drawing)
        found = inputs[0]
        told: dict[str, Any] = {
            "summary": found.summary, "abstained": found.abstained, "window": found.window, "fault": found.fault,
            "seconds": found.seconds,
        }  # fmt: skip
        return Figure(self.name, prepare(found.hypotheses, **(told | options)), self.drawing)
