"""Every command: what it prints when it succeeds, one JSON document, exit codes 0, 1 and 2, one-sentence errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.testing.examples import otlp_logs, otlp_metrics, otlp_traces
from workbench import cli
from workbench.session import open as open_bench


class Ran(NamedTuple):
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, as its entry point does."""

    def command(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, words)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        return Ran(code, *capsys.readouterr())

    return command


@pytest.fixture
def telemetry(tmp_path: Path) -> Path:
    folder = tmp_path / "telemetry"
    folder.mkdir()
    (folder / "logs.bin").write_bytes(otlp_logs(["hello", "evil \x1b[31mred"]).SerializeToString())
    (folder / "traces.bin").write_bytes(otlp_traces(3).SerializeToString())
    (folder / "metrics.bin").write_bytes(otlp_metrics([1.0, 2.0, 3.0], name="queue_length").SerializeToString())
    return folder


@pytest.fixture
def store(tmp_path: Path, telemetry: Path) -> Path:
    with open_bench(tmp_path / "store") as bench:
        bench.ingest(telemetry)
    return tmp_path / "store"


def one_sentence(ran: Ran) -> str:
    """Return the message of a failure, which is one line on standard error and nothing on standard output."""
    assert ran.out == ""
    (line,) = ran.err.strip().splitlines()
    assert line.startswith("workbench: ")
    assert "Traceback" not in line
    return line


def test_ingest_reports_what_went_in(run: Run, tmp_path: Path, telemetry: Path) -> None:
    first = run("ingest", telemetry, "--store", tmp_path / "s")
    assert first.code == 0
    assert "stored 3 metrics, 2 logs, 3 spans from 3 files" in first.out
    again = run("ingest", telemetry, "--store", tmp_path / "s", "--json")
    assert again.code == 0
    document = json.loads(again.out)
    assert document["counts"] == {"metrics": 0, "logs": 0, "spans": 0, "profiles": 0, "events": 0}
    assert document["known"] == 3
    cut = run("ingest", telemetry, "--store", tmp_path / "t", "--start", "2024-05-01T12:00:01", "--json")
    assert json.loads(cut.out)["skips"] == {"outside the window asked for": 3}


def test_ingest_maps_columns(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("ts,text,app\n2024-05-01T12:00:00Z,hello,cart\n")
    words = ("--map", "time=ts", "--map", "body=text", "--map", "service=app", "--format", "table")
    assert run("ingest", table, *words, "--store", tmp_path / "s").code == 0
    found = run("query", "logs", "service:cart", "--format", "json", "--store", tmp_path / "s")
    assert json.loads(found.out)[0]["body"] == "hello"


def test_query_prints_tables_csv_and_json(run: Run, store: Path) -> None:
    table = run("query", "logs", "--store", store)
    assert table.code == 0
    assert "hello" in table.out
    assert "\x1b" not in table.out
    assert "more rows" in run("query", "spans", "--limit", "1", "--store", store).out
    assert run("query", "events", "--store", store).out == "no rows\n"
    lines = run("query", "spans", "service:cart", "--format", "csv", "--store", store).out.splitlines()
    assert lines[0].startswith("time,duration_ns,trace_id")
    assert len(lines) == 4
    records = json.loads(run("query", "logs", "hello", "--format", "json", "--store", store).out)
    assert [record["body"] for record in records] == ["hello"]


def test_query_metrics_over_a_window_and_at_an_instant(run: Run, store: Path) -> None:
    start = ("--start", "2024-05-01T12:00:00", "--end", "2024-05-01T12:00:02")
    window = run("query", "metrics", "queue_length", *start, "--step", "1s", "--format", "json", "--store", store)
    assert [record["value"] for record in json.loads(window.out)] == [1.0, 2.0, 3.0]
    instant = run(
        "query", "metrics", "sum(queue_length)", "--at", "2024-05-01T12:00:01", "--format", "json", "--store", store
    )
    (record,) = json.loads(instant.out)
    assert record["value"] == 2.0
    assert record["time"].startswith("2024-05-01T12:00:01")


def test_store_commands(run: Run, store: Path) -> None:
    status = json.loads(run("store", "status", "--json", "--store", store).out)
    assert status["samples"] == 3
    assert status["series"] == 1
    assert {"total", "hot", "warm", "cold", "index"} <= set(status["bytes"])
    assert status["signals"]["spans"]["rows"] == 3
    assert "3 samples of 1 series" in run("store", "status", "--store", store).out
    sealed = run("store", "seal", "--store", store)
    assert sealed.code == 0
    assert "3 spans" in sealed.out
    assert run("store", "seal", "--store", store).out == "sealed nothing\n"
    assert run("store", "verify", "--store", store) == (0, "sound\n", "")


def test_store_verify_names_damage_and_fails(run: Run, store: Path) -> None:
    run("store", "seal", "--store", store)
    segment = max(store.rglob("*.parquet"), key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    damaged = run("store", "verify", "--store", store)
    assert damaged.code == 1
    assert segment.name in damaged.out


def test_investigate_prints_text_or_the_documented_json(run: Run, store: Path) -> None:
    text = run("investigate", "--store", store)
    assert text.code == 0
    assert text.out.strip()
    document = json.loads(run("investigate", "--json", "--store", store).out)
    assert {"window", "abstained", "hypotheses", "seconds"} <= set(document)
    assert document["abstained"] is True
    assert document["hypotheses"] == []
    around = run("investigate", "--at", "2024-05-01T12:00:01", "--json", "--store", store)
    assert "2024-05-01T11:45:01" <= json.loads(around.out)["window"][0] < "2024-05-01T12:15:01"
    before = run("investigate", "--at", "2024-05-01T11:00:00", "--store", store)
    assert "between 2024-05-01T10:45:00 and 2024-05-01T11:15:00" in one_sentence(before)


def test_runbook_list_and_show(run: Run) -> None:
    listed = run("runbook", "list")
    assert listed.code == 0
    assert "investigate" in listed.out
    shown = run("runbook", "show", "investigate")
    assert shown.code == 0
    assert "store = " in shown.out


def test_runbook_run_writes_the_notebook_and_its_page(run: Run, store: Path, tmp_path: Path) -> None:
    done = run("runbook", "run", "investigate", "-p", "store", store, "--out", tmp_path / "out.ipynb")
    assert done.code == 0, done.err
    assert (tmp_path / "out.ipynb").is_file()
    assert "<html" in (tmp_path / "out.html").read_text()


def test_plugins_lists_every_group(run: Run) -> None:
    from workbench import registry

    out = run("plugins").out
    for group in registry.GROUPS:
        assert group in out.splitlines()
        assert all(target in out for target in registry.BUILTINS[group].values())


def test_version_and_help(run: Run) -> None:
    assert run("--version").out.startswith("workbench, version ")
    for words in (
        (),
        ("ingest",),
        ("query",),
        ("investigate",),
        ("store", "seal"),
        ("runbook", "run"),
        ("demo",),
        ("lab",),
    ):
        shown = run(*words, "-h")
        assert shown.code == 0
        assert "Usage: workbench" in shown.out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("ingest", "no/such/file"), "no/such/file"),
        (("store", "status", "--store", "no/such/store"), "no/such/store"),
        (("query", "logs", "--store", "no/such/store"), "no/such/store"),
        (("runbook", "show", "investigat"), "did you mean 'investigate'"),
        (("investigate", "--service", "crat"), "did you mean 'cart'"),
        (("query", "logs", "--store", "no/such/store"), "ingest telemetry into it first"),
        (
            ("investigate", "--start", "2023-05-01", "--end", "2023-05-02"),
            "no telemetry between 2023-05-01T00:00:00 and 2023-05-02T00:00:00: the store holds 2024-05-01T12:00:00",
        ),
    ],
)
def test_failures_are_one_sentence_and_exit_1(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], names: str
) -> None:
    monkeypatch.chdir(store.parent)
    monkeypatch.setenv("WORKBENCH_STORE", str(store))
    failed = run(*words)
    assert failed.code == 1
    assert names in one_sentence(failed)


@pytest.mark.parametrize(
    "words",
    [
        ("query", "logs", "service:(a"),
        ("query", "metrics", "sum("),
        ("query", "metrics", ""),
        ("query", "metrics", "up", "--step", "soon"),
        ("query", "logs", "--start", "yesterday-ish"),
        ("query", "logs", "--start", "2024-05-02", "--end", "2024-05-01"),
        ("investigate", "--at", "2024-05-01", "--start", "2024-05-01"),
        ("ingest", "telemetry", "--map", "time"),
        ("ingest", "telemetry", "--format", "oltp"),
        ("ingest", "https://example.com/x"),
        ("query", "logs", "--start", "-1h"),
        *(
            ("query", signal, *option)
            for signal in ("logs", "spans", "events")
            for option in (("--at", "now"), ("--step", "1s"))
        ),
    ],
)
def test_bad_values_are_explained_and_exit_2(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(store.parent)
    monkeypatch.setenv("WORKBENCH_STORE", str(store))
    failed = run(*words)
    assert failed.code == 2
    assert failed.out == ""
    assert failed.err.startswith("workbench: ")
    assert "Traceback" not in failed.err


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("query", "smells"),
        ("ingest",),
        ("query", "logs", "--limit", "many"),
        ("query", "logs", "--limit", "-1"),
    ],
)
def test_bad_usage_exits_2(run: Run, words: tuple[str, ...]) -> None:
    failed = run(*words)
    assert failed.code == 2
    assert failed.out == ""
    assert "Usage: workbench" in failed.err


def test_a_failed_first_ingest_makes_no_store(run: Run, tmp_path: Path) -> None:
    for words in (("no/such/file",), ("https://example.com/x",), (tmp_path, "--format", "oltp")):
        failed = run("ingest", *words, "--store", tmp_path / "s")
        assert failed.code in (1, 2)
        assert "create=True" not in one_sentence(failed)
    assert not (tmp_path / "s").exists()


def test_relative_times_on_old_data_say_where_it_ends(run: Run, store: Path) -> None:
    told = one_sentence(run("query", "logs", "--start", "-1h", "--store", store))
    assert "the store ends at 2024-05-01T12:00:02, before the start" in told


def test_names_cannot_drive_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "x\x1b[31m\nworkbench: all is well"
    assert "\x1b" not in one_sentence(run("ingest", tmp_path / evil, "--store", tmp_path / "s"))
    assert "\x1b" not in run(evil).err
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / evil).write_bytes(b"\x93\x01")
    done = run("ingest", tmp_path / "in", "--store", tmp_path / "s")
    assert "\x1b" not in done.out + done.err
    assert [line for line in done.out.splitlines() if line.startswith("workbench:")] == []
    assert "\N{REPLACEMENT CHARACTER}[31m" in done.out


def test_metrics_for_other_programs(run: Run, store: Path) -> None:
    at = ("--at", "2024-05-01T00:00:00", "--store", store)
    lines = run("query", "metrics", "vector(1)", "--format", "csv", *at).out.splitlines()
    assert lines == ["time,value", "2024-05-01T00:00:00.000000000,1.0"]
    for expr, value in (("vector(1) / 0", "+Inf"), ("vector(-1) / 0", "-Inf")):
        (record,) = json.loads(run("query", "metrics", expr, "--format", "json", *at).out)
        assert record["value"] == value
    clash = run("query", "metrics", 'label_replace(vector(1), "time", "a", "", "")', "--format", "json", *at)
    (record,) = json.loads(clash.out)
    assert record == {"time": "2024-05-01T00:00:00.000000000", "time_": "a", "value": 1.0}


def test_a_table_of_no_rows_only_counts(run: Run, store: Path) -> None:
    assert run("query", "spans", "--limit", "0", "--store", store).out == "... 3 more rows (--limit)\n"


def test_pages_are_narrowed_to_the_service(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []
    monkeypatch.setattr("workbench.runbooks.demo.run_all", lambda given, **_: jobs.extend(given))
    for words in (("--service", "cart"), ()):
        assert run("investigate", *words, "--store", store, "--out", tmp_path / "report").code == 0
    assert [job.parameters.get("service") for job in jobs] == ["cart", "cart", None, None]


@pytest.mark.parametrize("truth", ["{}", "nope", "[]", '{"service": 1, "kind": null}'])
def test_evaluate_checks_the_truth_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: str
) -> None:
    monkeypatch.setattr("workbench.evaluate.predict_incidents", lambda *_: pytest.fail("the work was begun"))
    (tmp_path / "data" / "case").mkdir(parents=True)
    (tmp_path / "data" / "case" / "truth.json").write_text(truth)
    failed = run("evaluate", "diagnose", "--data", tmp_path / "data")
    assert failed.code == 2
    assert str(tmp_path / "data" / "case" / "truth.json") in one_sentence(failed)
    failed = run("evaluate", "diagnose", "--data", tmp_path / "data", "--predictions", tmp_path / "no" / "file")
    assert failed.code == 2
    assert "make it first" in one_sentence(failed)


def test_bad_settings_are_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[stor]\npath = 1\n")
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "config.toml"))
    failed = run("store", "status")
    assert failed.code == 2
    assert "'stor.path'" in one_sentence(failed)


def test_json_is_alone_on_standard_output_of_the_real_command(store: Path, telemetry: Path) -> None:
    command = [sys.executable, "-m", "workbench.cli", "ingest", str(telemetry), "--store", str(store), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["known"] == 3


def test_the_store_commands_look_after_a_store(run: Run, store: Path) -> None:
    at = ("--store", str(store))
    assert run("store", "compact", *at, "--all").out.startswith("joined ")
    assert "removed" in run("store", "vacuum", *at, "--now").out
    status = json.loads(run("store", "status", *at, "--json").out)
    assert {"compression", "codecs", "next", "sources", "rollups"} <= status.keys()
    assert status["bytes"]["total"] == sum(n for tier, n in status["bytes"].items() if tier != "total")
    told = run("store", "status", *at).out
    assert f"{status['samples']:,} samples" in told
    assert "next: move" in told
    assert run("store", "verify", *at).code == 0
    cold = store.parent / "cold"
    moved = json.loads(run("store", "tier", *at, "--to", cold.as_uri(), "--json").out)
    assert moved["problems"] == []
    assert run("store", "seal", *at).out == "sealed nothing\n"
    elsewhere = run("store", "tier", *at, "--to", (store.parent / "other").as_uri())
    assert elsewhere.code == 1
    assert "lies at" in elsewhere.err
    unknown = run("store", "verify", "--store", "memory://nothing")
    assert unknown.code == 1
    assert "no published store at memory://nothing" in unknown.err
    assert "known are" in one_sentence(run("store", "verify", "--store", "gopher://bucket/store"))


def test_a_lost_catalog_is_made_anew(run: Run, store: Path) -> None:
    at = ("--store", str(store))
    run("store", "seal", *at)
    before = json.loads(run("store", "status", *at, "--json").out)
    for place in store.glob("catalog.sqlite*"):
        place.unlink()
    assert run("store", "rebuild", *at).out.startswith("named ")
    after = json.loads(run("store", "status", *at, "--json").out)
    assert {name: row["rows"] for name, row in after["signals"].items()} == {
        name: row["rows"] for name, row in before["signals"].items()
    }
    again = run("store", "rebuild", "--store", str(store.parent / "nowhere"), "--json")
    assert again.code == 1
    assert "nothing to make a catalog from" in again.err
