from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from workbench.diagnose.investigation import Evidence, Investigation
from workbench.errors import InvalidInput
from workbench.incidents import evidence_rows
from workbench.incidents.rows import _read_call
from workbench.signals import build_metrics


class Bench:
    """Answers every question with the investigation's own shapes and remembers what was asked."""

    def __init__(self, found: Investigation) -> None:
        self.found = found
        self.asked: list[tuple[str, str, dict[str, object]]] = []

    def spans(self, query: str = "", **options: object) -> pd.DataFrame:
        self.asked.append(("spans", query, options))
        return self.found.telemetry.spans

    def logs(self, query: str = "", **options: object) -> pd.DataFrame:
        return self.found.telemetry.logs

    def profiles(self, query: str = "", **options: object) -> object:
        return self.found.telemetry.profiles

    def metrics(self, query: str = "", **options: object) -> object:
        time = np.array(["2026-03-01T02:00:00", "2026-03-01T02:01:00"], "datetime64[ns]")
        return build_metrics(np.array([[1.0, np.nan]]), time, pd.DataFrame({"metric": ["m"], "service": ["pay"]}))


def with_queries(found: Investigation, *queries: str) -> Investigation:
    evidence = tuple(Evidence("c", "pay", "errors", f"piece {i}", q, 9.0 - i) for i, q in enumerate(queries))
    first = dataclasses.replace(found.hypotheses[0], evidence=evidence)
    return dataclasses.replace(found, hypotheses=(first,))


def test_failed_and_slow_spans_come_first(investigation: Investigation) -> None:
    bench = Bench(investigation)
    rows = evidence_rows(bench, investigation)
    (first, frame), (second, functions) = rows.parts
    assert first.check == "errors"
    assert set(frame["status"]) == {"error"}
    assert frame["duration ms"].is_monotonic_decreasing
    assert {"parent", "span_id"}.isdisjoint(frame.columns)
    assert bench.asked[0][2] == {"start": "2026-03-01T02:05:00.000000000", "end": "2026-03-01T02:07:10.000000000"}
    assert second.check == "waiting"
    assert functions["function"].tolist() == ["authorise", "idle"]  # the named one first, though smaller


def test_metrics_and_logs_become_rows(investigation: Investigation) -> None:
    found = with_queries(investigation, "bench.metrics('m')", "bench.logs('boom')")
    (_, metric), (_, logs) = evidence_rows(Bench(investigation), found).parts
    assert metric[["time", "service", "value"]].values.tolist() == [[pd.Timestamp("2026-03-01T02:00:00"), "pay", 1.0]]
    assert logs["body"].tolist() == ["boom"]


@pytest.mark.parametrize(
    "query",
    [
        "bench.store.close()",
        "__import__('os').system('true')",
        "bench.write('x')",
        "bench.spans(open('x').read())",
        "bench.spans('a') or bench.close()",
        "other.spans('a')",
        "bench.spans(*['a'])",
        "bench.spans('a'",
        "(" * 500,
        "",
    ],
)
def test_only_plain_calls_are_read(query: str, investigation: Investigation) -> None:
    with pytest.raises(InvalidInput):
        _read_call(query)
    assert evidence_rows(Bench(investigation), with_queries(investigation, query)).parts == ()


def test_display_escapes(hostile: Investigation) -> None:
    data = evidence_rows(Bench(hostile), with_queries(hostile, "bench.logs('<b>')"))._repr_mimebundle_()
    assert "<img" not in data["text/html"]
    assert "&lt;img" in data["text/html"]
    assert "boom<img" in data["text/plain"]


def test_without_hypotheses_it_says_so(quiet: Investigation) -> None:
    assert "no rows" in repr(evidence_rows(Bench(quiet), quiet))
