"""`%promql`: queries and completion in a real IPython shell, and in a real kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client import KernelManager

import workbench
from workbench.magics import load_ipython_extension, unload_ipython_extension
from workbench.magics.completion import complete
from workbench.session import Bench
from workbench.signals import build_samples

ROWS = [
    {"metric": "http_requests_total", "job": "api", "code": "200"},
    {"metric": "http_requests_total", "job": "web", "code": "500"},
    {"metric": "up", "job": 'we "quote" \\ it'},
    {"metric": "http.server.duration", "kind": "x"},
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with workbench.open(tmp_path / "store") as opened:
        times = [1_700_000_000 * 10**9 + 15 * 10**9 * i for i in range(40)]
        series = [i for i in range(len(ROWS)) for _ in times]
        opened.write(build_samples(ROWS, series, times * len(ROWS), list(range(40)) * len(ROWS)))
        yield opened


@pytest.fixture
def shell(bench: Bench) -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    load_ipython_extension(made)
    made.push({"bench": bench})
    yield made
    unload_ipython_extension(made)


def test_a_line_gives_the_array(shell: InteractiveShell, bench: Bench) -> None:
    found = shell.run_line_magic("promql", '--step 30s sum by (job) (rate(http_requests_total{code=~"2.."}[1m]))')
    expected = bench.metrics('sum by (job) (rate(http_requests_total{code=~"2.."}[1m]))', step="30s")
    xr.testing.assert_identical(found, expected)


def test_braces_and_dollars_are_left_alone(shell: InteractiveShell) -> None:
    shell.push({"job": "nobody"})
    result = shell.run_cell('x = %promql up{job!="$HOME {job}"}')
    assert result.success
    assert len(shell.user_ns["x"]) == 1


def test_a_cell_gives_the_array_or_a_variable(shell: InteractiveShell) -> None:
    text = "sum(\n  http_requests_total  # all of them\n)"
    found = shell.run_cell_magic("promql", "--start 2023-11-14T22:14:00 --end 2023-11-14T22:15:00 --step 30s", text)
    assert found.sizes["time"] == 3
    assert shell.run_cell_magic("promql", "-o kept --at 2023-11-14T22:15:00", text) is None
    assert shell.user_ns["kept"].sizes == {"series": 1, "time": 1}


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("sum(", None, "unexpected"),
        ("", None, r"write %promql \["),
        ("--at now --step 5s up", None, "--at goes with none"),
        ("up", "up", r"write %promql \["),
        ("-o 5x up", None, "no name of a variable"),
        ("--start never up", None, "never"),
    ],
)
def test_mistakes_are_told_in_a_sentence(shell: InteractiveShell, line: str, cell: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shell.run_line_magic("promql", line) if cell is None else shell.run_cell_magic("promql", line, cell)


@pytest.mark.parametrize(
    ("before", "fragment", "kind", "some"),
    [
        ("htt", "htt", "metric", ["http_requests_total", '{"http.server.duration"}']),
        ("sum(rat", "rat", "metric", ["rate("]),
        ("", "", "metric", ["up", "sum(", "by"]),
        ("http_requests_total{", "", "label", ["code", "job"]),
        ("http_requests_total{c", "c", "label", ["code"]),
        ('http_requests_total{code="200",j', "j", "label", ["job"]),
        ('http_requests_total{job="', "", "value", ["api", "web"]),
        ('http_requests_total{code="500", job=~"', "", "value", ["web"]),
        ('up{job="we', "we", "value", ['we \\"quote\\" \\\\ it']),
        ("up{job='we", "we", "value", ['we "quote" \\\\ it']),
        ("sum by (j", "j", "label", ["job"]),
        ('sum(x{a="}{"}) by (co', "co", "label", ["code"]),
        ('up{job="a{"', "", "label", ["job"]),
        ('{kind="', "", "value", ["x"]),
        ('nothing_there{job="', "", "value", []),
    ],
)
def test_what_could_come_next(bench: Bench, before: str, fragment: str, kind: str, some: list[str]) -> None:
    found = complete(before, bench.store.series)
    assert (found.fragment, found.kind) == (fragment, kind)
    assert set(some) <= set(found.texts)
    if kind == "value":
        assert found.texts == some


def offered(shell: InteractiveShell, text: str) -> set[str]:
    with provisionalcompleter():
        return {text[: c.start] + c.text for c in shell.Completer.completions(text, len(text))}


def test_completion_in_the_shell(shell: InteractiveShell) -> None:
    assert "%promql http_requests_total" in offered(shell, "%promql --step 5s htt".replace("--step 5s ", ""))
    assert '%%promql\nsum(up{job="x"}) + http_requests_total{job="api' in offered(
        shell, '%%promql\nsum(up{job="x"}) + http_requests_total{job="a'
    )
    assert not any("http_requests_total" in text for text in offered(shell, "htt"))  # ordinary Python is left alone


def test_completion_goes_with_the_extension(shell: InteractiveShell) -> None:
    load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == 1
    unload_ipython_extension(shell)
    assert not shell.Completer.custom_matchers


@pytest.mark.slow
def test_in_a_kernel(bench: Bench) -> None:
    """What a notebook page sees: a completion reply and the array's repr."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        code = f"%load_ext workbench\n%bench {bench.store.path}"
        assert run(client, code)["content"]["status"] == "ok"
        text = '%promql http_requests_total{job="'
        client.complete(text, len(text))
        reply = client.get_shell_msg(timeout=60)["content"]
        assert reply["matches"] == ["api", "web"]
        assert (reply["cursor_start"], reply["cursor_end"]) == (len(text), len(text))
        assert run(client, "%promql nothing(")["content"]["ename"] == "UsageError"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: Any, code: str) -> Any:
    sent = client.execute(code)
    while True:
        reply = client.get_shell_msg(timeout=120)
        if reply["parent_header"].get("msg_id") == sent:
            return json.loads(json.dumps(reply, default=str))
