"""Cells and outputs of an executed notebook, as blocks of harmless markup."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from workbench.runbooks import sanitize

__all__ = ["Block", "Page", "read", "visible", "warm"]

_PICTURES = ("image/png", "image/jpeg")
_LONGEST_TEXT = 200_000
_HEADING = re.compile(r"<h([12])>(.*?)</h\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text in which control characters and overrides of the writing direction are replacement characters."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass(frozen=True)
class Block:
    """One piece of the page: `kind` is a class name, `markup` is harmless, `label` stands on a closed code cell."""

    kind: str
    markup: Markup
    label: str = ""

    def __post_init__(self) -> None:
        """Show control characters and overrides of the writing direction instead of obeying them."""
        object.__setattr__(self, "markup", Markup(visible(self.markup)))


@dataclass
class Page:
    """What was read: blocks in order, headings (anchor, text), the window if one was shown."""

    blocks: list[Block]
    headings: list[tuple[str, str]]
    title: str = ""
    window: tuple[str, str] | None = None
    error: str = ""


def warm() -> None:
    """Load lexer and Markdown rules, which the first use would."""
    _highlight("a = 1")
    _markdown("# a")


def read(nb: Any, skip: frozenset[str] = frozenset()) -> Page:
    """Return the blocks of a notebook.

    Parameters
    ----------
    nb : NotebookNode
        Executed or not.
    skip : set of str
        Cells with one of these tags are left out.
    """
    page = Page([], [], error=str(nb.metadata.get("workbench", {}).get("error", "")))
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if not skip.isdisjoint(tags):
            continue
        if cell.cell_type == "markdown":
            _add_markdown(page, cell)
        elif cell.cell_type == "code":
            if cell.source.strip():
                count = cell.get("execution_count")
                page.blocks.append(Block("code", _highlight(cell.source), f"code [{count}]" if count else "code"))
            for output in cell.get("outputs", []):
                _add_output(page, output)
        elif cell.source.strip():
            page.blocks.append(Block("text", _pre(cell.source)))
    return page


def _add_markdown(page: Page, cell: Any) -> None:
    markup = _markdown(cell.source, cell.get("attachments", {}))

    def anchor(match: re.Match[str]) -> str:
        text = Markup(_TAG.sub("", match[2])).unescape()
        if match[1] == "1" and not page.title:
            page.title = text
            return ""
        page.headings.append((f"section-{len(page.headings) + 1}", text))
        return f'<h{match[1]} id="{page.headings[-1][0]}">{match[2]}</h{match[1]}>'

    page.blocks.append(Block("markdown", Markup(_HEADING.sub(anchor, markup))))


def _add_output(page: Page, output: Any) -> None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        page.blocks.append(Block(name, _ansi(_text(output.get("text")))))
    elif kind == "error":
        said = f"{output.get('ename', '')}: {output.get('evalue', '')}"
        trace = _ansi(_text(output.get("traceback"), "\n"))
        page.blocks.append(
            Block("error", Markup("<p>{}</p><details><summary>traceback</summary>{}</details>").format(said, trace))
        )
    elif kind in ("display_data", "execute_result"):
        mark = output.get("metadata", {}).get("workbench")
        mark = mark if isinstance(mark, dict) else {}
        window = mark.get("window")
        if page.window is None and isinstance(window, list) and len(window) == 2:
            page.window = (str(window[0]), str(window[1]))
        block = _display(output.get("data", {}), bool(mark.get("panel")))
        if block is not None:
            page.blocks.append(block)


def _display(data: Any, ours: bool) -> Block | None:
    """Return the richest representation that can be made harmless; widgets, scripts and the like are passed over."""
    markup = _text(data.get("text/html"))
    if ours and markup:
        return Block("panel", Markup(sanitize.panel(markup)))
    for mime in _PICTURES:
        picture = _picture(mime, _text(data.get(mime)))
        if picture:
            return Block("picture", picture)
    if markup and "xr-text-repr-fallback" not in markup:
        clean = sanitize.table(markup)
        if _TAG.sub("", clean).strip() or "<img" in clean:
            return Block("table", Markup(clean))
    if data.get("text/markdown"):
        return Block("markdown", Markup(_markdown(_text(data["text/markdown"]))))
    if data.get("text/plain") or data.get("text/latex"):
        return Block("text", _ansi(_text(data.get("text/plain") or data.get("text/latex"))))
    if "application/json" in data:
        return Block("text", _pre(json.dumps(data["application/json"], indent=2, ensure_ascii=False)))
    return None


def _text(value: Any, between: str = "") -> str:
    """Return a multi-line string of the notebook format as one string."""
    if isinstance(value, list):
        return between.join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _picture(mime: str, data: str) -> Markup | None:
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw:
        return None
    return Markup('<img alt="" src="data:{};base64,{}">').format(mime, base64.b64encode(raw).decode())


def _markdown(source: str, attachments: Any = None) -> str:
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    return sanitize.markdown(str(MarkdownWithMath(renderer=renderer).render(source)))


def _pre(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(_shortened(text))


def _ansi(text: str) -> Markup:
    coloured = ansi2html(_shortened(text))  # type: ignore[no-untyped-call]
    return Markup("<pre>{}</pre>").format(Markup(coloured))


def _shortened(text: str) -> str:
    return (
        text
        if len(text) <= _LONGEST_TEXT
        else text[:_LONGEST_TEXT] + f"\n... {len(text) - _LONGEST_TEXT:,} more characters"
    )


def _highlight(source: str) -> Markup:
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    return Markup("<pre>{}</pre>").format(Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))))
