"""Detectors over labelled folders: contract, lines, thresholds learned elsewhere, predictions, the command itself."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.evaluate.labelled_files import write_nab, write_rows
from workbench import cli, registry
from workbench.errors import InvalidInput, MissingDependency, WorkbenchError, WorkbenchWarning
from workbench.evaluate import detectors, learn_thresholds, load_nab, load_series, run, score_detectors
from workbench.evaluate.labelled import Block
from workbench.evaluate.running import grid_scores


@dataclass(frozen=True)
class Jump:
    """Scores how far a value lies from the mean of the 60 before, in tens of their deviation."""

    name: ClassVar[str] = "jump"

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        assert step == 300.0
        scores = np.full(values.shape, np.nan)
        for column in range(60, values.shape[1]):
            past = values[:, column - 60 : column]
            scores[:, column] = np.abs(values[:, column] - np.nanmean(past, axis=1)) / np.nanstd(past, axis=1) / 100
        return np.minimum(scores, 1.0)


@dataclass(frozen=True)
class Bad:
    """Breaks the contract in the way it is told to."""

    name: ClassVar[str] = "bad"
    how: str = "raise"

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        if self.how == "raise":
            raise ZeroDivisionError("by nothing")
        return {"shape": values[:, :-1], "high": values * 0 + 2, "low": values * 0 - 1, "text": np.array("a")}[self.how]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug a detector in, beside the built-in ones, for one test."""
    monkeypatch.setitem(registry._extra, "workbench.detectors", {"jump": f"{__name__}:Jump"})
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Jump.__module__])


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def ran(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["workbench", "evaluate", "detect", *map(str, words)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return ran


def test_a_line_of_the_scoreboard(tmp_path: Path) -> None:
    data = load_nab(write_nab(tmp_path / "nab"))
    ran = run("jump", Jump(), data)
    assert ran.micros_per_point > 0
    board = score_detectors(data, [ran])
    (line,) = board.lines
    assert line.nab["standard"] > 80
    assert set(line.left_out) == {"standard", "low_fp", "low_fn"}
    assert (line.events.found, line.events.windows) == (4, 4)
    assert line.events_left_out is not None
    assert line.events.false_episodes == 0
    assert line.events.delay_steps == 10
    assert line.vus_pr > 0.2
    assert board.static is not None
    document = json.loads(json.dumps(board.to_json(), allow_nan=False))
    assert document["detectors"][0]["found"] == 4
    assert (document["files"], document["rows"], document["windows"]) == (5, 3000, 4)
    text = str(board)
    assert "jump" in text
    assert "4 of 4" in text
    assert "static rule" in text


@pytest.mark.parametrize("how", ["raise", "shape", "high", "low", "text"])
def test_a_broken_detector_is_named(how: str) -> None:
    with pytest.raises(WorkbenchError, match=r"detector 'bad' .* on a/f\.csv|detector 'bad' scored a/f\.csv"):
        grid_scores("bad", Bad(how), np.zeros((1, 9)), 60.0, "a/f.csv")


def test_all_detectors_are_made_or_those_asked_for() -> None:
    assert list(detectors(["change", "change"])) == ["change"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WorkbenchWarning)  # of those that need what is not installed
        made = set(detectors())
    assert made - {"autoencoder", "lstm"} == set(registry.names("workbench.detectors")) - {"autoencoder", "lstm"}


def test_one_that_needs_what_is_not_there_is_skipped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.warns(WorkbenchWarning, match=r"'(lstm|autoencoder)' needs torch.*\[deep\]"):
        made = detectors()
    assert set(made) == set(registry.names("workbench.detectors")) - {"autoencoder", "lstm"}
    with pytest.raises(MissingDependency, match="needs torch"):
        detectors(["lstm"])


def test_the_command_prints_a_table_and_writes_predictions(jump: None, command: Run, tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    code, out, err = command(
        "--dataset", "nab", "--data", tmp_path, "--detector", "jump", "--predictions", tmp_path / "p"
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "jump" in out
    assert "wrote scores of 5 files" in out
    source = tmp_path / "nab" / "data" / "web" / "a.csv"
    with (tmp_path / "p" / "web" / "a.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == ["timestamp", "value", "anomaly_score"]
    assert [",".join(row[:2]) for row in written[1:]] == source.read_text().splitlines()[1:]
    assert max(float(row[2]) for row in written[1:]) == max(run("j", Jump(), load_nab(tmp_path)).scores["web/a.csv"])


def test_json_is_one_document(jump: None, command: Run, tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    words = ("--dataset", "nab", "--data", tmp_path, "--detector", "jump", "--detector", "change", "--json")
    code, out, _ = command(*words, "--predictions", tmp_path / "p")
    assert code == 0
    document = json.loads(out)
    assert [one["detector"] for one in document["detectors"]] == ["jump", "change"]
    assert {
        "nab",
        "vus_pr",
        "f1",
        "found",
        "row_fpr",
        "false_per_week",
        "delay_steps",
        "microseconds_per_point",
    } <= set(document["detectors"][0])
    assert (tmp_path / "p" / "jump" / "web" / "a.csv").is_file()
    assert (tmp_path / "p" / "change" / "web" / "a.csv").is_file()
    fixed = json.loads(command(*words, "--threshold", "0.9")[1])
    assert fixed["detectors"][0]["thresholds"] == {"standard": 0.9, "low_fp": 0.9, "low_fn": 0.9}
    assert fixed["detectors"][0]["nab_leave_one_category_out"] == {}


def test_a_threshold_learned_elsewhere(jump: None, command: Run, tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    write_nab(tmp_path / "other", seed=9)
    words = ("--dataset", "nab", "--detector", "jump", "--json", "--data")
    best = json.loads(command(*words, tmp_path / "nab")[1])["detectors"][0]["thresholds"]
    applied = json.loads(command(*words, tmp_path / "other", "--threshold-from", tmp_path)[1])
    learned = applied["detectors"][0]["thresholds"]
    assert learned == applied["thresholds"]["jump"]
    assert 0 < learned["standard"] < best["standard"]  # the middle of a wide gap, not its edge
    assert applied["detectors"][0]["nab"]["standard"] > 50


def test_without_labels_only_predictions_are_written(jump: None, command: Run, tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    rows = "timestamp,value\n" + "".join(f"{1_700_000_000 + 300 * i},{i % 7}.50\n" for i in reversed(range(200)))
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "x.csv").write_text(rows)
    (tmp_path / "mine" / "bad\x1b[31m.csv").write_text("nothing")
    words = ("--dataset", "series", "--data", tmp_path / "mine", "--detector", "jump")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "no labels" in err
    code, out, err = command(*words, "--predictions", tmp_path / "p", "--threshold-from", tmp_path)
    assert code == 0
    assert "nothing can be scored: only predictions are written" in out
    assert "199 rows were out of order" in out
    assert "\x1b" not in out
    written = (tmp_path / "p" / "deep" / "x.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in written[1:]] == rows.splitlines()[1:]
    document = json.loads(command(*words, "--predictions", tmp_path / "p", "--threshold-from", tmp_path, "--json")[1])
    assert document["detectors"] == []
    assert document["thresholds"]["jump"]["standard"] > 0
    assert len(document["skipped"]) == 1


def test_bad_usage_is_one_sentence(command: Run, tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    (tmp_path / "file").write_text("")
    nab = ("--dataset", "nab", "--data", tmp_path)
    for words, said in (
        ((*nab, "--threshold", "0.5", "--threshold-from", tmp_path), "give one of them"),
        (("--dataset", "nab"), "--data goes with"),
        (("--dataset", "injected", "--data", tmp_path), "--data goes with"),
        (("--dataset", "injected", "--predictions", tmp_path / "p"), "does not go with"),
        ((*nab, "--predictions", tmp_path / "file"), "is a file"),
        ((*nab, "--predictions", tmp_path / "nab" / "data" / "p"), "among the data"),
    ):
        code, out, err = command(*words)
        assert (code, out) == (2, ""), words
        assert said in err
    write_rows(tmp_path / "plain" / "a.csv", [1.0, 2.0])
    code, _, err = command(*nab, "--detector", "change", "--threshold-from", tmp_path / "plain")
    assert (code, "no labelled window" in err) == (2, True)
    assert command("--dataset", "nab", "--data", tmp_path, "--detector", "jumpy")[0] == 1


@dataclass(frozen=True)
class Mute:
    """Finds nothing strange in any value."""

    name: ClassVar[str] = "mute"

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        return np.where(np.isnan(values), np.nan, 0.0)


def test_values_at_the_ends_of_the_range(tmp_path: Path) -> None:
    """Constant, empty, all NaN, two samples, 1e308 and denormals become a scoreboard, the static rule's line included."""
    for name, values in {
        "constant": [5.0] * 300, "nothing": [float("nan")] * 300, "two": [1.0, 2.0],
        "huge": [1e308, -1e308] * 150, "tiny": [5e-324] * 300,
    }.items():  # fmt: skip
        write_rows(tmp_path / f"{name}.csv", values)
    (tmp_path / "labels.json").write_text('{"constant.csv": [["2024-03-01T20:00:00", "2024-03-01T21:00:00"]]}')
    data = load_series(tmp_path)
    board = score_detectors(data, [run("mute", Mute(), data)])
    json.dumps(board.to_json(), allow_nan=False)
    assert board.lines[0].nab["standard"] == 0.0
    with pytest.raises(InvalidInput, match="no labelled window"):
        learn_thresholds(type(data)([], True), {})
