"""The shipped notebooks: clean as committed, and run over recorded incidents."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from workbench import resources, runbooks

NOTEBOOKS = resources.notebooks()
INVESTIGATIONS = ["investigate", "postmortem"]
PANELS = {"hypotheses", "timeline", "metric", "service_map", "flame", "templates"}


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@pytest.mark.parametrize("name", sorted(NOTEBOOKS))
def test_committed_clean(name: str) -> None:
    text = NOTEBOOKS[name].read_text(encoding="utf-8")
    document = json.loads(text)
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    cells = document["cells"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == [code[0]]
    assert all(len(source(cell).splitlines()) <= 12 for cell in code)
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|var)/", text)
    assert set(document["metadata"]) == {"kernelspec", "language_info"}
    assert text == json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", sorted(NOTEBOOKS))
def test_parameters_are_typed_and_explained(name: str) -> None:
    found = runbooks.declared(name)
    assert name not in INVESTIGATIONS or {"store", "start", "end", "service"} <= set(found)
    assert all(parameter.help and parameter.types for parameter in found.values())


@pytest.mark.parametrize("name", INVESTIGATIONS)
def test_every_panel_is_shown(name: str) -> None:
    cells = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["cells"]
    code = ast.parse("\n".join(source(cell) for cell in cells if cell["cell_type"] == "code"))
    shown = {
        node.args[0].value
        for node in ast.walk(code)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "show"
        and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    assert shown == PANELS


def run_both(incident: Path, folder: Path) -> dict[str, Path]:
    import workbench

    with workbench.open(folder / "store") as bench:
        bench.ingest(incident)
    names = INVESTIGATIONS
    parameters = {"store": str(folder / "store")}
    jobs = [runbooks.Job(n, parameters, folder / f"{n}.ipynb", folder / f"{n}.html") for n in names]
    runbooks.run_all(jobs, progress=False)
    return {name: folder / f"{name}.ipynb" for name in names}


def test_they_run_over_a_recorded_incident(incidents: dict[str, Path], tmp_path: Path) -> None:
    name = next(name for name in sorted(incidents) if name != "quiet")
    truth = json.loads((incidents[name] / "truth.json").read_text())
    for executed in run_both(incidents[name], tmp_path).values():
        cells = json.loads(executed.read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert {output["output_type"] for output in outputs} == {"execute_result"}
        panels = {output["metadata"].get("workbench", {}).get("panel") for output in outputs}
        assert panels >= PANELS
        page = executed.with_suffix(".html").read_text(encoding="utf-8")
        assert truth["service"] in page
        assert "<script" not in re.sub(r"<script>.*?</script>\n</body>", "", page, flags=re.DOTALL)
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
        assert str(tmp_path) not in page


@pytest.mark.slow
def test_they_run_over_a_quiet_recording(incidents: dict[str, Path], tmp_path: Path) -> None:
    if "quiet" not in incidents:
        pytest.skip("no quiet recording is in datasets/incidents")
    executed = run_both(incidents["quiet"], tmp_path)
    assert "No incident was found in this window" in executed["postmortem"].with_suffix(".html").read_text("utf-8")


@pytest.mark.slow
def test_those_that_look_ahead_run_over_weeks_of_metrics(tmp_path: Path) -> None:
    import numpy as np

    import workbench
    from workbench.signals import build_samples

    at = np.arange(24 * 30)
    time = np.tile(np.datetime64("2026-01-05", "ns") + at * np.timedelta64(3600, "s"), 2)
    values = np.concatenate([100 + 30 * np.sin(2 * np.pi * at / 24), 1e9 - 1e7 * at / 24])
    labels = [{"metric": "load", "service": "cart"}, {"metric": "node_filesystem_avail_bytes", "service": "db"}]
    with workbench.open(tmp_path / "store") as bench:
        bench.write(build_samples(labels, np.repeat([0, 1], len(at)), time, values))
    store = str(tmp_path / "store")
    given = {
        "forecast": {"store": store, "expr": "load", "threshold": 120.0, "service": "cart"},
        "capacity": {"store": store, "service": "db", "growth": 2.0},
    }
    jobs = [runbooks.Job(n, p, tmp_path / f"{n}.ipynb", tmp_path / f"{n}.html") for n, p in given.items()]
    runbooks.run_all(jobs, progress=False)
    for name in given:
        cells = json.loads((tmp_path / f"{name}.ipynb").read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert {output["output_type"] for output in outputs} == {"execute_result"}
        assert name in {output["metadata"].get("workbench", {}).get("panel") for output in outputs}
    assert "2026-04-15" in (tmp_path / "capacity.html").read_text("utf-8")
    assert "&gt;99 %" in (tmp_path / "forecast.html").read_text("utf-8")
