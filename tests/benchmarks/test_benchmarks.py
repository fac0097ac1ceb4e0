"""The suite of measurements on a little data, so that it cannot rot: every peer gives back what it was given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import (
    arctic_env,
    bench_data,
    bench_store,
    bench_tsdb,
    measure,
    ours_dashboard,
    ours_ingest,
    ours_opening,
    worker,
)
from tests.benchmarks.bench_data import Data
from tests.benchmarks.peers import DAY, PEERS, SCRAPE
from tests.benchmarks.report import Target, table

HERE = [key for key in PEERS if not key.startswith("arctic")]


@pytest.fixture(scope="module")
def few(shared_data: Path) -> dict[str, Data]:
    """The first 20 series and 200 samples of both sets."""
    folder = shared_data / "store"
    return {name: bench_data.read(folder / f"{name}.parquet", 20, 200) for name in (SCRAPE, DAY)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus is not installed")
def test_blocks_are_measured(shared_data: Path) -> None:
    found = bench_tsdb.run(shared_data / "store" / f"{SCRAPE}.parquet", 5, 1)
    assert found["samples"] > 1000
    assert min(found["read"], found["decode"], found["promtool dump"]) > 0


@pytest.fixture
def source(few: dict[str, Data], tmp_path: Path) -> Path:
    few[DAY].save(tmp_path / "day.npz")
    return tmp_path / "day.npz"


def test_a_set_is_read_as_it_is(few: dict[str, Data], tmp_path: Path) -> None:
    data = few[DAY]
    data.save(tmp_path / "a.npz")
    again = Data.load(tmp_path / "a.npz")
    assert again.labels == data.labels
    assert again.width == 200
    for name in ("offsets", "time", "value"):
        assert (getattr(again, name) == getattr(data, name)).all()
    assert len({json.dumps(row) for row in data.labels}) == 20
    assert [len(vector) for vector in data.vectors()[1]] == [200] * len(data.vectors()[1])


@pytest.mark.parametrize("key", HERE)
def test_a_peer_gives_back_what_it_was_given(key: str, few: dict[str, Data], source: Path, tmp_path: Path) -> None:
    peer = worker.peer_of(key)
    why = getattr(peer, "missing", lambda: None)()
    if why:
        pytest.skip(why)
    for module in {"duckdb": ["duckdb"], "zarr-50": ["zarr"], "zarr-1": ["zarr"]}.get(key, []):
        pytest.importorskip(module)
    folder = tmp_path / key
    folder.mkdir()
    done = worker.load(peer, few[DAY], folder)
    assert sum(done["files"].values()) > 1000
    found = worker.query(peer, source, folder, 1, key in ("prometheus", "victoria"))["queries"]
    assert {row["query"] for row in found} == {"Q1", "Q2", "Q3"}
    assert all(row["ms"] > 0 and row["differ"]["times"] == 0 for row in found)
    wrong = {(row["query"], row["way"]): row["differ"]["values"] for row in found if row["differ"]["values"]}
    # VictoriaMetrics keeps a limited number of decimal digits; everybody else gives back every bit.
    assert wrong == {} or key == "victoria"
    assert all(row["differ"]["values"] < row["differ"]["of"] // 2 for row in found)


def test_a_peer_that_alters_or_loses_values_is_seen(few: dict[str, Data]) -> None:
    from tests.benchmarks.answers import REAL, Variant, differing, labelled

    data = few[DAY]
    ask = Variant("Q1", "x", REAL, lambda: None)
    values, at = data.value.reshape(20, -1).copy(), data.time.reshape(20, -1).copy()
    turned = np.arange(20)[::-1]
    columns = {name: column[turned] for name, column in data.columns().items()}
    assert differing(ask, labelled(values[turned], columns, at[turned]), data) == {"values": 0, "times": 0, "of": 4000}
    values[3, 7], at[4, 5] = np.nextafter(values[3, 7], np.inf), at[4, 5] + 1
    assert differing(ask, labelled(values[turned], columns, at[turned]), data) == {"values": 1, "times": 1, "of": 4000}
    assert differing(ask, labelled(values[turned][:, :-1], columns), data)["values"] == 4000


def test_cpu_time_of_a_server_is_counted() -> None:
    import subprocess
    import sys

    code = "import time, sys\nwhile time.process_time() < 0.3: pass\nprint(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.3 <= measure.clock_of(child.pid) < 3


def test_arctic_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    python, why = arctic_env.interpreter(make=False)
    assert python is None
    assert "environment" in why


def test_jobs_of_our_own_store(source: Path, tmp_path: Path) -> None:
    sealed = ours_ingest.seal(str(source), str(tmp_path), 1)
    assert sealed["samples"] == 4000
    assert sealed["direct"] > 0
    assert sealed["hot"] > 0
    assert ours_ingest.append(str(source), str(tmp_path), 1, 3, 2)["samples"] == 2 * 20 * 2
    made = ours_opening.build_large(str(tmp_path / "large"), 2000, 4)
    assert made["segments"] == 4
    found = ours_opening.open_large(str(tmp_path / "large"), 2000)["found"]
    assert found == {"one node": 1000, "one pod, one metric": 1, "pattern": 22, "negation": 900}


def test_days_go_on_where_the_last_one_ended(few: dict[str, Data], source: Path, tmp_path: Path) -> None:
    one, two = few[DAY], ours_dashboard.shifted(few[DAY], 1)
    assert (two.time - one.time == bench_data.DAY).all()
    counter = next(i for i, row in enumerate(one.labels) if row["kind"] == "counter")
    last = slice(one.offsets[counter], one.offsets[counter + 1])
    assert two.value[last][0] >= one.value[last][-1]
    ours_dashboard.build_days(str(source), str(tmp_path / "days"), 2)
    found = ours_dashboard.ask_days(str(source), str(tmp_path / "days"), 2, 1)
    assert found["raw_ms"] > 0
    assert found["difference"] <= 1e-12


def test_averages_from_raw_are_those_of_right_ended_buckets(tmp_path: Path) -> None:
    from workbench.signals import Batch
    from workbench.store import Store

    time = np.array([0, 1, ours_dashboard.BUCKET, ours_dashboard.BUCKET + 1, bench_data.DAY]) + 20_000 * bench_data.DAY
    data = Data("x", [{"__name__": "a"}], np.array([0, 5]), time, np.array([9.0, 1.0, 2.0, 5.0, 7.0]))
    with Store.open(tmp_path) as store:
        store.write(Batch(metrics=ours_dashboard.samples_of(data)))
        found = ours_dashboard._raw(store, 20_000 * bench_data.DAY, 1)
    assert found.shape == (1, 288)
    assert found[0, [0, 1, -1]].tolist() == [1.5, 5.0, 7.0]
    assert np.isnan(found[0, 2:-1]).all()


def test_targets_and_tables_say_what_was_found() -> None:
    assert Target("x", 0.2, 0.25).met is True
    assert Target("x", 0.3, 0.25).met is False
    assert Target("x", 3.0, 2.0, most=False).met is True
    assert Target("x", None, 2.0, why="no server").met is None
    assert "no server" in Target("x", None, 2.0, why="no server").line()
    assert table(["a", "b"], [["x", 1234.5], ["yy", None]]).splitlines()[2:] == ["x   1,234", "yy      -"]


@pytest.mark.slow
def test_the_whole_suite_on_a_little_data(shared_data: Path, tmp_path: Path) -> None:
    given = ["--runs", "1", "--best", "1", "--series", "20", "--samples", "200", "--peers", ",".join(HERE)]
    asked = bench_store.options([*given, "--data", str(shared_data / "store")])
    said: list[str] = []
    figures = bench_store.run(asked, tmp_path, said.append)
    assert {*bench_store.SECTIONS} <= set(figures)
    assert not [name for name in bench_store.SECTIONS if "left out" in figures[name]]
    assert any(line.startswith("\n## Targets") for line in said)
    json.dumps(figures)
