"""Diagnosis scored on recorded incidents: does the true service come first, does the kind fit, does quiet stay quiet."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench import diagnose
from workbench.errors import InvalidInput, NotFound
from workbench.intake import ingest
from workbench.store import Store

__all__ = ["Score", "predict_incidents", "read_truths", "score_incidents", "wilson"]

_TRUTH = "truth.json"
_KEPT_BACK = (_TRUTH, "README.md")


@dataclass(frozen=True)
class Score:
    """How predictions compare with the truth.

    Attributes
    ----------
    cases : list of dict
        Per case: `name`, `truth` and `predicted` (service, kind), `rank` (1 = first; 0 = not among the hypotheses),
        `right` (service first, or abstained where nothing broke), `kind_right`, `onset_error_s`, `seconds`.
    faulty, first, kinds, quiet, abstained : int
        Cases with a fault; of these the true service first; of those also the right kind; fault-free cases; of these
        abstained.
    """

    cases: list[dict[str, Any]]
    faulty: int
    first: int
    kinds: int
    quiet: int
    abstained: int

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain JSON types, with the 95 % interval of the share of services found first."""
        low, high = wilson(self.first, self.faulty)
        return {
            "service_first": self.first,
            "faulty": self.faulty,
            "accuracy": self.first / self.faulty if self.faulty else None,
            "interval": [low, high],
            "kind_right": self.kinds,
            "quiet": self.quiet,
            "abstained": self.abstained,
            "cases": self.cases,
        }

    def __str__(self) -> str:
        """Return one line per case and the summary, for people."""
        lines = []
        for case in self.cases:
            said, was = (
                f"{one['service']} {one['kind']}" if one["service"] else "nothing"
                for one in (case["predicted"], case["truth"])
            )
            mark = "right" if case["right"] else "WRONG"
            lines.append(f"{mark}  {case['name']:26} said {said:28} was {was:28} {case['seconds']:.1f} s")
        low, high = wilson(self.first, self.faulty)
        lines.append(
            f"service first in {self.first} of {self.faulty} (95 % interval {low:.2f}-{high:.2f}); kind right in"
            f" {self.kinds}\nabstained on {self.abstained} of {self.quiet} without a fault"
        )
        return "\n".join(lines)


def predict_incidents(folder: Path, names: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Investigate every recorded incident of a folder and return what `investigate --json` prints, by name.

    Each recording is copied without its truth and its card, read into a new store, and investigated without a window.

    Raises
    ------
    NotFound
        If the folder holds no recording.
    """
    found = sorted(path.parent for path in Path(folder).glob(f"*/{_TRUTH}"))
    chosen = [path for path in found if names is None or path.name in names]
    if not chosen:
        raise NotFound(f"{folder} holds no recorded incident: a recording is a folder with telemetry and {_TRUTH}.")
    return {path.name: _predict(path) for path in chosen}


def _predict(recording: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "telemetry"
        shutil.copytree(recording, copy, ignore=shutil.ignore_patterns(*_KEPT_BACK))
        with Store.open(Path(scratch) / "store") as store:
            ingest(store, [copy])
            extent = store.extent()
            if extent is None:
                raise NotFound(f"the recording {recording.name} holds no telemetry: record it again.")
            began = time.perf_counter()
            telemetry = diagnose.load_telemetry(store, (extent[0], extent[1] + np.timedelta64(1, "ns")))
            found = diagnose.investigate(telemetry)
            return dataclasses.replace(found, seconds=time.perf_counter() - began).to_json()


def read_truths(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the truth of every recording of a folder by name, checked.

    Raises
    ------
    InvalidInput
        If one is not a JSON object with `service` and `kind`, text or null; the message names the file.
    """
    return {path.parent.name: _read_truth(path) for path in sorted(Path(folder).glob(f"*/{_TRUTH}"))}


def _read_truth(path: Path) -> dict[str, Any]:
    from workbench.signals import parse_time

    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(truth, dict):
            raise ValueError("it is not an object")
        for key in ("service", "kind"):
            if key not in truth or not isinstance(truth[key], str | None):
                raise ValueError(f"{key!r} is not text or null")
        if truth.get("start") is not None:
            parse_time(truth["start"])
    except (ValueError, OSError) as error:
        raise InvalidInput(
            f"{path} is not the truth of a recording ({error}): give service, kind and start."
        ) from error
    return truth


def score_incidents(folder: Path, predictions: dict[str, dict[str, Any]]) -> Score:
    """Compare predictions with the truth beside the recordings; `InvalidInput` names a truth that cannot be read."""
    cases = [_judge(name, _read_truth(Path(folder) / name / _TRUTH), p) for name, p in predictions.items()]
    faulty = [case for case in cases if case["truth"]["service"] is not None]
    quiet = [case for case in cases if case["truth"]["service"] is None]
    return Score(
        cases=cases,
        faulty=len(faulty),
        first=_count(case["right"] for case in faulty),
        kinds=_count(case["kind_right"] for case in faulty),
        quiet=len(quiet),
        abstained=_count(case["right"] for case in quiet),
    )


def _count(flags: Iterable[bool]) -> int:
    return sum(1 for flag in flags if flag)


def _judge(name: str, truth: dict[str, Any], predicted: dict[str, Any]) -> dict[str, Any]:
    suspects = predicted["hypotheses"]
    services = [item["service"] for item in suspects]
    rank = services.index(truth["service"]) + 1 if truth["service"] in services else 0
    top = suspects[0] if suspects else {"service": None, "kind": None, "probability": None}
    right = predicted["abstained"] if truth["service"] is None else rank == 1 and not predicted["abstained"]
    return {
        "name": name,
        "truth": {"service": truth["service"], "kind": truth["kind"]},
        "predicted": {key: top[key] for key in ("service", "kind", "probability")},
        "rank": rank,
        "right": bool(right),
        "kind_right": bool(right) and top["kind"] == truth["kind"],
        "onset_error_s": _onset_error(truth, predicted),
        "seconds": predicted["seconds"],
    }


def _onset_error(truth: dict[str, Any], predicted: dict[str, Any]) -> float | None:
    """Return by how many seconds the fault window begins after the true start; None where either is unknown."""
    from workbench.signals import parse_time

    if not truth.get("start") or not predicted.get("fault"):
        return None
    return round(float(int(parse_time(predicted["fault"][0]) - parse_time(truth["start"])) / 1e9), 1)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson, 1927); (0, 1) where there is no case."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
