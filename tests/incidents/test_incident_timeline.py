from __future__ import annotations

import numpy as np

from workbench.diagnose.investigation import Investigation
from workbench.incidents import timeline

START = np.datetime64("2026-03-01T02:00:00", "ns")


def seconds(frame) -> list[int]:
    return ((frame["time"].to_numpy() - START) / np.timedelta64(1, "s")).astype(int).tolist()


def test_lines_are_in_order_and_each_has_a_query(investigation: Investigation) -> None:
    frame = timeline(investigation)
    assert seconds(frame) == [200, 295, 300, 300, 300, 301, 301, 330, 430]
    assert frame["query"].str.startswith("bench.").all()
    assert list(frame["source"]) == [
        "event", "event", "anomaly", "evidence", "impact", "anomaly", "evidence", "event", "impact",
    ]  # fmt: skip


def test_of_the_anomalies_only_the_first_of_a_service_is_listed(investigation: Investigation) -> None:
    lines = timeline(investigation).query("source == 'anomaly'")["what"].tolist()
    assert lines == ["first anomaly of shop: duration rose", "first anomaly of pay: errors rose (and 1 more later)"]


def test_abstained_lists_events_only(quiet: Investigation) -> None:
    assert set(timeline(quiet)["source"]) == {"event"}
