"""Evidence to ranked hypotheses.

A hypothesis is a service and a kind of fault. Its weight is the damage that arises in the service (evidence of kind "")
plus the mechanism that explains it (evidence of its own kind), in decibans; weights become probabilities as odds do,
with "nothing in particular" always among the candidates. A plain kind (latency, errors) stands in where damage is seen
and no mechanism is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.diagnose.investigation import Evidence, Hypothesis

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["NOTHING", "rank"]

NOTHING = 16.0
"""Decibans of the candidate "nothing in particular", which every hypothesis has to beat."""
_MOST = 80.0
"""Most decibans of one hypothesis: no evidence makes certain."""

_PLAIN = {"latency_share": "latency", "failure_share": "errors"}
_DAMAGE = frozenset(_PLAIN)
_PLAIN_BONUS = 4.0
_LEAST = 0.001
"""Probability below which a hypothesis is not worth a reader's time."""
_REACH_BONUS = 5.0


def rank(evidence: Sequence[Evidence], graph: nx.DiGraph[Any], most: int = 5) -> tuple[Hypothesis, ...]:
    """Return hypotheses with probabilities that sum to at most one, most likely first.

    Parameters
    ----------
    evidence : sequence of Evidence
    graph : DiGraph
        Callers point to callees.
    most : int, optional
        How many to return at most.
    """
    general: dict[str, list[Evidence]] = defaultdict(list)
    special: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for item in evidence:
        if item.kind:
            special[item.service, item.kind].append(item)
        else:
            general[item.service].append(item)
    for service, items in general.items():
        for item in items:
            plain = _PLAIN.get(item.check)
            if plain:
                special.setdefault((service, plain), [])
    hurt = {service for service, items in general.items() if any(i.check in _DAMAGE for i in items)}
    weights = {
        (service, kind): _weight(service, kind, items, general.get(service, []), hurt, graph)
        for (service, kind), items in special.items()
    }
    total = 10 ** (NOTHING / 10) + sum(10 ** (w / 10) for w in weights.values())
    ordered = sorted(weights, key=lambda key: (-weights[key], key))[:most]
    return tuple(
        Hypothesis(
            service=service,
            component=_component(special[service, kind], general.get(service, [])),
            kind=kind,
            probability=10 ** (weights[service, kind] / 10) / total,
            evidence=tuple(sorted([*special[service, kind], *general.get(service, [])], key=lambda e: -e.strength)),
        )
        for service, kind in ordered
        if weights[service, kind] > 0 and 10 ** (weights[service, kind] / 10) / total >= _LEAST
    )


def _weight(
    service: str, kind: str, own: list[Evidence], general: list[Evidence], hurt: set[str], graph: nx.DiGraph[Any]
) -> float:
    """Return the decibans of one hypothesis."""
    # A plain kind stands for its own sort of damage only; a mechanism may explain both.
    plain = kind in _PLAIN.values()
    damage = sum(i.strength for i in general if i.check in _DAMAGE and (not plain or _PLAIN[i.check] == kind))
    hints = sum(item.strength for item in general if item.check not in _DAMAGE)
    weight = damage + sum(item.strength for item in own)
    if weight <= 0:
        return 0.0
    if plain and damage > 0:
        weight += _PLAIN_BONUS
    return min(weight + min(hints, 8.0) + _REACH_BONUS * _reach(service, hurt, graph), _MOST)


def _reach(service: str, hurt: set[str], graph: nx.DiGraph[Any]) -> float:
    """Return the share of the other damaged services that lie upstream: damage travels from callee to caller."""
    import networkx as nx

    others = hurt - {service}
    if not others or service not in graph:
        return 0.0
    return len(others & nx.ancestors(graph, service)) / len(others)


def _component(own: list[Evidence], general: list[Evidence]) -> str:
    named = [item for item in [*own, *general] if item.component]
    return max(named, key=lambda item: (item in own, item.strength)).component if named else ""
