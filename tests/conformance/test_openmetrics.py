"""The conformance cases of OpenMetrics: folders of `metrics` and `test.json` with `shouldParse`.

Run others of the same form with `pytest tests/conformance/test_openmetrics.py --cases DIR`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from workbench.errors import SourceError
from workbench.signals import check_batch, concat_batches
from workbench.sources import read

VALUE = re.compile(r"^(?:[^ {]+|[^{]*\{(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*\}) (\S+)")


def judge(file: Path) -> tuple[bool, list[float], int]:
    """Whether a document is taken, the values stored, sorted, and how many were left out for their time."""
    try:
        batch = concat_batches([batch for _, batch in read(file, format="openmetrics", time="2024-05-01")])
    except SourceError:
        return False, [], 0
    check_batch(batch)
    stored = batch.metrics.value.tolist() if batch.metrics is not None else []
    return True, sorted(stored), sum(n for reason, n in batch.skips.items() if reason.startswith("sample"))


def test_every_case(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> None:
    given = pytestconfig.getoption("--cases")
    root = Path(given) if given else request.getfixturevalue("shared_data") / "query" / "openmetrics"
    cases = sorted(path.parent for path in root.glob("**/test.json"))
    assert cases, f"{root} holds no case"
    wrong = []
    for folder in cases:
        case = json.loads((folder / "test.json").read_text())
        file = folder / case.get("file", "metrics")
        parsed, stored, left_out = judge(file)
        if parsed is not case["shouldParse"]:
            wrong.append(f"{folder.name}: {'accepted' if parsed else 'refused'}")
        elif parsed and not left_out and str(stored) != str(numbers(file)):
            # Compared as text, because NaN is unequal to itself.
            wrong.append(f"{folder.name}: other numbers")
    print(f"\nOpenMetrics: {len(cases) - len(wrong)} of {len(cases)} cases as they should be")
    assert not wrong


def numbers(file: Path) -> list[float]:
    """The values of a valid document, sorted, by a pattern that knows nothing of families."""
    lines = file.read_text(encoding="utf-8").split("\n")
    return sorted(float(VALUE.match(line)[1]) for line in lines if line and not line.startswith("#"))  # type: ignore[index]
