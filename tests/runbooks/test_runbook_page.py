from __future__ import annotations

from typing import Any

import nbformat
import pytest

from workbench.runbooks.page import _instant, _shown, to_page


def notebook(**papermill: Any) -> Any:
    cells = [
        nbformat.v4.new_markdown_cell("# Heading"),
        nbformat.v4.new_code_cell("store: str | None = None\nlimit = 5", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(store)", execution_count=2),
    ]
    return nbformat.v4.new_notebook(cells=cells, metadata={"papermill": papermill} if papermill else {})


def test_header_says_window_time_and_parameters() -> None:
    given = {"store": "/srv/someone/private/store", "start": "2026-03-01T02:00:00.5Z", "end": "2026-03-01T03:00:00"}
    text = to_page(
        notebook(
            parameters=given, start_time="2026-03-02T01:02:03.456+00:00", duration=1.25, input_path="investigate.ipynb"
        )
    )
    assert "<title>Heading</title>" in text
    assert "<dd>2026-03-01 02:00:00 to 2026-03-01 03:00:00 UTC</dd>" in text
    assert "<dd>2026-03-02 01:02:03 UTC</dd>" in text
    assert "<dd>1.2 s</dd>" in text
    assert "private" not in text  # where somebody keeps their files is not for the reader
    assert "…/store" in text
    assert '<th scope="row">limit</th><td><code>5</code></td>' in text
    assert "workbench runbook run investigate" in text
    assert text.count('<details class="code">') == 1  # the parameters stand in the header


def test_a_notebook_that_was_not_run_renders_too() -> None:
    text = to_page(notebook(), title="A & B")
    assert "<h1>A &amp; B</h1>" in text
    assert "open the notebook this page was made from" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-01T02:00:00.123456789Z", "2026-03-01 02:00:00"),
        ("2026-03-01T02:00:00+02:00", "2026-03-01 00:00:00"),
        ("2026-03-01T02:00:00.5+02:00", "2026-03-01 00:00:00"),
        ("2026-03-01T02:00:00", "2026-03-01 02:00:00"),
        ("-6h", "-6h"),
        ("<b>", "<b>"),
    ],
)
def test_instants_are_utc_to_the_second(text: str, shown: str) -> None:
    assert _instant(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/a/b/c", "'…/c'"),
        ("C:\\Users\\x\\store", "'…/store'"),
        ("relative/x", "'relative/x'"),
        (None, "None"),
        ([1], "[1]"),
    ],
)
def test_absolute_paths_lose_their_folders(value: Any, shown: str) -> None:
    assert _shown(value) == shown


def test_the_sheet_of_figures_stands_in_the_head_once() -> None:
    assert to_page(notebook()).count(".wb .wb-title{") == 1
