"""Evidence to ranked hypotheses."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from workbench.diagnose.fuse import NOTHING, rank
from workbench.diagnose.investigation import Evidence
from workbench.signals import FAULT_KINDS


def finding(check: str, service: str, kind: str, strength: float, component: str = "") -> Evidence:
    return Evidence(check, service, kind, f"{check} of {service}", "bench.spans('')", strength, component=component)


GRAPH: nx.DiGraph[str] = nx.DiGraph([("gateway", "cart"), ("cart", "stock")])


def test_damage_without_a_mechanism_is_plain() -> None:
    (top,) = rank([finding("latency_share", "cart", "", 28.0)], GRAPH)
    assert (top.service, top.kind) == ("cart", "latency")
    assert top.probability > 0.9


def test_a_mechanism_beats_the_plain_kind_of_the_same_service() -> None:
    evidence = [finding("latency_share", "stock", "", 28.0), finding("cpu", "stock", "cpu_saturation", 20.0, "plan")]
    top = rank(evidence, GRAPH)[0]
    assert (top.service, top.kind, top.component) == ("stock", "cpu_saturation", "plan")
    assert [item.check for item in top.evidence] == ["latency_share", "cpu"]


def test_damage_upstream_speaks_for_the_callee() -> None:
    evidence = [finding("latency_share", "cart", "", 15.0), finding("failure_share", "stock", "", 15.0)]
    assert rank(evidence, GRAPH)[0].service == "stock"


def test_weak_evidence_stays_below_even_odds() -> None:
    hypotheses = rank([finding("latency_share", "cart", "", NOTHING - 8.0)], GRAPH)
    assert all(h.probability < 0.5 for h in hypotheses)
    assert rank([], GRAPH) == ()


@given(
    st.lists(
        st.builds(
            finding,
            st.sampled_from(["latency_share", "failure_share", "cpu", "messages"]),
            st.sampled_from(["gateway", "cart", "stock", "elsewhere"]),
            st.sampled_from(["", *FAULT_KINDS]),
            st.floats(0, 60),
        ),
        max_size=12,
    )
)
def test_probabilities_are_ordered_and_leave_room_for_nothing(evidence: list[Evidence]) -> None:
    hypotheses = rank(evidence, GRAPH)
    shares = [h.probability for h in hypotheses]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) < 1.0
    assert len({(h.service, h.kind) for h in hypotheses}) == len(hypotheses)
    assert all(h.kind in FAULT_KINDS for h in hypotheses)
