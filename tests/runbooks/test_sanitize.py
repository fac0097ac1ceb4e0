from __future__ import annotations

import pytest

from workbench.runbooks import sanitize


def test_figures_keep_their_drawing() -> None:
    drawing = (
        '<div class="wb" data-panel="flame"><svg viewBox="0 0 9 9" preserveAspectRatio="none" role="img"><title>a &lt;b&gt;</title>'
        '<g transform="translate(1 2)"><rect x="1" y="2" width="3" height="4" fill="red"></rect>'
        '<text text-anchor="middle">x</text></g></svg></div>'
    )
    assert sanitize.panel(drawing) == drawing


def test_tables_keep_their_structure_and_nothing_else() -> None:
    markup = '<table class="x" id="y" style="color:red;float:left"><tr><td colspan="2"><a href="https://e.org">a</a></td></tr></table>'
    assert sanitize.table(markup) == '<table style="color:red"><tbody><tr><td colspan="2">a</td></tr></tbody></table>'


def test_markdown_keeps_plain_links_and_bitmaps() -> None:
    assert sanitize.markdown('<a href="#x">a</a>').startswith('<a href="#x"')
    assert 'href="https://example.org/"' in sanitize.markdown('<a href="https://example.org/">a</a>')
    assert sanitize.markdown('<img src="data:image/png;base64,AAAA">') == '<img src="data:image/png;base64,AAAA">'


@pytest.mark.parametrize(
    "source",
    [
        "http://e.org/x.png",
        "//e.org/x.png",
        "x.png",
        "data:image/svg+xml;base64,AAAA",
        "data:text/html,x",
        "file:///x",
        "blob:x",
    ],
)
def test_pictures_come_from_nowhere_else(source: str) -> None:
    assert "src" not in sanitize.markdown(f'<img src="{source}">')


def test_style_sheets_and_scripts_go_with_their_text() -> None:
    assert sanitize.panel("<style>.wb{}</style><script>1</script><b>x</b>") == "<b>x</b>"


@pytest.mark.parametrize("style", ["background:url(x)", "position:fixed", "width:expression(1)", "color:\\72 ed"])
def test_styles_that_load_or_cover_the_page_go(style: str) -> None:
    for clean in (sanitize.panel, sanitize.table, sanitize.markdown):
        assert clean(f'<div style="{style}">x</div>') == "<div>x</div>"
