"""The measurement of PromQL on a little data, so that it cannot rot: answers equal those of Prometheus."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from tests.benchmarks import bench_promql


def test_promql_is_measured_beside_prometheus_with_equal_answers(tmp_path: Path) -> None:
    asked = Namespace(series=20, step=600, best=1, only="rate [5m]", store=True)
    (row,) = bench_promql.figures(asked, tmp_path)
    assert row["decoded"] > 0 < row["store"]
    if "prometheus" not in row:
        pytest.skip("no Prometheus and promtool here")
    assert row["difference"] < 1e-12
    assert "rate [5m], summed" in bench_promql.report([row])
