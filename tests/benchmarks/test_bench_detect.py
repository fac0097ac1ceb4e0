"""The measurements of detection on a little, so that they cannot rot."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import bench_detect
from workbench.detect import Watchdog


def test_ticks_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(bench_detect.tick(Namespace(series=3, ticks=4)))
    assert [target.most for target in found] == [True, True]
    assert all(target.value is not None and target.value > 0 for target in found)
    assert "bytes each" in capsys.readouterr().out


def test_a_choice_is_a_main_effect_and_never_sees_its_category(shared_data: Path) -> None:
    data = bench_detect.evaluate.load_nab(shared_data / "detect")
    scores = {one.key: np.linspace(0.1, 1.0, len(one.time)) for one in data.series}
    how = bench_detect.PROFILES["standard"]
    parts = dict(zip(scores, bench_detect.contributions(data.series, scores, how), strict=True))
    silent = {key: (part[0] * 0 + 1e-9, part[1] * 0) for key, part in parts.items()}
    cells = {(0,): {"standard": silent}, (1,): {"standard": parts}}
    assert bench_detect.choose(data, cells, (2,), "realAdExchange") in ((0,), (1,))
    assert bench_detect.variant(0.95, 3600.0, 5) != Watchdog()


def test_peers_that_are_there_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_detect.has("numpy")
    assert not bench_detect.has("no_such_detector")
    assert "left out" in capsys.readouterr().out
