from __future__ import annotations

import base64
from typing import Any

import nbformat
import pytest

from workbench.runbooks.blocks import read

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def blocks(data: dict[str, Any], **metadata: Any) -> list[tuple[str, str]]:
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    return [(block.kind, str(block.markup)) for block in read(nbformat.v4.new_notebook(cells=[cell])).blocks]


def test_a_figure_of_ours_passes_without_its_sheet() -> None:
    html = "<style>.wb{color:red}</style><div class='wb'><svg viewBox='0 0 1 1'></svg></div>"
    output = nbformat.v4.new_output("display_data", {"text/html": html}, metadata={"workbench": {"panel": "flame"}})
    cell = nbformat.v4.new_code_cell("", outputs=[output, output])
    page = read(nbformat.v4.new_notebook(cells=[cell]))
    assert [str(block.markup) for block in page.blocks] == ['<div class="wb"><svg viewBox="0 0 1 1"></svg></div>'] * 2


@pytest.mark.parametrize(
    ("data", "kind", "markup"),
    [
        ({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "a<b"}, "text", "<pre>a&lt;b</pre>"),
        ({"application/vnd.jupyter.widget-view+json": {}, "text/html": "<b>x</b>"}, "table", "<b>x</b>"),
        ({"application/javascript": "alert(1)", "text/plain": "y"}, "text", "<pre>y</pre>"),
        ({"image/svg+xml": "<svg onload=alert(1)>", "text/plain": "z"}, "text", "<pre>z</pre>"),
        ({"image/png": PNG}, "picture", f'<img alt="" src="data:image/png;base64,{PNG}">'),
        ({"image/png": '"><script>', "text/plain": "p"}, "text", "<pre>p</pre>"),
        ({"text/html": "<pre class='xr-text-repr-fallback'>q</pre>", "text/plain": "q"}, "text", "<pre>q</pre>"),
        ({"text/html": "<script>1</script>", "text/plain": "r"}, "text", "<pre>r</pre>"),
        ({"text/latex": "$\\href{javascript:1}{x}$"}, "text", "<pre>$\\href{javascript:1}{x}$</pre>"),
        ({"application/json": {"a": "<b>"}}, "text", "<pre>{\n  &#34;a&#34;: &#34;&lt;b&gt;&#34;\n}</pre>"),
        ({"text/plain": "\x1b[31mred\x1b[0m\x1b]8;;x\x07"}, "text",
         '<pre><span class="ansi-red-fg">red</span>\N{REPLACEMENT CHARACTER}]8;;x\N{REPLACEMENT CHARACTER}</pre>'),
    ],
)  # fmt: skip
def test_the_richest_harmless_representation_is_shown(data: dict[str, Any], kind: str, markup: str) -> None:
    assert blocks(data) == [(kind, markup)]


def test_what_has_no_harmless_representation_is_not_shown() -> None:
    assert blocks({"application/javascript": "alert(1)"}) == []


def test_headings_become_title_and_anchors() -> None:
    cells = [nbformat.v4.new_markdown_cell("# Title *x*"), nbformat.v4.new_markdown_cell("## One & two\n\ntext")]
    page = read(nbformat.v4.new_notebook(cells=cells))
    assert page.title == "Title x"
    assert page.headings == [("section-1", "One & two")]
    assert '<h2 id="section-1">One &amp; two</h2>' in page.blocks[1].markup


def test_long_text_is_cut() -> None:
    (_, markup), = blocks({"text/plain": "x" * 300_000})  # fmt: skip
    assert len(markup) < 210_000
    assert "100,000 more characters" in markup
