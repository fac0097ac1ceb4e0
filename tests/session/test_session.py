"""The object an SRE holds: opened anywhere, asked in five ways, answering in shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench
from tests.testing.examples import otlp_logs
from workbench.errors import InvalidInput, NotFound, QueryError, StoreError
from workbench.session import Bench, find_store, metrics_table, portable
from workbench.session import open as open_bench
from workbench.signals import (
    build_logs,
    build_metrics,
    check_events,
    check_logs,
    check_metrics,
    check_profiles,
    check_spans,
    labels_of,
)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without a configured store."""
    for variable in ("WORKBENCH_STORE", "WORKBENCH_STORE_PATH", "WORKBENCH_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return tmp_path


def test_find_store_asks_settings_then_upward_then_the_data_folder(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_store() == nowhere / "data" / "workbench" / "store"
    (nowhere / ".workbench").mkdir()
    assert find_store() == nowhere / ".workbench"
    (nowhere / "a" / ".workbench").mkdir()
    assert find_store() == nowhere / "a" / ".workbench"
    monkeypatch.setenv("WORKBENCH_STORE", str(nowhere / "named"))
    assert find_store() == nowhere / "named"


def test_open_makes_a_store_or_refuses_in_one_sentence(nowhere: Path) -> None:
    with workbench.open() as bench:
        assert bench.store.path == nowhere / "data" / "workbench" / "store"
        assert repr(bench) == f"<Bench {bench.store.path}: empty>"
    with workbench.open(), workbench.open():
        pass
    with pytest.raises(StoreError, match="missing") as refused:
        open_bench(nowhere / "missing", create=False)
    assert "\n" not in str(refused.value)
    with pytest.raises(StoreError, match="there is no published store at memory://nothing"):
        open_bench("memory://nothing")
    (nowhere / "file").write_text("not a store")
    with pytest.raises(StoreError):
        open_bench(nowhere / "file")
    (nowhere / "photos").mkdir()
    (nowhere / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(StoreError):
        open_bench(nowhere / "photos")
    assert [p.name for p in (nowhere / "photos").iterdir()] == ["cat.jpg"]


def test_an_empty_store_answers_empty_or_says_so(tmp_path: Path) -> None:
    with open_bench(tmp_path / "store") as bench:
        for check, frame in ((check_logs, bench.logs()), (check_spans, bench.spans()), (check_events, bench.events())):
            assert len(check(frame)) == 0
        with pytest.raises(NotFound, match="is empty: ingest telemetry first"):
            bench.investigate()
        for expr in ("up", "vector(1)"):
            assert dict(check_metrics(bench.metrics(expr)).sizes) == {"series": 0, "time": 0}
        assert len(bench.samples("up")) == 0
        assert len(check_profiles(bench.profiles())) == 0
        assert bench.service_map().graph.number_of_nodes() == 0
        assert bench.metrics("up", "2024-01-01", "2024-01-02").sizes["series"] == 0


def test_windows_default_to_what_is_held_and_are_not_empty(tmp_path: Path) -> None:
    with open_bench(tmp_path / "store") as bench:
        bench.write(build_logs({"time": ["2024-05-01T10:00", "2024-05-01T11:00"]}))
        last = np.datetime64("2024-05-01T11:00:00.000000001", "ns")
        assert bench.window() == (np.datetime64("2024-05-01T10:00", "ns"), last)
        assert bench.window(start="2024-05-01T10:30") == (np.datetime64("2024-05-01T10:30", "ns"), last)
        assert len(bench.logs()) == 2
        assert len(bench.logs(end="2024-05-01T11:00")) == 1
        assert len(bench.logs(start=pd.Timestamp("2024-05-01T12:30+02:00"))) == 1
        for start, end in (("2024-05-02", "2024-05-01"), ("now", "-1h")):
            with pytest.raises(InvalidInput, match="start must lie before end"):
                bench.logs(start=start, end=end)
        with pytest.raises(InvalidInput, match="the store ends at 2024-05-01T11:00:00, before the start 2025-01-01"):
            bench.logs(start="2025-01-01")
        with pytest.raises(InvalidInput, match="the store begins at 2024-05-01T10:00:00, not before the end 2020-01"):
            bench.logs(end="2020-01-01")
        with pytest.raises(InvalidInput, match="is not understood"):
            bench.logs(start="yesterday-ish")


def test_an_investigation_needs_telemetry_in_its_window(tmp_path: Path) -> None:
    with open_bench(tmp_path / "store") as bench:
        bench.write(build_logs({"time": ["2024-05-01T10:00", "2024-05-01T11:00"]}))
        told = "no telemetry between 2024-05-01T10:10:00 and 2024-05-01T10:20:00: the store holds 2024-05-01T10:00:00"
        with pytest.raises(NotFound, match=told):
            bench.investigate("2024-05-01T10:10", "2024-05-01T10:20")
        assert len(bench.logs("", "2024-05-01T10:10", "2024-05-01T10:20")) == 0


def test_what_is_no_text_number_or_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="store 5 is not a path"):
        open_bench(5)  # type: ignore[arg-type]
    with open_bench(tmp_path / "store") as bench:
        for ask in (bench.logs, bench.spans, bench.events, bench.profiles, bench.metrics, bench.samples):
            with pytest.raises(InvalidInput, match="None is not text: give a string"):
                ask(None)  # type: ignore[operator]
        for step in (float("nan"), float("inf")):
            with pytest.raises(InvalidInput, match=f"step {step} is not a number of seconds"):
                bench.metrics("up", step=step)
        with pytest.raises(InvalidInput, match="source 5 is not a path"):
            bench.ingest(5)  # type: ignore[arg-type]


def test_a_metrics_array_becomes_rows_and_no_label_is_lost() -> None:
    labels = [{"metric": "m", "time": "a", "value": "b", "time_": "c"}, {"metric": "n"}]
    array = build_metrics(np.array([[1.0, np.nan], [2.0, 3.0]]), np.array([0, 10**9]), labels)
    frame = metrics_table(array)
    assert (frame.columns[0], frame.columns[-1]) == ("time", "value")
    assert frame["value"].tolist() == [1.0, 2.0, 3.0]
    assert frame["time"].dtype == np.dtype("datetime64[ns]")
    assert frame.loc[0, ["time_", "time__", "value_"]].tolist() == ["c", "a", "b"]


def test_frames_for_other_programs_keep_nanoseconds_and_infinities() -> None:
    frame = pd.DataFrame({"time": np.array([1, "NaT"], "datetime64[ns]"), "x": [np.inf, 0.5], "y": [-np.inf, np.nan]})
    out = portable(frame)
    assert out["time"].tolist() == ["1970-01-01T00:00:00.000000001", None]
    assert out["x"].tolist() == ["+Inf", 0.5]
    assert out["y"].iloc[0] == "-Inf"
    assert pd.isna(out["y"].iloc[1])


def test_results_of_a_recorded_incident_are_the_shapes(recorded: Bench) -> None:
    assert len(check_logs(recorded.logs())) > 1000
    spans = check_spans(recorded.spans())
    assert len(spans) > 1000
    assert (spans["parent"] >= 0).mean() > 0.5
    assert len(check_profiles(recorded.profiles())) > 100
    assert len(check_events(recorded.events())) >= 1
    start, end = recorded.window()
    assert start < end
    assert f"{len(spans):,} spans" in repr(recorded)


def test_metrics_of_a_recorded_incident(recorded: Bench) -> None:
    array = check_metrics(recorded.metrics('sum by (service) (rate({"http.server.request.duration_count"}[1m]))'))
    labels = labels_of(array)
    assert list(labels.columns) == ["service"]
    assert {"gateway", "payment"} <= set(labels["service"])
    assert 50 <= array.sizes["time"] <= 301
    gateway = array.sel(service="gateway")
    assert float(gateway.mean()) > 0.1
    share = gateway / gateway.max("time")
    assert float(share.max()) == 1.0
    coarse = recorded.metrics('{"process.cpu.utilization"}', step="1m")
    assert int(np.diff(coarse["time"].values)[0]) == 60 * 10**9
    raw = recorded.samples('{"process.cpu.utilization", service="payment"}')
    assert set(raw["service"]) == {"payment"}
    assert raw["time"].dtype == np.dtype("datetime64[ns]")


def test_searches_of_a_recorded_incident(recorded: Bench) -> None:
    spans = recorded.spans()
    own = check_spans(recorded.spans("service:payment"))
    assert len(own) == (spans["service"] == "payment").sum() > 0
    slow = check_spans(recorded.spans("service:payment @duration:>100ms"))
    assert len(slow) == ((spans["service"] == "payment") & (spans["duration_ns"] > 10**8)).sum()
    assert (recorded.events("kind:deploy")["kind"] == "deploy").all()
    samples = check_profiles(recorded.profiles("service:payment", sample_type="cpu")).samples
    assert set(samples["service"]) == {"payment"}
    assert set(samples["sample_type"]) == {"cpu"}
    graph = recorded.service_map().graph
    assert graph.has_edge("gateway", "payment")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda b: b.metrics("sum("), QueryError),
        (lambda b: b.metrics(""), QueryError),
        (lambda b: b.metrics("up", step="0s"), InvalidInput),
        (lambda b: b.metrics("up", step="soon"), InvalidInput),
        (lambda b: b.samples("rate(up[5m])"), InvalidInput),
        (lambda b: b.logs("service:(a"), QueryError),
        (lambda b: b.spans('service:"pay'), QueryError),
        (lambda b: b.investigate(service="paymnet"), NotFound),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(recorded: Bench, ask: object, error: type) -> None:
    with pytest.raises(error) as refused:
        ask(recorded)  # type: ignore[operator]
    assert str(refused.value).split("\n")[0]


def test_an_investigation_of_a_recorded_incident(recorded: Bench) -> None:
    found = recorded.investigate()
    assert found.seconds > 0
    asked = recorded.window()
    assert asked[0] <= found.window[0] < found.window[1] <= asked[1], "a stretch of unbroken telemetry in the window"
    document = found.to_json()
    assert {"window", "abstained", "hypotheses", "seconds"} <= set(document)
    if not found.abstained:
        assert found.hypotheses[0].service == "payment"


def test_a_bench_survives_a_second_one_on_the_same_store(tmp_path: Path) -> None:
    file = tmp_path / "logs.bin"
    file.write_bytes(otlp_logs(["a", "b"]).SerializeToString())
    with open_bench(tmp_path / "store") as one, open_bench(tmp_path / "store") as two:
        one.ingest(file)
        assert two.logs()["body"].tolist() == ["a", "b"]
        two.store.seal()
        assert one.logs()["body"].tolist() == ["a", "b"]
        assert one.ingest(file).counts["logs"] == 0
