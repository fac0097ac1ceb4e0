"""Anomaly events: how bad, what, since when, why, with whom, and like which earlier one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests import naive
from tests.panels.payloads import PAYLOADS
from workbench.detect import Alarm, Anomalies, expectations, explain, find_anomalies, scan
from workbench.detect.account import View, headline, reasons
from workbench.detect.members.seasonal import Seasonal
from workbench.detect.severity import severity
from workbench.detect.words import lasted, plain
from workbench.errors import InvalidInput, NotFound, ShapeError
from workbench.signals import build_events, build_metrics, check_events

START = np.datetime64("2026-01-05", "ns")
STEP = np.timedelta64(300, "s")
DAY = 288


def metrics(values: np.ndarray, labels: list[dict[str, str]] | None = None, unit: str = "{job}", step: int = 300):  # type: ignore[no-untyped-def]
    names = labels or [{"metric": "queue", "service": f"s{i}", "env": "prod"} for i in range(len(values))]
    time = START + np.arange(values.shape[1]) * np.timedelta64(step, "s")
    return build_metrics(np.asarray(values, np.float64), time, names, {"unit": unit})


def days(n: int = 4, t: int = 9 * DAY, seed: int = 1) -> np.ndarray:
    at, rng = np.arange(t), np.random.default_rng(seed)
    return np.asarray(100 + 30 * np.sin(2 * np.pi * at / DAY) + rng.normal(0, 2, (n, t)))


@pytest.fixture(scope="module")
def found() -> Anomalies:
    """Two services that stand out together, one of them for the second time; one that varies; one that is calm."""
    values = days()
    values[0, 1500:1510] += 60
    values[0, 2400:2410] += 60
    values[1, 2402:2412] += 55
    values[2, 2100:2130] += np.random.default_rng(2).normal(0, 15, 30)
    return find_anomalies(scan(metrics(values)), window=(START + 8 * DAY * STEP, START + 9 * DAY * STEP))


def event(found: Anomalies, service: str) -> pd.Series:
    (row,) = found.events.index[found.events["service"] == service]
    return found.events.loc[row]


def test_what_is_found_is_an_events_frame_with_the_columns_promised(found: Anomalies) -> None:
    check_events(found.events)
    assert found.events["service"].tolist() == ["s0", "s1"]
    assert set(found.events["kind"]) == {"anomaly"}
    assert found.events.dtypes[["value", "center", "low", "high", "outside_s"]].eq("float64").all()
    assert found.events.dtypes["peak"] == "datetime64[ns]"
    assert found.events.dtypes["ongoing"] == "bool"
    for name in ("reasons", "contributions", "correlated", "similar", "signature"):
        assert all(json.loads(text) is not None for text in found.events[name])
    assert found.rows.tolist() == [0, 1]


def test_it_says_what_happened_in_numbers_and_units(found: Anomalies) -> None:
    told = event(found, "s0")
    assert abs(told["time"] - pd.Timestamp(START + 2400 * STEP)) <= pd.Timedelta(minutes=10)
    assert told["title"].startswith("queue reached 18")
    assert "job was expected" in told["title"]
    assert told["low"] < told["center"] < told["high"] < told["value"]
    assert abs(told["center"] - 126) < 5
    assert told["outside_s"] == pytest.approx(3000, abs=300)
    for part in ("Service s0 (prod).", "Since 2026-01-13 08:00:00 UTC", "outside of the expected band", "of the score"):
        assert part in told["description"]
    assert "above what is usual at this time" in told["description"]
    assert "samples scored before" in told["description"]


def test_contributions_are_shares_of_the_score(found: Anomalies) -> None:
    shares = json.loads(event(found, "s0")["contributions"])
    assert set(shares) <= set(found.scan.features)
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_it_names_what_moved_along_and_how_much_later(found: Anomalies) -> None:
    (other,) = json.loads(event(found, "s0")["correlated"])
    assert other["series"] == 'queue{env="prod",service="s1"}'
    assert other["correlation"] > 0.8
    assert other["lag_s"] == 600
    (back,) = json.loads(event(found, "s1")["correlated"])
    assert back["lag_s"] == -600
    assert "10 min earlier" in event(found, "s1")["description"]


def test_it_knows_an_earlier_one_that_was_alike(found: Anomalies) -> None:
    first = json.loads(event(found, "s0")["similar"])[0]
    assert first["time"].startswith("2026-01-10T05")
    assert first["distance"] < 0.5
    assert "Like that of 2026-01-10 05:" in event(found, "s0")["description"]


def test_stored_anomalies_are_compared_with_as_well() -> None:
    values = days(1)
    values[0, 2400:2410] += 60
    scanned = scan(metrics(values))
    fresh = find_anomalies(scanned)
    assert json.loads(fresh.events["similar"].iloc[-1]) == []
    stored = fresh.events.assign(time=fresh.events["time"] - pd.Timedelta(days=30))
    again = find_anomalies(scanned, past=stored)
    (like,) = json.loads(again.events["similar"].iloc[-1])
    assert like["distance"] == 0
    assert like["time"].startswith("2025-12-14T08")
    for odd in ('{"a": NaN}', '{"a": 1e99}', "[1]", "{", "9" * 5000, "", '{"a": "b"}', '{"a": true}', "[" * 1500):
        assert json.loads(find_anomalies(scanned, past=stored.assign(signature=odd)).events["similar"].iloc[-1]) == []
    bare = build_events({"time": [START], "kind": "anomaly", "title": "x"})
    assert len(find_anomalies(scanned, past=bare).events) == len(fresh.events)


def test_severity_follows_its_rule() -> None:
    least = Alarm().at(300.0)
    high = least + 0.25 * (1 - least)
    given = np.array([least, high, least, high, least, least])
    outside = np.array([0, 0, 6, 6, 5, 100])
    assert severity(given, outside, 300.0, least).tolist() == [13, 17, 17, 21, 13, 17]
    assert severity(np.array([least]), np.array([2]), 3600.0, least).tolist() == [13]


def test_time_outside_of_the_band_is_counted_sample_by_sample(found: Anomalies) -> None:
    time = found.scan.time
    for row, event in zip(found.rows, found.events.to_dict("records"), strict=True):
        first, last = (int(np.searchsorted(time, event[name].to_datetime64())) for name in ("time", "end"))
        sides = (found.scan.values, found.scan.band.low, found.scan.band.high)
        assert event["outside_s"] == 300 * naive.outside(*(side[row, first:last].tolist() for side in sides))


def test_a_window_keeps_what_begins_in_it_or_lasts_into_it(found: Anomalies) -> None:
    whole = find_anomalies(found.scan)
    assert len(whole) == 4
    first = whole.events["time"].iloc[0].to_datetime64()
    assert whole.window == (START, START + 9 * DAY * STEP)
    inside = find_anomalies(found.scan, window=(first + STEP, first + 2 * STEP))
    assert inside.events["time"].tolist() == [pd.Timestamp(first)]
    assert len(find_anomalies(found.scan, window=(first - 2 * STEP, first))) == 0


def test_another_alarm_scores_nothing_anew(found: Anomalies) -> None:
    fewer = found.again(replace(found.alarm, threshold=0.9))
    assert len(fewer) == 0
    assert fewer.scan is found.scan
    assert len(found.again(Alarm())) == len(found)


def test_what_was_planned_raises_the_threshold(found: Anomalies) -> None:
    deploy = build_events(
        {"time": [START + 2395 * STEP], "end": [START + 2450 * STEP], "kind": "deploy", "service": ""}
    )
    factor = expectations(["s0", "s1", "s2", "s3"], found.scan.time, deploy, factor=6.0)
    calm = find_anomalies(found.scan, window=found.window, factor=factor)
    assert len(calm) == 0


def test_words_for_one_event(found: Anomalies) -> None:
    assert found.explain(0) == explain(found.events.iloc[0]) == found.events["description"].iloc[0]
    bare = build_events({"time": [START], "kind": "anomaly", "title": "x\x1b[31m"})
    assert explain(bare.iloc[0]) == "x\ufffd[31m. Since 2026-01-05 00:00:00 UTC."
    with pytest.raises(NotFound, match="no anomaly 7"):
        found.explain(7)
    assert repr(found).startswith("<Anomalies: 2 in 4 series by watchdog")


def test_a_rise_that_stays_is_told_as_one() -> None:
    values = np.random.default_rng(3).normal(100, 1, (1, 2000))
    values[0, 1900:] += 50
    title = find_anomalies(scan(metrics(values, unit="ms"))).events["title"].iloc[-1]
    assert title.startswith("queue rose from 99.7 ms to 150 ms")
    values[0, 1900:] -= 100
    event = find_anomalies(scan(metrics(values[:, :1940], unit="ms"))).events.iloc[-1]
    assert event["title"].startswith("queue fell from 99.7 ms to 50")
    assert event["ongoing"]
    assert "so far for" in event["description"]


def view(values: np.ndarray, center: float = 100.0) -> View:
    block = np.asarray(values, float)
    flat = np.full_like(block, center)
    return View("m", "s", 300.0, block, flat, flat - 3, flat + 3, 900, 912, 905, 905, center, center)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("season", "20 s above what is usual at this time (100 s)"),
        ("burst", "jumped by 20 s within three samples"),
        ("range", "outside everything of the last 3 days at this time (100 s to 100 s)"),
        ("shift", "its level moved up by"),
        ("variance", "it varies more: neighbouring samples differ by 20 s instead of 0 s"),
        ("shape", "a shape not seen in the 3 d 3 h before"),
        ("entropy", "its entropy is unusual"),
    ],
)
def test_each_feature_has_its_words(feature: str, words: str) -> None:
    values = np.full(1000, 100.0)
    values[900:906] = 120.0
    if feature == "variance":
        values[894:906:2] = 120.0
        values[895:906:2] = 100.0
    ((told, share),) = reasons(view(values), [feature], [1.0])
    assert told.startswith(words)
    assert share == 1


def test_headlines_of_what_stays_where_it_is() -> None:
    calm = view(np.full(1000, 100.0))
    assert "varies more than before, around 100 s" in headline(calm, "variance")
    assert "has a shape not seen before" in headline(calm, "shape")
    assert "is unusual at 100 s" in headline(calm, "season")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.25 s"), (45, "45 s"), (150, "2 min 30 s"), (7500, "2 h 5 min"), (97200, "1 d 3 h"), (1e6, "11 d")],
)
def test_durations(seconds: float, words: str) -> None:
    assert lasted(seconds) == words


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_labels_stay_one_printable_line(payload: str) -> None:
    text = payload.encode("utf-8", "replace").decode() or "x"
    values = np.random.default_rng(4).normal(100, 1, (2, 300))
    values[:, 250:260] += 60
    labels = [{"metric": text, "service": text, "env": text, "pool": str(i)} for i in range(2)]
    made = find_anomalies(scan(metrics(values, labels, unit=text)))
    assert len(made) == 2
    for name in ("title", "description", "reasons", "correlated", "similar", "signature", "contributions"):
        for told in made.events[name]:
            assert all(character.isprintable() for character in told), name
    assert repr(made).replace("\n", "").isprintable()
    assert plain(payload, 10) == plain(plain(payload, 10), 10)


JUMP = np.where(np.arange(800) // 40 == 15, 50.0, 0.0) + np.random.default_rng(0).normal(size=(2, 800))
ODD = {
    "no series": np.empty((0, 50)),
    "no time": np.empty((3, 0)),
    "one sample": np.zeros((1, 1)),
    "two samples": np.array([[1.0, 2.0]]),
    "nothing": np.full((2, 500), np.nan),
    "constant": np.full((2, 900), 5.0),
    "huge": JUMP * 1e306,
    "largest": np.sign(JUMP) * 1.7e308,
    "by turns": np.where(np.arange(800) % 2, 1e308, -1e308)[None] * np.ones((2, 1)),
    "one huge": np.where(np.arange(800) == 600, 1e308, JUMP),
    "tiny": JUMP * 1e-320,
    "infinite": np.where(np.arange(800) % 97 == 0, np.inf, JUMP),
    "gaps": np.where(np.random.default_rng(1).random((2, 800)) < 0.5, np.nan, JUMP),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_series_have_defined_answers(name: str) -> None:
    found = find_anomalies(scan(metrics(ODD[name])))
    check_events(found.events)
    assert (len(found) > 0) == (name in ("huge", "one huge", "tiny", "infinite", "gaps"))
    for row in range(len(found)):
        assert len(found.explain(row)) < 2_001
        assert "nan" not in found.explain(row)
    assert repr(found)
    assert np.isnan(found.scan.scores[~np.isfinite(found.scan.metrics.values)]).all()


def test_bad_arrays_and_detectors_are_refused() -> None:
    twice = metrics(days(2, 50), [{"metric": "m"}, {"metric": "m"}])
    with pytest.raises(ShapeError, match="two series have the labels"):
        scan(twice)
    uneven = metrics(days(1, 50)).isel(time=[0, 1, 2, 9])
    with pytest.raises(ShapeError, match="equally distant"):
        scan(uneven)

    class Plugin:
        name = "mine"

        def __init__(self, made: np.ndarray) -> None:
            self.made = made

        def score(self, values: np.ndarray, *, step: float) -> np.ndarray:
            return self.made

    with pytest.raises(InvalidInput, match="keep the shape"):
        scan(metrics(days(1, 50)), Plugin(np.zeros(3)))
    with pytest.raises(InvalidInput, match="keep to 0 to 1"):
        scan(metrics(days(1, 50)), Plugin(np.full((1, 50), 7.0)))
    good = find_anomalies(scan(metrics(days(1, 50)), Plugin(np.where(np.arange(50) == 40, 0.9, 0.0)[None])))
    assert json.loads(good.events["contributions"].iloc[0]) == {"mine": 1.0}
    assert find_anomalies(scan(metrics(days(1, 50)), Seasonal())).scan.features == ("season", "burst")
