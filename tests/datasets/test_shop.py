"""The shop that records incidents, and the recordings it has left on disk."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from datasets.shop.__main__ import main
from datasets.shop.framing import encode_varint, read_delimited, read_recording, write_recording
from datasets.shop.neutral import neutral_path
from datasets.shop.profiler import Sampler
from datasets.shop.receiver import Receiver
from datasets.shop.scenarios import KINDS, SCENARIOS, find_scenario
from workbench.sources.pprof_schema import parse_profile

INCIDENTS = Path(__file__).resolve().parents[2] / "datasets" / "incidents"
RECORDINGS = sorted(path for path in INCIDENTS.glob("*") if (path / "truth.json").exists())
STREAMS = ("traces.otlp.zst", "metrics.otlp.zst", "logs.otlp.zst", "profiles.pprof.zst")
EVENT_KEYS = {"time", "end", "kind", "service", "env", "title", "severity", "source"}
LARGEST_BYTES = 3_000_000
SHORTEST_S = 240

each_recording = pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)


def moment(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def unpacked(path: Path) -> bytes:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        return reader.read()


def attributes(holder: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in holder.attributes}


def test_framing_returns_what_went_in(tmp_path: Path) -> None:
    messages = [b"", b"a", b"b" * 127, b"c" * 128, bytes(range(256)) * 1000]
    path = tmp_path / "stream.zst"
    assert write_recording(path, messages) == path.stat().st_size
    assert list(read_recording(path)) == messages


@pytest.mark.parametrize(("number", "encoded"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_lengths_are_protobuf_varints(number: int, encoded: bytes) -> None:
    assert encode_varint(number) == encoded


@pytest.mark.parametrize("broken", [b"\x80", b"\x05abc"])
def test_a_cut_stream_is_an_error(broken: bytes) -> None:
    with pytest.raises(ValueError, match="the stream ends inside"):
        list(read_delimited(io.BytesIO(broken)))


def test_scenarios_name_known_kinds_and_services() -> None:
    services = {"gateway", "catalogue", "cart", "payment", "stock", "worker", "redis"}
    for scenario in SCENARIOS.values():
        if scenario.kind is None:
            assert scenario.service is None
        else:
            assert scenario.kind in KINDS
            assert scenario.service in services
    assert {scenario.kind for scenario in SCENARIOS.values()} == {None, *KINDS}
    assert len({scenario.seed for scenario in SCENARIOS.values()}) == len(SCENARIOS)


def test_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="payment-latency"):
        find_scenario("payment-latencies")


def test_every_fault_has_an_action() -> None:
    pytest.importorskip("psycopg")
    from datasets.shop import faults

    for scenario in SCENARIOS.values():
        if scenario.kind in ("dependency_down", "traffic_surge", None):
            continue
        key = (scenario.service, scenario.kind)
        known = (
            key in faults._SETTINGS
            or (scenario.kind == "slow_query" and scenario.service in faults._STATEMENTS)
            or (scenario.kind == "bad_deploy" and scenario.service in faults._BAD_VERSIONS)
        )
        assert known, key


def test_decoys_are_seeded_and_spare_the_broken_service() -> None:
    pytest.importorskip("psycopg")
    from datasets.shop.decoys import plan_decoys

    for scenario in SCENARIOS.values():
        for seed in range(30):
            decoys = plan_decoys(scenario, seed, 275)
            assert decoys == plan_decoys(scenario, seed, 275)
            assert 1 <= len(decoys) <= 3
            assert not any(decoy.kind == "deploy" and decoy.service == scenario.service for decoy in decoys)


def test_list_prints_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/opt/env/lib/python3.11/site-packages/flask/app.py", "site-packages/flask/app.py"),
        ("<frozen runpy>", "<frozen runpy>"),
        ("/opt/elsewhere/tool.py", "tool.py"),
        (json.__file__, "python3.11/json/__init__.py"),
    ],
)
def test_paths_lose_the_folders_of_the_machine(path: str, shown: str) -> None:
    assert neutral_path(path).replace("python3.12", "python3.11").replace("python3.13", "python3.11") == shown


def busy_sum(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def test_the_sampler_splits_work_from_waiting() -> None:
    stop = threading.Event()
    threads = [
        threading.Thread(target=busy_sum, args=(stop,), name="busy"),
        threading.Thread(target=stop.wait, name="idle"),
    ]
    for thread in threads:
        thread.start()
    sampler = Sampler("cart", "test")
    for _ in range(20):
        time.sleep(0.005)
        sampler.sample(5_000_000)
    stop.set()
    for thread in threads:
        thread.join()
    profile = parse_profile(sampler.drain(1, 100_000_000))
    text = profile.string_table
    functions = {function.id: text[function.name] for function in profile.function}
    values: dict[str, list[int]] = {"busy": [0, 0], "idle": [0, 0]}
    seen = set()
    for sample in profile.sample:
        labels = {text[label.key]: text[label.str] for label in sample.label}
        assert (labels["service"], labels["env"]) == ("cart", "test")
        if labels["thread"] in values:
            values[labels["thread"]] = [
                old + new for old, new in zip(values[labels["thread"]], sample.value, strict=True)
            ]
            seen |= {
                functions[line.function_id]
                for location in profile.location
                if location.id in sample.location_id
                for line in location.line
            }
    assert values["busy"][1] == values["idle"][1] == 100_000_000
    assert values["busy"][0] > 10_000_000 > values["idle"][0]
    assert {"busy_sum", "Event.wait"} <= seen


def test_the_receiver_keeps_bodies_only_while_recording() -> None:
    receiver = Receiver()
    try:
        for recording, body in ((False, b"early"), (True, b"kept"), (False, b"late")):
            receiver.recording = recording
            assert httpx.post(f"{receiver.address}/v1/logs", content=body, trust_env=False).status_code == 200
        receiver.recording = True
        packed = gzip.compress(b"unpacked")
        httpx.post(f"{receiver.address}/v1/logs", content=packed, headers={"Content-Encoding": "gzip"}, trust_env=False)
        assert httpx.post(f"{receiver.address}/v2/other", content=b"", trust_env=False).status_code == 404
        assert receiver.bodies["logs.otlp.zst"] == [b"kept", b"unpacked"]
        assert receiver.compressed_requests == 1
    finally:
        receiver.close()


def test_there_are_recordings() -> None:
    assert {folder.name for folder in RECORDINGS} <= set(SCENARIOS)
    assert len(RECORDINGS) >= 11


@each_recording
def test_truth_matches_the_scenario(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    scenario = find_scenario(folder.name)
    assert set(truth) == {"name", "service", "kind", "start", "end"}
    assert (truth["name"], truth["service"], truth["kind"]) == (folder.name, scenario.service, scenario.kind)
    if scenario.kind is None:
        assert truth["start"] is None
        assert truth["end"] is None
    else:
        assert 60 <= (moment(truth["end"]) - moment(truth["start"])).total_seconds() <= 120


@each_recording
def test_recording_is_small_and_has_a_card(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {*STREAMS, "events.json", "truth.json", "README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST_BYTES
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {folder.name}")


@each_recording
def test_events_are_complete_and_hold_a_decoy(folder: Path) -> None:
    events = json.loads((folder / "events.json").read_text(encoding="utf-8"))
    own = {"bad_deploy": 2, "retry_storm": 2}.get(find_scenario(folder.name).kind or "", 0)
    assert 1 <= len(events) - own <= 3
    for event in events:
        assert set(event) >= EVENT_KEYS
        assert event["kind"] in ("deploy", "flag", "config", "scale")
        moment(event["time"])


@each_recording
def test_streams_decode_and_last_long_enough(folder: Path) -> None:
    ends = []
    services = set()
    for body in read_recording(folder / "traces.otlp.zst"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            services.add(attributes(resource.resource)["service.name"])
            ends += [span.end_time_unix_nano for scope in resource.scope_spans for span in scope.spans]
    assert services == {"gateway", "catalogue", "cart", "payment", "stock", "worker"}
    assert (max(ends) - min(ends)) / 1e9 >= SHORTEST_S
    records = [
        record
        for body in read_recording(folder / "logs.otlp.zst")
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    assert len(records) > 1000
    assert sum(bool(record.trace_id) for record in records) > len(records) / 2
    names = {
        metric.name
        for body in read_recording(folder / "metrics.otlp.zst")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"http.server.request.duration", "process.memory.usage", "process.cpu.utilization"} <= names


@each_recording
def test_profiles_are_labelled_and_cover_every_service(folder: Path) -> None:
    services = set()
    for body in read_recording(folder / "profiles.pprof.zst"):
        profile = parse_profile(body)
        text = profile.string_table
        assert [text[kind.type] for kind in profile.sample_type] == ["cpu", "wall"]
        assert profile.duration_nanos >= 9e9
        for sample in profile.sample:
            labels = {text[label.key]: text[label.str] for label in sample.label}
            assert labels["env"] == "shop"
            services.add(labels["service"])
    assert services == {"gateway", "catalogue", "cart", "payment", "stock", "worker"}


@each_recording
def test_nothing_shows_the_recording_machine(folder: Path) -> None:
    forbidden = [b"/work/", b"/root/", b"/home/", b"/tmp/", b"pyenv", b"/usr/lib/", b"/opt/"]
    if len(socket.gethostname()) > 4:
        # A shorter host name is part of ordinary words.
        forbidden.append(socket.gethostname().encode())
    for name in STREAMS:
        data = unpacked(folder / name)
        assert not [text for text in forbidden if text in data], name
        assert b"process.command" not in data
        assert b"host.name" not in data


@each_recording
def test_nothing_names_the_fault(folder: Path) -> None:
    for name in STREAMS:
        data = unpacked(folder / name).lower()
        assert not [word for word in (b"chaos", b"inject_fault", b"fault_inj", b"decoy") if word in data], name


def assert_nobody_listens(ports: Iterable[int]) -> None:
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


@pytest.mark.slow
def test_the_shop_starts_breaks_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("flask", "celery", "psycopg", "redis", "opentelemetry.instrumentation.system_metrics"):
        pytest.importorskip(package)
    from datasets.shop import supervisor
    from datasets.shop.backing import BackingUnavailableError, find_programs
    from datasets.shop.counts import count
    from datasets.shop.plan import Plan
    from datasets.shop.record import record

    try:
        find_programs()
    except BackingUnavailableError as error:
        pytest.skip(str(error))
    shops: list[supervisor.Shop] = []

    class WatchedShop(supervisor.Shop):
        def __enter__(self) -> supervisor.Shop:
            shops.append(self)
            return super().__enter__()

    monkeypatch.setattr("datasets.shop.record.Shop", WatchedShop)
    plan = Plan(seed=1, warm_up_s=4, normal_s=10, fault_s=6, recovery_s=4)
    folder = record(find_scenario("payment-latency"), plan, tmp_path)
    counted = count(folder)
    assert counted["spans"] > 200
    assert counted["log records"] > 50
    assert counted["profiles"] >= 6
    assert not shops[0].folder.exists()
    assert all(process.poll() is not None for process in shops[0]._retired)
    assert_nobody_listens(shops[0].routes.values())
    with pytest.raises(FileExistsError, match="exists already"):
        record(find_scenario("payment-latency"), plan, tmp_path)
    shutil.rmtree(folder)
