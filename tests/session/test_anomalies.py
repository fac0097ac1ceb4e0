"""Anomalies from a store: by expression, by service, of everything; with history, with what was planned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.detect import Alarm
from workbench.detect.members.seasonal import Seasonal
from workbench.diagnose.watched import watchable
from workbench.errors import InvalidInput, LimitExceeded, NotFound, QueryError
from workbench.session import Bench
from workbench.session import open as open_bench
from workbench.signals import build_events, build_samples

START = np.datetime64("2026-01-05", "ns")
T = 9 * 288
STEP = np.timedelta64(300, "s")
SERVICES = ("cart", "pay", "stock")


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Nine days at five minutes: a queue and a request counter of three services; cart and pay jump on the last day."""
    at, rng = np.arange(T), np.random.default_rng(1)
    queue = 100 + 30 * np.sin(2 * np.pi * at / 288) + rng.normal(0, 2, (3, T))
    queue[0, 2400:2410] += 60
    queue[1, 2402:2412] += 60
    values = np.concatenate([queue, np.cumsum(queue * 300, axis=1)])
    labels = [{"metric": m, "service": s} for m in ("queue", "http_requests_total") for s in SERVICES]
    made = build_samples(
        labels, np.repeat(np.arange(6), T), np.tile(START + at * STEP, 6), values.ravel(),
        kind=["gauge"] * 3 + ["counter"] * 3, unit=["{job}"] * 3 + ["{request}"] * 3,
    )  # fmt: skip
    with open_bench(tmp_path_factory.mktemp("weeks") / "store") as bench:
        bench.write(made)
        yield bench


def test_an_expression_is_judged_by_the_week_before(weeks: Bench) -> None:
    found = weeks.anomalies("queue")
    assert found.events["service"].tolist() == ["cart", "pay"]
    assert found.scan.metrics.attrs["unit"] == "{job}"
    assert found.scan.step == 300
    assert found.window[1] - found.window[0] == np.timedelta64(1, "D")
    assert found.scan.time[0] - START <= STEP * 288
    assert found.show().panel == "anomalies"
    assert found.scan.detector == "watchdog"


def test_a_query_keeps_its_name_and_unit(weeks: Bench) -> None:
    found = weeks.anomalies("sum by (service)\n (rate(http_requests_total[15m]))")
    assert found.events["metric"].tolist()[0] == "sum by (service) (rate(http_requests_total[15m]))"
    assert "request/s" in found.events["title"].iloc[0]


def test_a_service_is_watched_by_what_it_has(weeks: Bench) -> None:
    found = weeks.anomalies("cart")
    assert set(found.scan.metrics["metric"].values) == {"queue", "http_requests_total per second"}
    assert set(found.scan.metrics["service"].values) == {"cart"}
    assert set(found.events["service"]) == {"cart"}
    assert len(found) == 2
    assert json.loads(found.events["correlated"].iloc[0])
    everything = weeks.anomalies()
    assert everything.scan.scores.shape[0] == 6
    assert set(everything.events["service"]) == {"cart", "pay"}


def test_window_step_detector_alarm_and_history_are_heeded(weeks: Bench) -> None:
    early = weeks.anomalies("queue", "2026-01-12", "2026-01-13", step="10m", history="3d")
    assert len(early) == 0
    assert early.scan.step == 600
    assert early.scan.time[0] == np.datetime64("2026-01-09", "ns")
    assert early.scan.time[-1] < np.datetime64("2026-01-13", "ns")
    assert weeks.anomalies("queue", detector="seasonal", history=0).scan.features == ("season", "burst")
    assert weeks.anomalies("queue", detector=Seasonal()).scan.detector == "seasonal"
    assert len(weeks.anomalies("queue", alarm=1.0)) == 0
    assert weeks.anomalies("queue", alarm=Alarm(threshold=0.3)).alarm.threshold == 0.3


def test_events_come_back_from_the_store_and_are_compared_with(weeks: Bench, tmp_path: Path) -> None:
    found = weeks.anomalies("queue", step="5m")
    with open_bench(tmp_path / "other") as bench:
        old = found.events.assign(time=found.events["time"] - pd.Timedelta(days=3))
        old["end"] = found.events["end"] - pd.Timedelta(days=3)
        bench.write(old)
        stored = bench.events("kind:anomaly")
    assert stored["description"].tolist() == old["description"].tolist()
    assert stored["ongoing"].dtype == bool
    weeks.write(old)
    again = weeks.anomalies("queue", step="5m")
    assert json.loads(again.events["similar"].iloc[0])[0]["distance"] == 0


def test_what_was_planned_is_expected(weeks: Bench, tmp_path: Path) -> None:
    samples = weeks.store.select([], START, START + T * STEP)
    with open_bench(tmp_path / "planned") as bench:
        bench.write(samples)
        bench.write(
            build_events(
                {
                    "time": [START + 2380 * STEP], "end": [START + 2460 * STEP], "kind": "scale", "service": "cart",
                    "title": "load test",
                }
            )
        )  # fmt: skip
        least = float(weeks.anomalies("queue").events["score"].min()) * 0.9
        assert set(bench.anomalies("queue", alarm=least).events["service"]) == {"pay"}
        assert set(bench.anomalies("queue", alarm=least, events=False).events["service"]) == {"cart", "pay"}


@pytest.mark.parametrize(
    ("ask", "kind", "says"),
    [
        (lambda b: b.anomalies("nothing_like_it"), NotFound, "no samples at steps"),
        (lambda b: b.anomalies("sum("), QueryError, "position|expected|end"),
        (lambda b: b.anomalies(3), InvalidInput, "is not text"),
        (lambda b: b.anomalies("queue", history="-1d"), InvalidInput, "duration|below 0"),
        (lambda b: b.anomalies("queue", step="0s"), InvalidInput, "not positive"),
        (lambda b: b.anomalies("queue", detector="watchdgo"), NotFound, "did you mean 'watchdog'"),
        (lambda b: b.anomalies("queue", detector=3), InvalidInput, "int is no detector"),
        (lambda b: b.anomalies("queue", alarm="high"), InvalidInput, "is no Alarm"),
        (lambda b: b.anomalies("queue", alarm=7.0), InvalidInput, "0 < threshold <= 1"),
        (lambda b: b.anomalies("queue", START, START + STEP, step="5m"), InvalidInput, "less than two steps"),
    ],
)
def test_what_cannot_be_answered_is_said(weeks: Bench, ask: object, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        ask(weeks)  # type: ignore[operator]


def test_an_answer_too_large_is_refused(weeks: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.diagnose.watch._CELLS", 100)
    with pytest.raises(LimitExceeded, match="longer step"):
        weeks.anomalies("queue")


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    with open_bench(tmp_path / "store") as bench:
        with pytest.raises(NotFound, match="is empty"):
            bench.anomalies("load")
        bench.write(build_events({"time": [START], "kind": "note"}))
        with pytest.raises(NotFound, match="no metrics to watch"):
            bench.anomalies(start=START, end=START + 100 * STEP)


def test_what_is_asked_of_each_kind_of_metric() -> None:
    rows = [
        ("http_seconds_bucket", "cart", "histogram", "s"), ("http_seconds_count", "cart", "histogram", "s"),
        ("http_seconds_sum", "cart", "histogram", "s"), ("errors_total", "cart", "unknown", ""),
        ("depth", "cart", "gauge", "{job}"), ('od"d\\', 'p"ay', "gauge", ""),
    ]  # fmt: skip
    series = pd.DataFrame(rows, columns=["metric", "service", "kind", "unit"])
    asked = {each.name: (each.expr, each.unit) for each in watchable(series, None, 60.0, 15.0)}
    assert asked == {
        "errors_total per second": ('sum by (service) (rate({"errors_total"}[60s]))', "/s"),
        "http_seconds_count per second": ('sum by (service) (rate({"http_seconds_count"}[60s]))', "/s"),
        "http_seconds mean": (
            'sum by (service) (rate({"http_seconds_sum"}[60s])) / sum by (service) (rate({"http_seconds_count"}[60s]))',
            "s",
        ),
        "depth": ('avg_over_time({"depth"}[60s])', "{job}"),
        'od"d\\': ('avg_over_time({"od\\"d\\\\"}[60s])', ""),
    }
    (mine,) = watchable(series, 'p"ay', 15.0, 15.0)
    assert mine.expr == '{"od\\"d\\\\", service="p\\"ay"}'
    many = pd.concat([series[series["metric"] == "depth"]] * 30)
    assert watchable(many, None, 15.0, 15.0)[0].expr == 'avg by (service) ({"depth"})'
    assert watchable(series.iloc[:0], None, 15.0, 15.0) == []
