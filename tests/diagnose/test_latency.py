"""Queueing is handed on to what keeps the serving service busy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workbench.diagnose.checks.latency import _hand_on

SERVICES = ["gateway", "cart", "stock"]


def parts(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["service", "blamed", "part"])


def test_a_queue_goes_to_the_cause_inside_its_service() -> None:
    table = parts([("gateway", "cart", "queue"), ("cart", "redis", "unreachable"), ("cart", "cart", "own")])
    assert np.allclose(_hand_on(table, np.array([0.6, 0.3, 0.1])), [0.0, 0.75, 0.25])


def test_a_queue_passes_through_another_queue() -> None:
    table = parts([("gateway", "cart", "queue"), ("cart", "stock", "queue"), ("stock", "stock", "own")])
    assert np.allclose(_hand_on(table, np.array([0.5, 0.3, 0.2])), [0.0, 0.0, 1.0])


def test_a_queue_without_a_cause_stays() -> None:
    table = parts([("gateway", "cart", "queue"), ("stock", "stock", "own")])
    assert _hand_on(table, np.array([0.7, 0.3])).tolist() == [0.7, 0.3]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SERVICES),
            st.sampled_from(SERVICES),
            st.sampled_from(["own", "queue", "database"]),
            st.floats(0, 1),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_nothing_is_lost_or_made(rows: list[tuple[str, str, str, float]]) -> None:
    table = parts([row[:3] for row in rows])
    weight = np.array([row[3] for row in rows])
    moved = _hand_on(table, weight)
    assert np.isclose(moved.sum(), weight.sum())
    assert (moved >= 0).all()
