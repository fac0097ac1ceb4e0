"""The panels of what comes: forecast and capacity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.panels import world
from tests.panels.payloads import PAYLOADS
from tests.panels.test_figures import FORBIDDEN, check, spoiled
from workbench.detect.forecast import Forecast, forecast_metrics
from workbench.diagnose.capacity import Capacity, assess
from workbench.errors import ShapeError
from workbench.panels import Figure, figure
from workbench.runbooks import sanitize
from workbench.signals import build_metrics
from workbench.testing import check_panel

DAY_NS = 86_400 * 10**9


def metrics(values: np.ndarray, names: list[dict[str, str]] | None = None) -> Any:
    time = np.datetime64("2026-01-05", "ns") + np.arange(values.shape[1]) * np.timedelta64(3600, "s")
    labels = names or [{"metric": "load", "service": f"s{i}"} for i in range(len(values))]
    return build_metrics(values, time, labels, {"unit": "By"})


def load(n: int = 3, t: int = 900) -> np.ndarray:
    at, rng = np.arange(t), np.random.default_rng(2)
    return np.asarray(1e9 + 1e8 * np.sin(2 * np.pi * at / 24) + 1e5 * at + 1e7 * rng.normal(size=(n, t)))


@pytest.fixture(scope="module")
def ahead() -> Forecast:
    return forecast_metrics(metrics(load()), 7 * DAY_NS)


@pytest.fixture(scope="module")
def space() -> Capacity:
    return assess(metrics(load()), np.array([1.2e9, 1.5e9, np.nan]), 90 * DAY_NS)


@pytest.fixture(scope="module")
def made(ahead: Forecast, space: Capacity) -> list[Figure]:
    return [ahead.show(), ahead.show(threshold=1.2e9), space.show()]


def test_they_are_safe_fragments_and_plain_text(made: list[Figure]) -> None:
    for shown in made:
        markup = shown.html()
        assert check(markup).offences == []
        assert markup == shown.html()
        kept = check(sanitize.panel(markup))
        assert "".join(kept.text) == "".join(check(markup).text)
        assert max(map(len, shown.text().splitlines())) <= 220
        assert set(shown._repr_mimebundle_()[0]) == {"text/plain", "text/html"}
        assert len(markup) < 80_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text(payload: str, made: list[Figure]) -> None:
    for shown in made:
        bad = replace(shown, data=replace(spoiled(shown.data, payload), kind=shown.data.kind))
        markup, text = bad.html(), bad.text()
        assert check(markup).offences == []
        assert not set(text) & set(FORBIDDEN)
        (markup + text).encode("utf-8")


@pytest.mark.parametrize("payload", PAYLOADS[:6])
def test_hostile_labels_stay_text(payload: str) -> None:
    text = payload.encode("utf-8", "replace").decode()
    names = [{"metric": text, "service": text + "a"}, {"metric": text, "service": text + "b"}]
    whole = metrics(load(2, 100), names)
    for shown in (forecast_metrics(whole, DAY_NS).show(), assess(whole, 2e9, DAY_NS).show()):
        assert check(shown.html()).offences == []
        assert not set(shown.text()) & set(FORBIDDEN)
        assert "{safe}" not in str(shown.live())


def test_a_forecast_says_what_it_is_made_of_and_when_it_crosses(ahead: Forecast) -> None:
    data = ahead.show(threshold=1.15e9).data
    assert data.columns[-4:] == ("crosses", "10 %", "50 %", "90 %")
    assert all("default: " in chart.says and "profile" in chart.says for chart in data.charts)
    assert len(data.charts[0].past) == 336
    assert ">99 %" in data.rows[0]
    assert ahead.show(charts=1).data.more == 2
    one = ahead.sel(service="s1").show().data
    assert one.charts[0].title == "load (service=s1)"


def test_capacity_names_the_first_to_end(space: Capacity) -> None:
    data = space.show().data
    assert data.rows[0][0] == "load (service=s0)"
    assert data.charts[0].limit == 1.2e9
    assert "limit reached" in data.charts[0].says
    assert data.rows[2][5] == ""
    assert "90 days" in data.subtitle


def test_nothing_to_draw_is_said(incident: Any) -> None:
    none = metrics(np.empty((0, 50)))
    for shown in (
        forecast_metrics(none, DAY_NS).show(), assess(none, 1.0, DAY_NS).show(), figure("forecast", incident),
        figure("capacity", world.quiet()),
    ):  # fmt: skip
        assert "othing" in shown.text()
        assert check(shown.html()).offences == []
        assert shown.live() is not None
    with pytest.raises(ShapeError, match="lacks"):
        figure("forecast", none.to_dataset(name="x"))


@pytest.mark.parametrize("value", [np.nan, 0.0, 5.0, 1e308, -1e308, 5e-324])
def test_odd_series_are_drawn(value: float) -> None:
    for t in (2, 3, 60):
        whole = metrics(np.full((1, t), value))
        for shown in (forecast_metrics(whole, DAY_NS).show(threshold=1.0), assess(whole, 1.0, DAY_NS).show()):
            markup = shown.html()
            assert check(markup).offences == []
            assert "nan" not in markup.split("</style>")[1].replace("tenan", "")
            assert shown.text()


def test_charts_become_bokeh_models(made: list[Figure]) -> None:
    import holoviews as hv

    for shown in made:
        assert hv.render(shown.live(), backend="bokeh") is not None


def test_they_keep_the_promises_of_panels() -> None:
    from workbench import registry

    for name in ("forecast", "capacity"):
        check_panel(registry.load("workbench.panels", name)())
