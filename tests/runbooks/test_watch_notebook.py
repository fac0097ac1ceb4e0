"""The notebooks of anomalies: what a detector finds new becomes events, what is old or quiet does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import workbench
from workbench import runbooks
from workbench.signals import build_samples

START_MS = 1_704_067_200_000


@pytest.mark.slow
def test_a_new_shift_becomes_an_event_and_an_old_one_does_not(tmp_path: Path) -> None:
    values = 100 + np.random.default_rng(2).normal(0, 1, (2, 600))
    values[0, 570:] += 80  # half an hour before the end
    values[1, 300:320] += 80  # long ago
    lines = ["# TYPE queue_length gauge"]
    for service, row in zip(("cart", "stock"), values, strict=True):
        stamped = [f'queue_length{{service="{service}"}} {v:.3f} {START_MS + 60_000 * i}' for i, v in enumerate(row)]
        lines += stamped
    (tmp_path / "metrics.prom").write_text("\n".join(lines) + "\n")
    with workbench.open(tmp_path / "store") as bench:
        bench.ingest(tmp_path / "metrics.prom")
    given = {"store": str(tmp_path / "store"), "expr": "queue_length", "end": "2024-01-01T10:00:00"}
    runbooks.run_all(
        [runbooks.Job("watch_a_metric", given, tmp_path / "out.ipynb", tmp_path / "out.html")], progress=False
    )
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = {c["id"]: "".join(c["outputs"][0]["data"]["text/plain"]) for c in cells if c.get("outputs")}
    assert "'events': 1}" in shown["write"]
    with workbench.open(tmp_path / "store", create=False) as bench:
        events = bench.events("kind:anomaly")
    assert list(events["service"]) == ["cart"]
    assert abs(events["time"].iloc[0] - np.datetime64("2024-01-01T09:30:00")) <= np.timedelta64(3, "m")
    assert "rose from" in events["title"].iloc[0]
    assert "What is strange:" in events["description"].iloc[0]


@pytest.mark.slow
def test_what_is_strange_is_drawn_explained_and_written_where_asked(tmp_path: Path) -> None:
    at, rng = np.arange(9 * 288), np.random.default_rng(1)
    values = 100 + 30 * np.sin(2 * np.pi * at / 288) + rng.normal(0, 2, (2, len(at)))
    values[0, 2400:2410] += 60
    time = np.tile(np.datetime64("2026-01-05", "ns") + at * np.timedelta64(300, "s"), 2)
    labels = [{"metric": "load", "service": service} for service in ("cart", "pay")]
    with workbench.open(tmp_path / "store") as bench:
        bench.write(build_samples(labels, np.repeat([0, 1], len(at)), time, values.ravel()))
    store = str(tmp_path / "store")
    given = {"all": {"store": store}, "one": {"store": store, "expr": "load", "service": "cart", "write": True}}
    jobs = [
        runbooks.Job("anomalies", parameters, tmp_path / f"{name}.ipynb", tmp_path / f"{name}.html")
        for name, parameters in given.items()
    ]
    runbooks.run_all(jobs, progress=False)
    for name in given:
        cells = json.loads((tmp_path / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert {output["output_type"] for output in outputs} == {"execute_result"}
        panels = {output["metadata"].get("workbench", {}).get("panel") for output in outputs}
        assert panels >= {"anomalies", "anomaly_explorer"}
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert "above what is usual at this time" in page
    with workbench.open(tmp_path / "store", create=False) as bench:
        assert list(bench.events("kind:anomaly")["service"]) == ["cart"]
