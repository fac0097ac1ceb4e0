"""Two notebook kernels and one papermill run read and write one store at the same time; nothing fails, nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.session import open as open_bench

SECONDS = 4.0
"""How long all three work at once."""

PATIENCE = 180.0

WRITER = """
import json, pathlib, time
import numpy as np
import workbench
from workbench.signals import Batch, build_logs, build_samples

folder = pathlib.Path(FOLDER)
bench = workbench.open(folder / "store")
rounds, seen = 0, 0
(folder / f"{NAME}.ready").touch()
while not (folder / "stop").exists():
    if not (folder / "go").exists():
        time.sleep(0.02)
        continue
    first = np.datetime64("2024-05-01", "ns") + np.timedelta64(rounds, "s")
    time_ = first + np.arange(10).astype("timedelta64[ms]")
    logs = build_logs({"time": time_, "service": NAME, "body": [f"{NAME} {rounds} {i}" for i in range(10)]})
    samples = build_samples([{"metric": "rounds", "service": NAME}], np.zeros(10, int), time_, np.full(10, float(rounds)))
    written = bench.write(Batch(metrics=samples, logs=logs))
    assert (written["logs"], written["metrics"]) == (10, 10), written
    rounds += 1
    held = bench.logs()
    assert (held["service"] == NAME).sum() == 10 * rounds, "an own write is not there"
    assert len(held) >= seen, "rows of another process went away"
    seen = len(held)
    assert len(bench.samples(f'rounds{{service="{NAME}"}}')) == 10 * rounds
    if rounds % 5 == 0:
        bench.store.seal()
bench.close()
(folder / f"{NAME}.done").write_text(json.dumps(rounds))
"""


def code(folder: Path, name: str) -> str:
    return f"FOLDER, NAME = {str(folder)!r}, {name!r}\n{WRITER}"


@pytest.fixture
def kernels() -> Iterator[list[Any]]:
    """Clients of two running kernels."""
    from jupyter_client.manager import start_new_kernel

    started: list[Any] = []
    try:
        started.extend(start_new_kernel(startup_timeout=PATIENCE, kernel_name="python3") for _ in range(2))
        yield [client for _, client in started]
    finally:
        for manager, client in started:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def papermill(folder: Path) -> subprocess.Popen[str]:
    """Start papermill on a tiny notebook whose parameters are the folder and the name."""
    parameters = nbformat.v4.new_code_cell('FOLDER = NAME = ""', metadata={"tags": ["parameters"]})
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(WRITER)], metadata=spec)
    nbformat.write(notebook, folder / "writer.ipynb")
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(folder / "writer.ipynb")]
    command += [str(folder / "executed.ipynb"), "-p", "FOLDER", str(folder), "-p", "NAME", "papermill"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder)


def wait_for(folder: Path, names: list[str], running: subprocess.Popen[str]) -> None:
    until = clock.monotonic() + PATIENCE
    while not all((folder / f"{name}.ready").exists() for name in names):
        assert running.poll() is None, running.communicate()[1]
        assert clock.monotonic() < until, f"not ready: {[p.name for p in folder.iterdir()]}"
        clock.sleep(0.05)


def test_kernels_and_a_runbook_share_one_store(kernels: list[Any], tmp_path: Path) -> None:
    names = ["first", "second", "papermill"]
    run = papermill(tmp_path)
    try:
        asked = [client.execute(code(tmp_path, name)) for client, name in zip(kernels, names, strict=False)]
        wait_for(tmp_path, names, run)
        (tmp_path / "go").touch()
        clock.sleep(SECONDS)
        (tmp_path / "stop").touch()
        for client, message in zip(kernels, asked, strict=True):
            answer = client.get_shell_msg(timeout=PATIENCE)
            while answer["parent_header"]["msg_id"] != message:  # answers to what the client asked while starting
                answer = client.get_shell_msg(timeout=PATIENCE)
            assert answer["content"]["status"] == "ok", "\n".join(answer["content"].get("traceback", []))
        _, said = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, said
    finally:
        (tmp_path / "stop").touch()
        run.kill()
        run.wait()
    rounds = {name: int((tmp_path / f"{name}.done").read_text()) for name in names}
    assert all(count > 0 for count in rounds.values()), rounds
    with open_bench(tmp_path / "store", create=False) as bench:
        logs = bench.logs()
        assert logs.groupby("service").size().to_dict() == {name: 10 * count for name, count in rounds.items()}
        assert logs["body"].is_unique
        samples = bench.samples("rounds")
        assert samples.groupby("service").size().to_dict() == {name: 10 * count for name, count in rounds.items()}
        held = bench.store.status()["signals"]
        assert held["logs"]["rows"] == held["metrics"]["rows"] == 10 * sum(rounds.values())
        assert bench.store.verify() == []
