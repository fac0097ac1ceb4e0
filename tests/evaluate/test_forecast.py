"""Forecasts scored on hourly series: the protocol, and the lines it must meet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.errors import InvalidInput, NotFound, SourceError
from workbench.evaluate.forecast import ForecastScore, predict_hourly, score_hourly
from workbench.evaluate.hourly import cases, fill, hourly_cases, read_hourly


@pytest.fixture(scope="module")
def score(shared_data: Path) -> ForecastScore:
    if not (shared_data / "detect").is_dir():
        pytest.skip("the labelled series are not in the shared data")
    found = hourly_cases(shared_data / "detect")
    assert len(found) == 18
    return score_hourly(found, predict_hourly(found))


def test_simple_forecasts_score_as_published(score: ForecastScore) -> None:
    """Figures measured elsewhere pin the protocol."""
    told = {m["model"]: (round(m["mean"], 3), round(m["median"], 3)) for m in score.models}
    assert told["seasonal naive"] == pytest.approx((1.160, 1.119), abs=0.0011)
    assert told["weekly median profile"] == pytest.approx((1.016, 0.936), abs=0.0011)


def test_the_default_meets_its_lines(score: ForecastScore) -> None:
    ours = score.models[0]
    assert ours["model"] == "default"
    for ending in ("", "_samples"):
        assert ours["mean" + ending] <= 0.95
        assert ours["median" + ending] <= 0.90
    assert 0.85 <= score.coverage <= 0.95


def test_it_is_cheap(score: ForecastScore) -> None:
    """Two milliseconds are the line; a busy machine may take its time."""
    print(f"default: {score.models[0]['cpu_ms']:.2f} ms a series")
    assert score.models[0]["cpu_ms"] < 20


def write(path: Path, hours: int, gap: slice | None = None) -> None:
    at = np.arange(hours)
    time = pd.Timestamp("2026-01-05 00:15:01") + pd.to_timedelta(at, unit="h")
    frame = pd.DataFrame({"timestamp": time, "value": np.sin(2 * np.pi * at / 24) + np.sin(at)})
    (frame if gap is None else frame.drop(frame.index[gap])).to_csv(path, index=False)


def test_series_are_put_on_a_grid_and_cut_at_weekly_origins(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", 24 * 7 * 10, slice(100, 150))
    hours, values = read_hourly(tmp_path / "a.csv")
    assert len(values) == 1680
    assert hours[0] == np.datetime64("2026-01-05T00")
    assert np.flatnonzero(np.isnan(values)).tolist() == list(range(100, 150))
    found = cases("a", hours, values)
    assert [case.origin for case in found] == [hours[-504], hours[-336], hours[-168]]
    assert [len(case.history) for case in found] == [1176] * 3
    np.testing.assert_array_equal(found[0].future, values[-504:-336])
    assert len(cases("a", hours[:600], values[:600])) == 1
    np.testing.assert_array_equal(fill(np.array([np.nan, 1, np.nan, 3, np.nan])), [1, 1, 2, 3, 3])
    assert np.isnan(fill(np.array([np.nan]))).all()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no CSV"):
        hourly_cases(tmp_path)
    for text, says in (
        ("a,b\n1,2\n", "no column"), ("timestamp,value\nx,1\n", "cannot be read"), ("timestamp,value\n", "no rows"),
        ("timestamp,value\n2026-01-01,x\n", "cannot be read"), ("timestamp,value\n1700-01-01,1\n2026-01-01,1\n", "spans"),
    ):  # fmt: skip
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(SourceError, match=says):
            hourly_cases(tmp_path)
    write(tmp_path / "a.csv", 200)
    with pytest.raises(InvalidInput, match="three weeks"):
        hourly_cases(tmp_path)


def test_a_series_that_never_changes_has_no_scale(tmp_path: Path) -> None:
    time = pd.date_range("2026-01-05", periods=1000, freq="h")
    pd.DataFrame({"timestamp": time, "value": 1.0}).to_csv(tmp_path / "flat.csv", index=False)
    write(tmp_path / "b.csv", 1000)
    found = hourly_cases(tmp_path)
    judged = score_hourly(found, predict_hourly(found))
    assert [case["errors"]["default"] is None for case in judged.cases] == [False] * 3 + [True] * 3
    assert np.isfinite(judged.models[0]["mean"])
    assert "default" in str(judged)


def test_the_command_prints_one_document_and_writes_what_was_predicted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "a.csv", 1100, slice(10, 12))
    command = ["evaluate", "forecast", "--data", str(tmp_path / "data"), "--json"]
    done = CliRunner().invoke(cli, [*command, "--predictions", str(tmp_path / "p.csv"), "--dataset", "hourly"])
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert told["horizon_hours"] == 168
    assert {m["model"] for m in told["models"]} >= {"default", "seasonal naive", "weekly median profile"}
    frame = pd.read_csv(tmp_path / "p.csv")
    assert frame.columns.tolist() == ["series", "origin", "timestamp", "forecast", "low", "high"]
    assert len(frame) == 3 * 168
    wrong = CliRunner().invoke(cli, [*command, "--predictions", str(tmp_path / "no" / "p.csv")])
    assert isinstance(wrong.exception, InvalidInput)
    assert "make it first" in str(wrong.exception)
    assert CliRunner().invoke(cli, [*command, "--dataset", "incidents"]).exit_code == 2
