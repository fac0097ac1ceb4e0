"""Prometheus' own PromQL scripts: how many evals pass, per file and group, and that no file falls below its floor.

`pytest tests/conformance/test_promqltest.py --cases DIR -s` runs any folder of `.test` files and prints the report;
without `--cases` it is the shared data. Every failing eval is in the report, none is left out.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.promqltest import Outcome, run

FLOOR = json.loads((Path(__file__).parent / "promqltest_floor.json").read_text(encoding="utf-8"))
"""File -> group -> evals that passed when last measured; raise it with every gain, never lower it."""

GROUPS = ("classic", "native", "experimental")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = metafunc.config.getoption("--cases")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    shared = Path(os.environ.get("WORKBENCH_SHARED_DATA", beside)) / "query" / "promqltest"
    folder = Path(given) if given else shared
    scripts = sorted(folder.glob("*.test"))
    if not scripts and given:
        raise pytest.UsageError(f"--cases {given} holds no .test file: name a folder of PromQL test scripts.")
    marks = [] if scripts else [pytest.mark.skip(reason=f"no PromQL scripts at {folder}; name some with --cases")]
    metafunc.parametrize("script", [pytest.param(s, id=s.stem) for s in scripts] or [pytest.param(None, marks=marks)])


def report(name: str, outcomes: list[Outcome]) -> str:
    """Return the pass counts of one script and every failing eval."""
    total, passed = Counter(o.group for o in outcomes), Counter(o.group for o in outcomes if not o.problem)
    counts = ", ".join(f"{g} {passed[g]}/{total[g]}" for g in GROUPS if total[g])
    failing = [f"  {name}:{o.line} [{o.group}] {o.expr} -> {o.problem}" for o in outcomes if o.problem]
    return "\n".join([f"{name}: {counts}", *failing])


def test_script(script: Path) -> None:
    outcomes = run(script.read_text(encoding="utf-8"), script.stem)
    text = report(script.stem, outcomes)
    print(text)
    assert outcomes, f"{script} holds no eval"
    passed = Counter(o.group for o in outcomes if not o.problem)
    for group, least in FLOOR.get(script.stem, {}).items():
        assert passed[group] >= least, f"{group}: {passed[group]} evals pass, {least} did before\n{text}"
