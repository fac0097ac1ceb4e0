"""What each panel shows, as data."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.panels import world
from workbench.errors import NotFound, ShapeError
from workbench.panels import figure, flame, hypotheses, metric, service_map, templates, timeline
from workbench.panels.static.metric import reduce
from workbench.panels.templates import surprise
from workbench.signals import build_events, build_metrics, build_profiles, build_spans
from workbench.traces import service_map as map_of

S = np.timedelta64(1, "s")


def test_timeline_puts_suspects_first_and_joins_anomalies(incident):
    data = figure("timeline", incident).data
    assert [lane.service for lane in data.lanes][:3] == ["", "pay", "checkout"]
    assert [lane.rank for lane in data.lanes][:3] == [0, 1, 2]
    pay = data.lanes[1]
    assert [mark.title for mark in pay.marks] == ["pay 1.8.3 rolled out"]
    assert len(pay.episodes) == 1
    assert pay.episodes[0].count == 3
    assert pay.episodes[0].score == 19.5
    # The investigation labels bins (5 s here) by their right end; a bar covers the bins themselves.
    assert pay.episodes[0].start == world.at(497)
    assert pay.episodes[0].end == world.at(785)
    assert (data.events, data.anomalies) == (14, 6)


def test_timeline_counts_what_it_leaves_out():
    n = 40
    rows = build_events(
        {
            "time": world.START + np.arange(n) * S,
            "service": ["a"] * n,
            "kind": ["note"] * n,
            "title": ["x"] * n,
            "severity": range(1, 25) if n == 24 else [9] * n,
        }
    )
    data = timeline.prepare(rows, lanes=1)
    assert len(data.lanes[0].marks) + data.lanes[0].hidden == n
    many = build_events(
        {"time": world.START + np.arange(20) * S, "service": [f"s{i}" for i in range(20)], "kind": ["note"] * 20}
    )
    assert timeline.prepare(many, lanes=12).more_services == 8
    assert timeline.prepare(many.iloc[:0]).lanes == ()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 120)), min_size=1, max_size=30))
def test_episodes_cover_every_anomaly_and_do_not_overlap(spans):
    rows = build_events(
        {
            "time": [world.at(a) for a, _ in spans], "end": [world.at(a + d) for a, d in spans],
            "kind": ["anomaly"] * len(spans), "service": ["a"] * len(spans),
        }
    )  # fmt: skip
    episodes = timeline.prepare(rows, window=(world.START, world.END)).lanes[0].episodes
    assert all(a.end < b.start for a, b in itertools.pairwise(episodes))
    for a, d in spans:
        assert any(e.start <= world.at(a) and world.at(a + d) <= e.end for e in episodes)


def test_metric_shows_red_of_suspects_and_the_metrics_evidence_names(incident):
    charts = figure("metric", incident).data.charts
    titles = [(c.service, c.title) for c in charts]
    assert titles[:2] == [("pay", "latency p95"), ("pay", "error share")]
    assert ("pay", "requests") not in titles  # it kept its range
    assert ("pay", "db.client.connection.count") in titles
    assert ("pay", "http.client.request.duration, mean") in titles
    assert ("checkout", "latency p95") in titles
    latency = charts[0]
    assert latency.during > 3 * latency.before
    assert any(e.start < world.FAULT[1] and e.end > world.FAULT[0] for e in latency.episodes)
    inside = (latency.time >= world.FAULT[0] + 30 * S) & (latency.time < world.FAULT[1] - 60 * S)
    assert (latency.lines[0].values[inside] > latency.high[inside]).mean() > 0.8
    connections = charts[titles.index(("pay", "db.client.connection.count"))]
    assert connections.moved == "used"
    assert [line.name for line in connections.lines] == ["idle", "used"]
    mean = charts[titles.index(("pay", "http.client.request.duration, mean"))]
    assert mean.before == pytest.approx(0.69, rel=0.1)


def test_metric_bands_are_causal():
    rng = np.random.default_rng(3)
    values = rng.normal(10, 1, (1, 200))
    time = world.START + np.arange(200) * S
    full = metric.chart("m", "", "", time, [""], values)
    cut = metric.chart("m", "", "", time[:150], [""], values[:, :150])
    np.testing.assert_array_equal(full.high[:150], cut.high)


def test_metric_charts_of_an_array_have_a_line_per_series():
    time = world.START + np.arange(60) * S
    labels = [{"metric": "m", "service": "a", "host": f"h{i}"} for i in range(11)] + [
        {"metric": "m", "service": "b", "host": "h"}
    ]
    values = np.ones((12, 60))
    values[4, 30:] = 9
    data = figure(
        "metric", build_metrics(values, time, labels), baseline=(time[0], time[30]), fault=(time[30], time[59])
    ).data
    assert [(c.title, c.service, len(c.lines), c.more) for c in data.charts] == [("m", "a", 8, 3), ("m", "b", 1, 0)]
    assert data.charts[0].moved == "host=h4"
    assert (data.charts[0].before, data.charts[0].during) == (1.0, 9.0)
    empty = figure("metric", build_metrics(np.empty((0, 0)), time[:0], []))
    assert empty.data.charts == ()
    assert "nothing to draw" in empty.text()
    with pytest.raises(ShapeError):
        figure("metric", values)


@given(st.integers(1, 3000), st.integers(10, 200), st.integers(0, 10**6))
def test_reduced_lines_keep_their_extremes(n: int, points: int, seed: int):
    values = np.random.default_rng(seed).normal(size=n)
    x, y = reduce(np.arange(n, dtype=float), values, points)
    assert len(y) <= max(points, n if n <= points else points)
    assert y.max() == values.max()
    assert y.min() == values.min()
    assert (np.diff(x) > 0).all()


def test_service_map_compares_with_the_baseline_and_ranks_suspects(incident):
    data = figure("service_map", incident).data
    nodes = {n.service: n for n in data.nodes}
    assert data.compared
    assert (nodes["pay"].rank, nodes["checkout"].rank, nodes["cart"].rank) == (1, 2, 0)
    assert nodes["pay"].probability == pytest.approx(0.81)
    assert nodes["pay"].error_share > 0.1
    assert nodes["pay"].error_share_before == 0
    assert nodes["pay"].p95_ns > 3 * nodes["pay"].p95_before_ns
    assert nodes["gateway"].x < nodes["checkout"].x < nodes["pay"].x
    assert nodes["postgresql"].kind == "database"
    edge = next(e for e in data.edges if (e.caller, e.callee) == ("checkout", "pay"))
    assert edge.rate == pytest.approx(1.7, rel=0.2)
    assert edge.rate_before == pytest.approx(1.7, rel=0.2)


def test_service_map_shows_calls_that_stopped_and_calls_that_began(incident):
    spans = incident.telemetry.spans
    few = build_spans({str(c): v for c, v in spans[~spans["service"].isin(["cart"])].reset_index(drop=True).items()})
    gone = service_map.prepare(map_of(few, 100.0), map_of(spans, 100.0))
    node = next(n for n in gone.nodes if n.service == "cart")
    assert node.rate_before > 0
    began = service_map.prepare(map_of(spans, 100.0), map_of(few, 100.0))
    edge = next(n for n in began.nodes if n.service == "cart")
    assert edge.rate > 0
    assert service_map.prepare(map_of(spans.iloc[:0], 1.0)).nodes == ()


def test_a_dead_service_is_red_by_its_callers_errors_and_less_traffic_is_not_amber():
    from workbench.panels.data import MapEdge, MapNode
    from workbench.panels.static.service_map import edge_state, under

    dead = MapNode("stock", "service", 0.0, np.nan, np.nan, 2.0, 0.0, 1e6, 1, 0.9, 0.0, 0.0, 0.92, 0.0)
    assert edge_state(dead) == "bad"
    assert under(dead) == ["serves nothing", "92 % of calls to it fail"]
    quiet = MapEdge("a", "b", "", 0.1, 0.0, 9e6, 2.0, 0.0, 1e6, ())
    assert edge_state(quiet) == "less"
    edges = pd.DataFrame(
        {
            "callee": ["s", "s", "t"], "rate": [3.0, 1.0, 0.0], "error_share": [1.0, 0.0, np.nan],
            "rate_before": [1.0, 1.0, 2.0], "error_share_before": [0.0, 0.5, 0.0],
        }
    )  # fmt: skip
    found = service_map._failed(edges)
    assert found["s"] == (0.75, 0.25)
    assert np.isnan(found["t"][0])


def test_flame_of_a_waiting_service_shows_wall_time_of_threads_at_work(incident):
    from dataclasses import replace as changed

    serve = [("main", "shop/pay.py", 1), ("select", "<native>", 0)]
    idle = [("run", "python3.11/threading.py", 1), ("acquire", "<native>", 0)]
    work = [*idle[:1], ("charge", "shop/pay.py", 9), ("recv", "<native>", 0)]
    reply = [*idle[:1], ("reply", "shop/pay.py", 12)]
    rows = [
        (t, thread, stack) for t in range(0, 900, 10) for thread, stack in (("m", 0), ("p", 1), ("w", 2 + t % 20 // 10))
    ]
    time, thread, stack = zip(*rows, strict=True)
    both = {
        kind: build_profiles(
            {
                "time": [world.at(t) for t in time], "service": ["pay"] * len(rows), "sample_type": [kind] * len(rows),
                "stack": list(stack), "value": [1] * len(rows), "thread": list(thread),
            },
            [serve, idle, work, reply], {kind: "nanoseconds"},
        )
        for kind in ("wall",)
    }  # fmt: skip
    data = figure("flame", changed(incident, telemetry=changed(incident.telemetry, profiles=both["wall"]))).data
    assert data.sample_type == "wall"
    assert set(data.function) | set(data.folded) == {"run", "charge", "recv", "reply"}
    assert "waited for work" in data.note


def test_templates_that_kept_their_rate_are_not_listed(incident):
    logs = incident.telemetry.logs
    steady = logs.iloc[:90].assign(time=[world.at(10 * i) for i in range(90)], body="all is well", severity=9)
    windows = {"window": (world.START, world.END), "baseline": world.BASELINE, "fault": world.FAULT}
    data = figure("templates", steady, **windows)
    assert data.data.rows == ()
    assert "No template changed" in data.text()


def test_a_service_map_shows_itself_and_keeps_the_busiest(incident):
    shown = map_of(incident.telemetry.spans).show()
    assert shown.panel == "service_map"
    data = service_map.prepare(map_of(incident.telemetry.spans), nodes=3, suspects={"mail": 0.5})
    assert {n.service for n in data.nodes} >= {"mail"}
    assert len(data.nodes) == 3
    assert "not shown" in data.note


def test_flame_compares_windows_folds_the_trunk_and_names_what_is_gone(incident):
    data = figure("flame", incident).data
    assert data.service == "pay"
    assert data.folded == ("<module>", "run")
    assert data.function[0] == "handle"
    assert (data.x0[0], data.x1[0]) == (0.0, 1.0)
    assert [name for name, _ in data.gone] == ["compress"]
    retry = data.function.index("retry")
    assert data.after[retry] > data.before[retry] + 0.2
    inner = np.flatnonzero(data.parent >= 0)
    assert (data.x0[inner] >= data.x0[data.parent[inner]] - 1e-9).all()
    assert (data.x1[inner] <= data.x1[data.parent[inner]] + 1e-9).all()
    assert (data.depth[inner] == data.depth[data.parent[inner]] + 1).all()


def test_flame_of_one_window_and_of_none(incident):
    one = figure("flame", incident.telemetry.profiles)
    assert one.data.before is None
    assert one.data.total == len(incident.telemetry.profiles) * 10_000_000
    none = figure("flame", build_profiles({"time": [], "stack": [], "value": []}, []))
    assert none.data.note == "No profiles were recorded in this window, so there is no flame graph."
    half = flame.prepare(
        incident.telemetry.profiles, none.data and build_profiles({"time": [], "stack": [], "value": []}, [])
    )
    assert half.before is None
    assert "nothing is compared" in half.note


def test_flame_says_whose_profiles_there_are_when_the_suspect_has_none(incident):
    from dataclasses import replace

    other = replace(incident, hypotheses=incident.hypotheses[2:])
    assert (
        figure("flame", other).data.note
        == "No profiles of checkout were recorded in this window; there are some of pay."
    )


def test_templates_put_new_severe_ones_first(incident):
    data = figure("templates", incident).data
    first, second = data.rows[:2]
    assert (first.new, first.severity, first.before, first.service) == (True, 17, 0, "pay")
    assert "card declined by" in first.template
    assert "card declined by" in first.example
    assert (second.new, second.severity) == (True, 13)
    assert sum(first.counts) >= first.during > 100
    lo, hi = data.hot
    assert sum(first.counts[:lo]) == 0
    assert sum(first.counts[lo : hi + 1]) == sum(first.counts)
    assert all(r.during + r.before <= sum(r.counts) for r in data.rows)


def test_templates_without_windows_count_lines(incident):
    logs = incident.telemetry.logs
    data = figure("templates", logs, service="pay").data
    assert not data.compared
    assert data.lines == (logs["service"] == "pay").sum()
    assert figure("templates", logs.iloc[:0]).data.rows == ()


def test_surprise_is_nothing_for_equal_rates_and_grows_with_the_change():
    before, during = np.array([100.0, 100.0, 100.0, 0.0]), np.array([50.0, 100.0, 400.0, 30.0])
    score = surprise(before, during, 200.0, 100.0)
    assert score[0] < 0.1
    assert score[0] < score[1] < score[2]
    assert score[3] > 20


def test_hypotheses_are_cards_in_order_and_an_abstention_says_why(incident):
    data = figure("hypotheses", incident).data
    assert [(c.rank, c.service, c.kind) for c in data.cards] == [
        (1, "pay", "dependency_down"),
        (2, "pay", "bad_deploy"),
        (3, "checkout", "retry_storm"),
    ]
    strengths = [f.strength for f in data.cards[0].findings]
    assert strengths == sorted(strengths, reverse=True)
    none = figure("hypotheses", world.quiet("Too little data."))
    assert none.data.abstained
    assert none.data.title == "No suspect named"
    assert "Too little data." in none.text()
    assert hypotheses.prepare(incident.hypotheses, cards=1).more == 2


def test_prepare_changes_no_input(incident):
    spans, logs, events = (getattr(incident.telemetry, n).copy() for n in ("spans", "logs", "events"))
    for name in ("timeline", "metric", "service_map", "flame", "templates", "hypotheses"):
        figure(name, incident)
    for name, kept in (("spans", spans), ("logs", logs), ("events", events)):
        pd.testing.assert_frame_equal(getattr(incident.telemetry, name), kept)


def test_an_unknown_panel_lists_the_known_ones(incident):
    with pytest.raises(NotFound, match="timeline"):
        figure("time line", incident)
    assert templates.Templates().name == "templates"
