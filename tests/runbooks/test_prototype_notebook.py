"""The notebook that takes a detector from idea to exported rule, over the set it makes and over a folder given."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.evaluate.labelled_files import write_nab, write_rows
from workbench import runbooks

NAME = "prototype_a_detector"


def execute(folder: Path, **parameters: object) -> tuple[dict[str, str], str]:
    """Run the notebook and return the plain text of each cell by id, and its page."""
    out = runbooks.run(NAME, parameters, folder / "out.ipynb")
    page = runbooks.render(out, folder / "out.html").read_text(encoding="utf-8")
    cells = json.loads(out.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} == {"execute_result"}
    shown = {cell["id"]: cell["outputs"][0]["data"] for cell in cells if cell.get("outputs")}
    return {name: "".join(data.get("text/plain", "")) for name, data in shown.items()}, page


def test_from_idea_to_rule_on_the_set_it_makes(tmp_path: Path) -> None:
    evil = 'up{job="<script>alert(1)</script>"}'
    shown, page = execute(tmp_path, expr=evil, name="mine", distance=7.0)
    assert shown["contract"] == "'every promise is kept'"
    for word in ("median_distance", "watchdog", "static rule", "web/latency.csv", "minutes", "quantile_over_time"):
        assert word in page
    assert "<script>alert" not in page
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert str(tmp_path) not in page
    assert shown["export"].startswith("groups:")
    if shutil.which("promtool"):
        (tmp_path / "rule.yml").write_text(shown["export"])
        command = ["promtool", "check", "rules", str(tmp_path / "rule.yml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, "5 rules found" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.slow
def test_on_folders_of_ones_own_with_and_without_labels(tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    assert "disk/quiet.csv" in execute(tmp_path, data=str(tmp_path / "nab"), beside="change")[1]
    write_rows(tmp_path / "bare" / "a.csv", [float(i % 9) for i in range(300)])
    shown, _ = execute(tmp_path, data=str(tmp_path / "bare"))
    assert "a.csv" in shown["labelled"]
    assert "Empty DataFrame" in shown["choose"]
