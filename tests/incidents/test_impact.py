from __future__ import annotations

import dataclasses

import naive
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.diagnose.investigation import Investigation
from workbench.incidents import entry_spans, impact
from workbench.signals import build_spans

START = np.datetime64("2026-03-01T02:00:00", "ns")


def test_every_figure_of_a_known_incident(investigation: Investigation) -> None:
    cost = impact(investigation)
    assert (cost.before.requests, cost.before.failed, cost.before.slow) == (295, 0, 0)
    assert (cost.during.requests, cost.during.failed, cost.during.slow, cost.during.affected) == (130, 30, 120, 120)
    assert cost.before.p50_ns == 20e6
    assert cost.during.p95_ns == 500e6
    assert cost.recovered == investigation.fault[1]
    assert cost.length == "2 min 10 s"
    assert cost.services == ("shop",)
    assert cost.query == (
        "bench.spans('service:shop kind:server', start='2026-03-01T02:05:00.000', end='2026-03-01T02:07:10.000')"
    )


def test_not_recovered_when_it_lasts_to_the_end_of_the_window(investigation: Investigation) -> None:
    end = START + np.timedelta64(425, "s")
    spans = investigation.telemetry.spans
    cut = dataclasses.replace(
        investigation,
        window=(START, end),
        fault=(investigation.fault[0], end),
        telemetry=dataclasses.replace(
            investigation.telemetry, window=(START, end), spans=spans[spans["time"] < end].reset_index(drop=True)
        ),
    )
    cost = impact(cut)
    assert np.isnat(cost.recovered)
    assert cost.window == (investigation.fault[0], end)
    assert cost.length == "2 min 5 s and was still going on at the end of the window"


def test_failed_jobs_are_counted_beside_requests(investigation: Investigation) -> None:
    spans = investigation.telemetry.spans
    jobs = spans.assign(kind=spans["kind"].where(spans["service"] != "pay", "consumer"))
    cost = impact(
        dataclasses.replace(investigation, telemetry=dataclasses.replace(investigation.telemetry, spans=jobs))
    )
    assert (cost.jobs, cost.failed_jobs) == (130, 30)
    assert cost.during.requests == 130


def test_slow_requests_after_the_fault_window_change_neither_its_end_nor_its_counts(
    investigation: Investigation,
) -> None:
    spans = investigation.telemetry.spans.copy()
    late = (spans["time"] >= START + np.timedelta64(570, "s")) & (spans["time"] < START + np.timedelta64(580, "s"))
    spans.loc[late, "duration_ns"] = 10**9
    cost = impact(
        dataclasses.replace(investigation, telemetry=dataclasses.replace(investigation.telemetry, spans=spans))
    )
    assert cost.recovered == investigation.fault[1]
    assert cost.during == impact(investigation).during


def test_without_spans_there_is_nothing_to_count(investigation: Investigation) -> None:
    none = build_spans({"time": np.empty(0, "datetime64[ns]")})
    cost = impact(
        dataclasses.replace(investigation, telemetry=dataclasses.replace(investigation.telemetry, spans=none))
    )
    assert cost.during.requests == 0
    assert np.isnan(cost.during.p95_ns)
    assert cost.recovered == investigation.fault[1]
    assert cost.services == ()
    assert "unknown" in repr(cost)


def test_abstained_counts_the_whole_window(quiet: Investigation) -> None:
    cost = impact(quiet)
    assert cost.window == quiet.window
    assert (cost.before.requests, cost.during.requests, cost.during.failed) == (0, 600, 30)


def test_without_a_suspect_the_table_does_not_speak_of_an_incident(investigation: Investigation) -> None:
    shown = impact(dataclasses.replace(investigation, abstained=True)).to_frame()
    assert list(shown) == ["incoming", "before", "what moved"]


def test_http_status_counts_as_failed_beside_the_span_status(investigation: Investigation) -> None:
    spans = investigation.telemetry.spans.copy()
    spans["http.response.status_code"] = np.where(spans["time"] == START + np.timedelta64(301, "s"), 503, 200)
    cost = impact(
        dataclasses.replace(investigation, telemetry=dataclasses.replace(investigation.telemetry, spans=spans))
    )
    assert cost.during.failed == 31


def test_display_holds_the_table_and_the_investigated_window(investigation: Investigation) -> None:
    data, metadata = impact(investigation)._repr_mimebundle_()
    assert metadata["workbench"]["window"] == ["2026-03-01T02:00:00.000000000Z", "2026-03-01T02:10:00.000000000Z"]
    assert "30 (23 %)" in data["text/html"]
    assert "500 ms" in data["text/plain"]


KINDS = ["internal", "server", "client", "producer", "consumer"]
TREES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), max_size=12)


@given(TREES)
def test_entry_spans_equal_the_walk_up_the_tree(rows: list[tuple[str, int]]) -> None:
    parents = [i - 1 - back if back and i - back >= 0 else -1 for i, (_, back) in enumerate(rows)]
    parents = [p if p >= 0 else -1 for p in parents]
    kinds = [kind for kind, _ in rows]
    frame = pd.DataFrame({"kind": pd.Series(kinds, dtype="str"), "parent": np.array(parents, np.int32)})
    assert entry_spans(frame).tolist() == naive.entry_spans(kinds, parents)


REQUESTS = st.lists(
    st.tuples(st.integers(0, 599), st.integers(1, 1000), st.sampled_from(["a", "b"]), st.booleans()),
    min_size=1,
    max_size=60,
)


@settings(max_examples=25)
@given(REQUESTS)
def test_counts_equal_the_naive_ones(rows: list[tuple[int, int, str, bool]]) -> None:
    from workbench.diagnose.investigation import Telemetry
    from workbench.signals import build_events, build_logs, build_profiles, build_samples

    nothing = np.empty(0, "datetime64[ns]")
    spans = build_spans(
        {
            "time": [START + np.timedelta64(t, "s") for t, _, _, _ in rows],
            "duration_ns": [d for _, d, _, _ in rows],
            "trace_id": [f"{i:032x}" for i in range(len(rows))],
            "span_id": [f"{i:016x}" for i in range(len(rows))],
            "kind": ["server"] * len(rows),
            "name": [name for _, _, name, _ in rows],
            "status": ["error" if failed else "ok" for _, _, _, failed in rows],
            "service": ["s"] * len(rows),
        }
    )
    window = (START, START + np.timedelta64(600, "s"))
    telemetry = Telemetry(
        window, build_samples(pd.DataFrame({"metric": []}), [], nothing, []), build_logs({"time": nothing}), spans,
        build_profiles({"time": [], "stack": [], "value": []}, []), build_events({"time": nothing}),
    )  # fmt: skip
    fault = (START + np.timedelta64(300, "s"), window[1])
    found = Investigation(window, (START, fault[0]), fault, True, "", (), build_events({"time": nothing}), telemetry)
    cost = impact(found)
    before = [d for t, d, _, _ in rows if t < 300]
    limit = float(np.quantile(before, 0.95)) if before else np.inf  # too few calls for limits of single operations
    until = int((cost.window[1] - START) / np.timedelta64(1, "s"))
    want = naive.count_impact(rows, (300, until), {"a": limit, "b": limit})
    assert (cost.during.requests, cost.during.failed, cost.during.slow, cost.during.affected) == want
