"""The panel of anomalies, and the explorer of what would have paged."""

from __future__ import annotations

import time as clock
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.panels import world
from tests.panels.payloads import PAYLOADS
from tests.panels.test_figures import FORBIDDEN, check, spoiled
from workbench import registry
from workbench.detect import Anomalies, Detector, find_anomalies, scan
from workbench.errors import InvalidInput, NotFound, ShapeError
from workbench.panels import Figure, figure
from workbench.panels.explorer import prepare as explore
from workbench.runbooks import sanitize
from workbench.signals import build_metrics
from workbench.testing import check_panel

START = np.datetime64("2026-01-05", "ns")
STEP = np.timedelta64(300, "s")
DAY = 288


def metrics(values: np.ndarray, labels: list[dict[str, str]] | None = None) -> Any:
    names = labels or [{"metric": f"m{i % 2}", "service": f"s{i // 2}"} for i in range(len(values))]
    return build_metrics(np.asarray(values, float), START + np.arange(values.shape[1]) * STEP, names, {"unit": "By"})


@pytest.fixture(scope="module")
def found() -> Anomalies:
    at, rng = np.arange(16 * DAY), np.random.default_rng(3)
    values = 1e9 + 1e8 * np.sin(2 * np.pi * at / DAY) + 1e7 * rng.normal(size=(4, len(at)))
    values[0, 2400:2420] += 6e8
    values[0, 4000:4020] += 6e8
    values[3, 4100:4110] += 6e8
    return find_anomalies(scan(metrics(values)), window=(START + 2 * DAY * STEP, START + 16 * DAY * STEP))


@pytest.fixture(scope="module")
def made(found: Anomalies) -> list[Figure]:
    return [found.show(), found.show(decomposed=0), found.show("anomaly_explorer")]


def test_they_are_safe_fragments_and_plain_text(made: list[Figure]) -> None:
    for shown in made:
        markup = shown.html()
        assert check(markup).offences == []
        assert markup == shown.html()
        kept = check(sanitize.panel(markup))
        assert "".join(kept.text) == "".join(check(markup).text)
        assert max(map(len, shown.text().splitlines())) <= 220
        assert set(shown._repr_mimebundle_()[0]) == {"text/plain", "text/html"}
        assert len(markup) < 200_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text(payload: str, made: list[Figure]) -> None:
    for shown in made:
        data = replace(shown.data, source=None) if hasattr(shown.data, "source") else shown.data
        bad = replace(shown, data=spoiled(data, payload))
        markup, text = bad.html(), bad.text()
        assert check(markup).offences == []
        assert not set(text) & set(FORBIDDEN)
        (markup + text).encode("utf-8")


@pytest.mark.parametrize("payload", PAYLOADS[:8])
def test_hostile_labels_stay_text(payload: str) -> None:
    text = payload.encode("utf-8", "replace").decode()
    values = np.random.default_rng(0).normal(100, 1, (2, 300))
    values[:, 250:260] += 60
    names = [{"metric": text, "service": text + "a"}, {"metric": text, "service": text + "b"}]
    whole = find_anomalies(scan(metrics(values, names)))
    for shown in (whole.show(), whole.show("anomaly_explorer")):
        assert check(shown.html()).offences == []
        assert not set(shown.text()) & set(FORBIDDEN)
    assert "{safe}" not in str(whole.show().live())
    widget = whole.show("anomaly_explorer").live()
    widget.service.value = 0
    assert check(widget.picture.value).offences == []
    assert not set("".join(label for label, _ in widget.service.options)) & set(FORBIDDEN)


def test_each_series_has_its_line_band_strips_and_alarms(found: Anomalies, made: list[Figure]) -> None:
    data = made[0].data
    assert len(data.tracks) == 4
    assert [track.chart.title for track in data.tracks[:2]] == ["m1 (service=s1)", "m0 (service=s0)"]
    assert [bool(track.episodes) for track in data.tracks] == [True, True, False, False]
    first = data.tracks[0]
    assert first.features == (*found.scan.features, "score")
    assert first.strength.shape == (len(first.features), len(first.edges) - 1)
    hit = first.episodes[np.argmax([e.score for e in first.episodes])]
    cell = int(np.searchsorted(first.edges, hit.start, side="right")) - 1
    assert first.strength[-1, cell : cell + 2].max() == pytest.approx(hit.score, abs=0.2)
    assert "GiB was expected" in first.chart.says
    assert len(data.rows) == len(found)
    assert found.show(charts=1).data.more == 3
    assert "3 more series were watched" in found.show(charts=1).html()


def test_one_series_is_taken_apart_where_asked(found: Anomalies, made: list[Figure]) -> None:
    assert [part.title for part in made[1].data.tracks[0].parts] == ["trend", "season", "rest"]
    assert all(len(part.point) == len(made[1].data.tracks[0].chart.time) for part in made[1].data.tracks[0].parts)
    assert made[0].data.tracks[0].parts == ()
    with pytest.raises(InvalidInput, match="4 are drawn"):
        found.show(decomposed=4)


def test_nothing_to_draw_is_said(incident: Any) -> None:
    none = find_anomalies(scan(metrics(np.empty((0, 50)))))
    calm = find_anomalies(scan(metrics(np.full((1, 400), 5.0))))
    shown = [none.show(), none.show("anomaly_explorer"), calm.show(), figure("anomalies", incident)]
    for each in (*shown, figure("anomaly_explorer", world.quiet())):
        assert "othing" in each.text()
        assert check(each.html()).offences == []
        assert each.live() is not None
    assert "Nothing unusual in 1 series" in calm.show().html()
    short = find_anomalies(scan(metrics(np.zeros((2, 5)))))
    assert "2 of 2 series have too short a past to be judged" in short.show().text()
    assert "Nothing unusual" not in short.show().html()
    assert "2 have too short a past" in repr(short)
    for name in ("anomalies", "anomaly_explorer"):
        with pytest.raises(ShapeError, match="are no anomalies"):
            figure(name, none.events)


@pytest.mark.parametrize("value", [np.nan, 0.0, 5.0, 1e308, -1e308, 5e-324])
def test_odd_series_are_drawn(value: float) -> None:
    for t in (1, 2, 3, 60, 700):
        values = np.full((1, t), value)
        values[0, t // 2] = 1.0
        whole = find_anomalies(scan(metrics(values)))
        for shown in (whole.show(), whole.show(decomposed=0), whole.show("anomaly_explorer")):
            markup = shown.html()
            assert check(markup).offences == []
            assert "nan" not in markup.split("</style>")[1]
            assert shown.text()


def test_charts_become_bokeh_models(made: list[Figure]) -> None:
    import holoviews as hv

    for shown in made[:2]:
        assert hv.render(shown.live(), backend="bokeh") is not None


def test_they_keep_the_promises_of_panels() -> None:
    for name in ("anomalies", "anomaly_explorer"):
        check_panel(registry.load("workbench.panels", name)())


def test_the_explorer_counts_pages_by_week(found: Anomalies) -> None:
    data = explore(found)
    assert len(data.weeks) == 2
    assert sum(count for _, count in data.weeks) == data.pages == len(found)
    assert data.weeks[-1][0] == found.window[1] - np.timedelta64(7, "D")
    assert data.services == ("s0", "s1")
    assert data.metrics == ("m0", "m1")
    assert data.watched == 4
    assert data.rows[0][0] > data.rows[-1][0]
    one = explore(found, service="s1", metric="m1", threshold=0.3)
    assert one.watched == 1
    assert one.pages == 1
    assert one.rows[0][1] == "m1 (service=s1)"
    assert one.track is not None
    assert [len(one.track.episodes), one.track.chart.title] == [1, "m1 (service=s1)"]
    pages = [explore(found, threshold=t).pages for t in (0.1, 0.2, 0.4, 0.9, 1.0)]
    assert pages == sorted(pages, reverse=True)
    assert pages[-1] == 0


def test_the_explorer_refuses_what_is_not_there(found: Anomalies) -> None:
    with pytest.raises(NotFound, match="no series has the service 's7'"):
        explore(found, service="s7")
    with pytest.raises(NotFound, match="no series has the metric 'x'"):
        explore(found, metric="x")
    with pytest.raises(InvalidInput, match="0 < threshold <= 1"):
        explore(found, threshold=0.0)


def test_the_widget_asks_again_and_scores_nothing_anew(found: Anomalies, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = found.show("anomaly_explorer").live()
    monkeypatch.setattr(Detector, "parts", lambda *_, **__: pytest.fail("scored again"))
    before = widget.picture.value
    began = clock.process_time()
    for threshold in (0.2, 0.3, 0.5):
        widget.threshold.value = threshold
        assert widget.data.threshold == threshold
    assert clock.process_time() - began < 3
    assert widget.picture.value != before
    widget.metric.value = 1
    widget.service.value = 1
    assert (widget.data.service, widget.data.metric) == ("s1", "m1")
    assert widget.data.pages == explore(found, service="s1", metric="m1", threshold=0.5).pages
    widget.service.value = -1
    assert (widget.data.service, widget.data.metric) == (None, "m1")


def test_the_widget_keeps_a_metric_that_another_service_has() -> None:
    labels = [{"metric": "a", "service": "x"}, {"metric": "b", "service": "x"}, {"metric": "b", "service": "y"}]
    whole = find_anomalies(scan(metrics(np.random.default_rng(0).normal(size=(3, 300)), labels)))
    widget = whole.show("anomaly_explorer").live()
    widget.metric.value = 1
    widget.service.value = 1
    assert (widget.data.service, widget.data.metric) == ("y", "b")
    widget.service.value = 0
    widget.metric.value = 0
    assert (widget.data.service, widget.data.metric) == ("x", "a")
    widget.service.value = 1
    assert (widget.data.service, widget.data.metric) == ("y", None)
