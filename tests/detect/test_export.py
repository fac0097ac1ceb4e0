"""Detectors as Prometheus rules: valid, literal, and firing where the detector would, as promtool sees it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workbench.detect import LevelShift, PromqlBand, export_rules
from workbench.errors import InvalidInput
from workbench.query import promql


@dataclass(frozen=True)
class Seasonal:
    """Has the name by which the seasonal residual is known."""

    name: ClassVar[str] = "seasonal"


@dataclass(frozen=True)
class Own:
    """A detector of one's own that says its band."""

    name: ClassVar[str] = "own"

    def promql(self, name: str, step: float) -> PromqlBand:
        return PromqlBand(
            f"avg_over_time({name}:value[{step:g}s])", f"{name}:value", f"stddev_over_time({name}:value[1h])"
        )


@dataclass(frozen=True)
class Profile:
    """Nothing that PromQL could say."""

    name: ClassVar[str] = "matrix_profile"


def rules(text: str) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(text)["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("detector", [LevelShift(), LevelShift(direction="down", recent=1), Seasonal(), Own()])
def test_expressions_are_promql(detector: Any) -> None:
    made = rules(export_rules(detector, "rate(errors_total[5m])", name="errors", step=30.0))
    assert [rule.get("record") for rule in made] == [
        "errors:value", "errors:expected", "errors:residual", "errors:spread", None,
    ]  # fmt: skip
    for rule in made:
        promql.parse(rule["expr"])
    assert made[0]["expr"] == "rate(errors_total[5m])"
    assert made[-1]["labels"] == {"detector": detector.name}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT, TEXT)
def test_texts_come_back_as_they_were(expr: str, label: str) -> None:
    if not expr.strip():
        expr = "up"
    text = export_rules(LevelShift(), expr, name="n", labels={"team": label}, annotations={"runbook": label})
    made = rules(text)
    assert made[0]["expr"] == expr
    assert made[-1]["labels"]["team"].replace('{{"{{"}}', "{{") == label
    assert made[-1]["annotations"]["runbook"].replace('{{"{{"}}', "{{") == label
    assert len(made) == 5


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInput, match="schedule the runbook watch_a_metric"):
        export_rules(Profile(), "up", name="n")
    for wrong in ({"name": "a b"}, {"name": "n\n"}, {"distance": 0}, {"step": 0.5}, {"hold": -1}, {"expr": " "}):
        with pytest.raises(InvalidInput, match="export was given"):
            export_rules(LevelShift(), **{"expr": "up", "name": "n", **wrong})  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="not allowed"):
        export_rules(LevelShift(), "up", name="n", labels={"a-b": "x"})
    with pytest.raises(InvalidInput, match="half of a character"):
        export_rules(LevelShift(), "up", name="n", labels={"a": "\ud800"})


@pytest.mark.parametrize("detector", [LevelShift(), Seasonal(), Own()])
def test_promtool_accepts_them(debian: None, detector: Any, tmp_path: Path) -> None:
    hostile = 'evil "quote" \\ {{ $labels }} \n- alert: x \U0001f600 \x07'
    text = export_rules(
        detector, "up  # a comment", name="n", hold=120, labels={"team": hostile}, annotations={"more": hostile}
    )
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 5 rules found" in done.stdout


def fires(folder: Path, text: str, values: np.ndarray, interval: str, at: dict[str, bool]) -> None:
    """Ask promtool whether the alert fires at some times, for one series of values."""
    (folder / "rules.yml").write_text(text)
    wanted = {"exp_labels": {"detector": "x", "job": "a"}}
    tests = [
        {"eval_time": time, "alertname": "n", "exp_alerts": [wanted] * firing} for time, firing in at.items()
    ]  # fmt: skip
    series = {"series": 'm{job="a"}', "values": " ".join(f"{v:.4f}" for v in values)}
    unit = {"interval": interval, "input_series": [series], "alert_rule_test": tests}
    (folder / "test.yml").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": [unit]})
    )
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def silent_texts(text: str) -> str:
    """Take out what promtool would compare and no test is about."""
    lines = text.splitlines()
    kept = lines[: next(i for i, line in enumerate(lines) if line.strip() == "annotations:")]
    return "\n".join(kept) + "\n"


def test_a_level_shift_fires_the_alert(debian: None, tmp_path: Path) -> None:
    values = 100 + np.random.default_rng(3).normal(0, 2, 320)
    values[200:] += 60
    text = silent_texts(export_rules(LevelShift(), "m", name="n", labels={"detector": "x"}))
    fires(
        tmp_path,
        text,
        values,
        "1m",
        {"5m": False, "60m": False, "199m": False, "203m": True, "255m": True, "310m": False},
    )


def test_a_lost_season_fires_the_alert(debian: None, tmp_path: Path) -> None:
    slots = np.arange(24 * 5)
    values = 100 + 50 * np.sin(slots / 24 * 2 * np.pi) + np.random.default_rng(3).normal(0, 2, len(slots))
    values[102] = 100.0  # six in the morning, when 150 is usual: an everyday value at the wrong time
    text = silent_texts(export_rules(Seasonal(), "m", name="n", step=3600, labels={"detector": "x"}))
    fires(tmp_path, text, values, "1h", {"50h": False, "78h": False, "101h": False, "102h": True, "104h": False})
