"""Faults of known size, and the curves of detectors that see everything, nothing, or what is there."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from workbench import cli, registry
from workbench.errors import InvalidInput, ShapeError
from workbench.evaluate.faults import DAY, KINDS, LENGTHS, inject, make_world
from workbench.evaluate.injected import at_least, detection_curves, quiet_threshold
from workbench.evaluate.labelled import Block


@dataclass(frozen=True)
class Distance:
    """How far each value lies from the median of the first day, squeezed into 0 to 1."""

    name: ClassVar[str] = "distance"

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        past = values[:, :DAY]
        center = np.median(past, axis=1, keepdims=True)
        away = np.abs(values - center) / np.std(past, axis=1, keepdims=True)
        away[:, :DAY] = np.nan
        return away / (away + 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_has_its_size_and_place(kind: str) -> None:
    world = make_world(5, 3, 4, amplitude=10.0)
    assert np.allclose(world.noise.std(axis=1, keepdims=True) / world.sigma, 1.0, atol=0.05)
    values, onset = inject(kind, world, 6.0, 1)
    away = (values - world.values) / world.sigma
    length = LENGTHS[kind]
    for row, begin in enumerate(onset.tolist()):
        assert begin >= 2 * DAY
        assert begin + length <= 3 * DAY
        assert not away[row, :begin].any()
        assert not away[row, begin + length :].any()
        assert away[row, begin]
        if kind == "variance":
            during = values[row, begin : begin + length] - world.values[row, begin : begin + length]
            assert np.allclose(during, 5 * world.noise[row, begin : begin + length], atol=1e-6 * world.sigma[row])
        else:
            assert np.abs(away[row]).max() == pytest.approx(6.0, rel=1e-6)
    again, _ = inject(kind, world, 6.0, 1)
    assert np.array_equal(values, again)


def test_worlds_are_seeded_and_refused() -> None:
    assert np.array_equal(make_world(2, 1, 7).values, make_world(2, 1, 7).values)
    assert not np.array_equal(make_world(2, 1, 7).values, make_world(2, 1, 8).values)
    with pytest.raises(InvalidInput, match="1 of each"):
        make_world(0, 3, 1)
    with pytest.raises(InvalidInput, match="kind of fault"):
        inject("gremlin", make_world(1, 1, 1), 3.0, 1)


def test_curves_of_detectors_that_are_known() -> None:
    few = {"kinds": ("level", "spike"), "sizes": (40.0,), "count": 2, "days": 3}
    sure = detection_curves("distance", Distance(), 0.62, **few)  # type: ignore[arg-type]
    assert [(cell.missed, cell.delay_steps) for cell in sure.cells] == [(0, 0.0), (0, 0.0)]
    assert sure.false_share == 0
    blind = detection_curves("distance", Distance(), lambda s, step: np.zeros(s.shape, bool), **few)  # type: ignore[arg-type]
    assert [(cell.missed, cell.delay_steps) for cell in blind.cells] == [(2, 360.0), (2, 3.0)]
    assert blind.threshold is None
    nervous = detection_curves("distance", Distance(), at_least(0.0), **few)  # type: ignore[arg-type]
    assert nervous.false_share == 1.0
    document = json.loads(json.dumps(sure.to_json(), allow_nan=False))
    assert document["cells"][0]["missed_percent"] == 0
    assert "40 sigma" in str(sure)
    with pytest.raises(ShapeError, match="thresholder"):
        detection_curves("distance", Distance(), lambda s, step: s, **few)  # type: ignore[arg-type,return-value]


def test_the_quiet_threshold_keeps_its_promise() -> None:
    level = quiet_threshold("distance", Distance(), share=0.25, count=4, days=2)
    highest = []
    world = make_world(4, 2, (0, len(KINDS), 0))
    highest = np.nanmax(Distance().score(world.values)[:, DAY:], axis=1)
    assert (highest >= level).sum() == 1
    assert quiet_threshold("distance", Distance(), share=1.0, count=1, days=2) == 0.0


def test_the_command_prints_curves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(registry._extra, "workbench.detectors", {"distance": f"{__name__}:Distance"})
    words = [
        "evaluate",
        "detect",
        "--dataset",
        "injected",
        "--detector",
        "distance",
        "--series",
        "1",
        "--threshold",
        "0.6",
    ]
    monkeypatch.setattr(sys, "argv", ["workbench", *words, "--json"])
    cli.main()
    (curves,) = json.loads(capsys.readouterr().out)["detectors"]
    assert len(curves["cells"]) == 25
    assert {cell["kind"] for cell in curves["cells"]} == set(KINDS)
    assert curves["threshold"] == 0.6
    assert curves["series_days"] == 50
