"""Forecasts and capacity from a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import InvalidInput, NotFound
from workbench.session import Bench
from workbench.session import open as open_bench
from workbench.signals import build_samples

START = np.datetime64("2026-01-05", "ns")
HOURS = 24 * 50


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Fifty days of hourly samples: two services with a day and a week, a disk that fills, its size."""
    at, rng = np.arange(HOURS), np.random.default_rng(0)
    load = 100 + 30 * np.sin(2 * np.pi * at / 24) + np.where(at // 24 % 7 < 5, 20, -20)
    values = [load + rng.normal(size=HOURS), 2 * load + rng.normal(size=HOURS), 40 + at / 24, np.full(HOURS, 100.0)]
    labels = [
        {"metric": "load", "service": "cart"}, {"metric": "load", "service": "pay"},
        {"metric": "used", "service": "db"}, {"metric": "size", "service": "db"},
    ]  # fmt: skip
    time = np.tile(START + at * np.timedelta64(3600, "s"), 4)
    samples = build_samples(labels, np.repeat(np.arange(4), HOURS), time, np.concatenate(values))
    with open_bench(tmp_path_factory.mktemp("weeks") / "store") as bench:
        bench.write(samples)
        yield bench


def test_a_week_ahead_from_a_query(weeks: Bench) -> None:
    made = weeks.forecast("load")
    assert dict(made["forecast"].sizes) == {"series": 2, "time": 168}
    assert made.attrs["step_s"] == 3600
    assert made["past"].values[-1] == START + np.timedelta64(HOURS - 1, "h")
    assert made.sizes["past"] == 1176
    at = HOURS + np.arange(168)
    truth = 100 + 30 * np.sin(2 * np.pi * at / 24) + np.where(at // 24 % 7 < 5, 20, -20)
    assert np.abs(made.sel(service="cart")["forecast"].values[0] - truth).mean() < 1
    table = made.crossings(245.0).set_index("service")
    assert table.loc["pay", "probability"] > 0.95
    assert table.loc["cart", "probability"] == 0


def test_horizon_start_end_step_and_level_are_heeded(weeks: Bench) -> None:
    made = weeks.forecast("load", "2d", start="2026-01-20", end="2026-02-10T12:00:00", step="2h", level=0.5)
    assert made.sizes["time"] == 24
    assert made["past"].values[[0, -1]].astype("datetime64[h]").astype(str).tolist() == [
        "2026-01-20T00",
        "2026-02-10T10",
    ]
    assert (made["high"] - made["low"]).mean() < (
        weeks.forecast("load", "2d")["high"] - weeks.forecast("load")["low"]
    ).mean()


def test_a_disk_ends_when_its_size_is_reached(weeks: Bench) -> None:
    for limit in (100.0, "size"):
        found = weeks.capacity("used", limit)
        row = found.table().iloc[0]
        assert abs(row["expected"] - pd.Timestamp("2026-03-06")) < pd.Timedelta(hours=12)
        assert row["probability"] == 1
    assert weeks.capacity("used", 100.0, "5d").table()["probability"].iloc[0] == 0
    assert weeks.capacity("used", 10.0, rising=True).table()["headroom"].iloc[0] < 0


@pytest.mark.parametrize(
    ("ask", "kind", "says"),
    [
        (lambda b: b.forecast("nothing_like_it"), NotFound, "no samples at steps"),
        (lambda b: b.forecast("load", "0s"), InvalidInput, "not ahead"),
        (lambda b: b.forecast("load", "soon"), InvalidInput, "duration"),
        (lambda b: b.forecast("load", step="0s"), InvalidInput, "not positive"),
        (lambda b: b.forecast("load", step="1s"), InvalidInput, "take a longer step"),
        (
            lambda b: b.forecast("load", start="2026-02-01", end="2026-02-01T00:30:00"),
            InvalidInput,
            "less than two steps",
        ),
        (lambda b: b.forecast("load", level=1.5), InvalidInput, "between 0 and 1"),
        (lambda b: b.forecast("load", model="prophet"), InvalidInput, "model 'prophet' is not known"),
        (lambda b: b.forecast(3), InvalidInput, "is not text"),
        (lambda b: b.capacity("used", "nothing_like_it"), InvalidInput, "no value at the end"),
        (lambda b: b.capacity("used", 1.0, "-3d"), InvalidInput, "duration|not ahead"),
    ],
)
def test_what_cannot_be_answered_is_said(weeks: Bench, ask: object, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        ask(weeks)  # type: ignore[operator]


def test_an_empty_store_has_no_future(tmp_path: Path) -> None:
    with open_bench(tmp_path / "store") as bench, pytest.raises(NotFound, match="is empty"):
        bench.forecast("load")
