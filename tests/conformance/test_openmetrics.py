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


def cases(pytestconfig: pytest.Config, shared_data: Path) -> list[Path]:
    given = pytestconfig.getoption("--cases")
    root = Path(given) if given else shared_data / "query" / "openmetrics"
    return sorted(path.parent for path in root.glob("**/test.json"))


def test_every_case(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> None:
    given = pytestconfig.getoption("--cases")
    shared = Path(given) if given else request.getfixturevalue("shared_data")
    found = cases(pytestconfig, shared)
    assert found, "no case is there"
    wrong = []
    for folder in found:
        case = json.loads((folder / "test.json").read_text())
        file = folder / case.get("file", "metrics")
        try:
            batch = concat_batches([batch for _, batch in read(file, format="openmetrics", time="2024-05-01")])
        except SourceError as error:
            assert file.name in str(error)
            parsed = False
        else:
            check_batch(batch)
            parsed = True
            dropped = sum(n for reason, n in batch.skips.items() if reason.startswith("sample"))
            stored = batch.metrics.value.tolist() if batch.metrics is not None else []
            if case["shouldParse"] and not dropped and sorted(stored) != numbers(file):
                nan = [v != v for v in stored]
                wrong.append(folder.name + ": other numbers") if not any(nan) else None
        if parsed is not case["shouldParse"]:
            wrong.append(f"{folder.name}: {'accepted' if parsed else 'refused'}")
    passed = len(found) - len(wrong)
    print(f"\nOpenMetrics: {passed} of {len(found)} cases ({100 * passed / len(found):.1f} %)")
    assert not wrong


def numbers(file: Path) -> list[float]:
    """The values of a valid document, sorted, by a pattern that knows nothing of families."""
    lines = file.read_text(encoding="utf-8").split("\n")
    return sorted(float(VALUE.match(line)[1]) for line in lines if line and not line.startswith("#"))  # type: ignore[index]
