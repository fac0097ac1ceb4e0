"""The wheel holds what it promises, and the command works from it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_wheel_ships_notebooks_kernels_and_incidents(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "workbench/_notebooks/investigate.ipynb" in names
    assert "workbench/py.typed" in names
    assert any(n.endswith("share/jupyter/kernels/workbench/kernel.json") for n in names)
    assert sum(n.startswith("workbench/_incidents/") and n.endswith("truth.json") for n in names) >= 9
    assert not any("/tests/" in n or n.startswith("tests/") for n in names)


def test_command_answers_help_and_refuses_nonsense() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *words], capture_output=True, text=True, timeout=60
        )

    help_text = run("--help")
    assert help_text.returncode == 0
    assert "investigate" in help_text.stdout
    assert run("no-such-command").returncode == 2
    missing = run("store", "status", "--store", "no/such/store")
    assert missing.returncode == 1
    assert len(missing.stderr.strip().splitlines()) == 1
    listed = run("plugins")
    assert "workbench.sources" in listed.stdout


def test_kernelspec_is_valid() -> None:
    spec = json.loads((ROOT / "kernels/workbench/kernel.json").read_text())
    assert spec["language"] == "python"
    assert "{connection_file}" in spec["argv"]
