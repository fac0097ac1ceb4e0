"""Diagnosis on the recorded incidents, with their truth out of sight."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import InvalidInput, NotFound
from workbench.evaluate import predict_incidents, read_truths, score_incidents, wilson
from workbench.evaluate.incidents import Score


@pytest.fixture(scope="module")
def score(incidents: dict[str, Path]) -> Score:
    folder = next(iter(incidents.values())).parent
    return score_incidents(folder, predict_incidents(folder))


def test_the_true_service_comes_first(score: Score) -> None:
    wrong = [case["name"] for case in score.cases if not case["right"] and case["truth"]["service"]]
    assert score.faulty >= 8
    assert len({case["truth"]["kind"] for case in score.cases} - {None}) >= 6
    assert score.first >= 0.875 * score.faulty, wrong


def test_it_abstains_where_nothing_broke(score: Score) -> None:
    assert score.quiet >= 1
    assert score.abstained == score.quiet


def test_it_takes_less_than_ten_seconds_each(score: Score) -> None:
    assert max(case["seconds"] for case in score.cases) < 10.0


def test_the_onset_is_found_within_half_a_minute(score: Score) -> None:
    errors = [abs(case["onset_error_s"]) for case in score.cases if case["onset_error_s"] is not None and case["right"]]
    assert sorted(errors)[len(errors) // 2] <= 15.0
    assert sum(error <= 30.0 for error in errors) >= 0.8 * len(errors)


def test_the_truth_is_not_read(incidents: dict[str, Path], tmp_path: Path) -> None:
    """The command gives the same answer on a recording whose truth and card are gone, or are lies."""
    source = incidents.get("payment-latency", next(iter(incidents.values())))
    answers = []
    for variant in ("whole", "hidden", "lying"):
        copy = tmp_path / variant
        shutil.copytree(source, copy)
        if variant == "hidden":
            (copy / "truth.json").unlink()
            (copy / "README.md").unlink()
        if variant == "lying":
            (copy / "truth.json").write_text(
                json.dumps({"service": "gateway", "kind": "memory_leak", "start": None, "end": None})
            )
        store = tmp_path / f"{variant}.store"
        base = [sys.executable, "-m", "workbench.cli"]
        subprocess.run(
            [*base, "ingest", str(copy), "--store", str(store)], check=True, capture_output=True, timeout=120
        )
        done = subprocess.run(
            [*base, "investigate", "--json", "--store", str(store)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        answer = json.loads(done.stdout)
        assert answer.pop("seconds") < 10.0
        answers.append(answer)
    assert answers[0] == answers[1] == answers[2]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no recorded incident"):
        predict_incidents(tmp_path)


def case(service: str | None, said: str | None) -> dict[str, object]:
    truth = {"service": service, "kind": service and "crash"}
    right = service == said
    return {
        "name": "c",
        "truth": truth,
        "predicted": {"service": said, "kind": "crash"},
        "right": right,
        "seconds": 1.0,
    }


def test_a_score_is_told_in_lines() -> None:
    told = str(Score([case("cart", "cart"), case("cart", None), case(None, None)], 2, 1, 1, 1, 1)).splitlines()
    assert [line.split()[0] for line in told[:3]] == ["right", "WRONG", "right"]
    assert "said nothing" in told[1]
    assert told[3].startswith("service first in 1 of 2 (95 % interval 0.09-0.91); kind right in 1")
    assert told[4] == "abstained on 1 of 1 without a fault"


def test_truths_are_checked_and_named(tmp_path: Path) -> None:
    good = {"service": None, "kind": None, "start": None}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "truth.json").write_text(json.dumps(good))
    assert read_truths(tmp_path) == {"a": good}
    for bad in ("{}", "nope", json.dumps(good | {"start": "soon"})):
        (tmp_path / "a" / "truth.json").write_text(bad)
        with pytest.raises(InvalidInput, match=r"a/truth\.json is not the truth of a recording"):
            read_truths(tmp_path)
        with pytest.raises(InvalidInput, match="truth of a recording"):
            score_incidents(tmp_path, {"a": {}})


def test_wilson_interval_of_known_shares() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(19, 22)
    assert (round(low, 2), round(high, 2)) == (0.67, 0.95)
