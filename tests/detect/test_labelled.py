"""The default detector on labelled operational series: a bar that it must not fall below."""

from __future__ import annotations

from pathlib import Path

from workbench import evaluate


def test_the_watchdog_on_labelled_series(shared_data: Path) -> None:
    data = evaluate.load_nab(shared_data / "detect")
    ran = evaluate.run("watchdog", evaluate.detectors(("watchdog",))["watchdog"], data)
    board = evaluate.score_detectors(data, [ran])
    line, static = board.lines[0], board.static
    assert static is not None
    # With the threshold chosen on the other categories.
    assert line.left_out["standard"] > 74
    assert line.left_out["low_fp"] > 66
    assert line.left_out["low_fn"] > 79
    assert line.events.found >= 43
    assert line.events.false_per_week < 0.8
    assert line.events.row_fpr < 0.0005
    assert line.gain > 0.6
    assert 0.4 < line.events.hit_share < 0.52
