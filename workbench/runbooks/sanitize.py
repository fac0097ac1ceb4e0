"""Markup from outside made harmless: what is not on a list is dropped.

Three lists: `panel` for our own figures (inline SVG, tables, disclosure), `table` for any other HTML an output holds,
`markdown` for text cells. Parsing is html5ever's, the way browsers do it, so what was judged is what is shown. On all
lists: no script, no handler, no foreign content, nothing that loads or leads elsewhere except plain links of markdown.
"""

from __future__ import annotations

import re
from typing import Any

import nh3

from workbench.panels.markup import ATTRIBUTES, TAGS

__all__ = ["markdown", "panel", "table"]

_TABLE = frozenset(["table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"])
_TEXT = frozenset([
    "p", "br", "hr", "div", "span", "pre", "code", "samp", "kbd", "b", "strong", "i", "em", "u", "s", "del", "ins",
    "sub", "sup", "small", "mark", "blockquote", "ul", "ol", "li", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6",
    "details", "summary", "time",
])  # fmt: skip
_PANEL = TAGS | _TABLE | _TEXT | frozenset(["article", "section", "header", "footer", "figure", "figcaption"])
_CELL = frozenset(["colspan", "rowspan", "scope"])
_IMAGE_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z")
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
_BAD_CSS = re.compile(
    r"url\s*\(|image-set|@import|expression|behavior|javascript|[\\<]|position\s*:\s*(?:fixed|sticky)", re.IGNORECASE
)
_STYLE_PROPERTIES = {
    "text-align",
    "color",
    "background-color",
    "font-weight",
    "font-style",
    "white-space",
    "width",
    "font-size",
}


def _filter(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "style":
        return None if _BAD_CSS.search(value) else value
    if attribute == "src":
        return value if _IMAGE_DATA.match(value) else None
    if attribute == "href":
        return value if _LINK.match(value) else None
    return value


_COMMON: dict[str, Any] = {"attribute_filter": _filter, "url_schemes": {"http", "https", "mailto", "data"}}

_PANEL_CLEANER = nh3.Cleaner(
    tags=set(_PANEL),
    attributes={"*": set(ATTRIBUTES) | set(_CELL) | {"id", "title", "open", "datetime"}},
    generic_attribute_prefixes={"aria-", "data-"},
    link_rel=None,
    **_COMMON,
)
_TABLE_CLEANER = nh3.Cleaner(
    tags=set(_TABLE | _TEXT) | {"img"},
    attributes={"*": {"style", "title", *_CELL}, "img": {"src", "alt", "width", "height"}, "details": {"open"}},
    filter_style_properties=_STYLE_PROPERTIES,
    link_rel=None,
    **_COMMON,
)
_MARKDOWN_CLEANER = nh3.Cleaner(
    tags=set(_TABLE | _TEXT) | {"img", "a"},
    attributes={
        "*": {"title", "style", *_CELL},
        "img": {"src", "alt", "width", "height"},
        "a": {"href"},
        "code": {"class"},
    },
    filter_style_properties=_STYLE_PROPERTIES,
    link_rel="noopener noreferrer",
    **_COMMON,
)


def panel(markup: str) -> str:
    """Return what is allowed of a figure of ours; style sheets go, the page has that of this version's figures."""
    return _PANEL_CLEANER.clean(markup)


def table(markup: str) -> str:
    """Return what is allowed of any other HTML: tables, text, embedded bitmap images; no links, classes or ids."""
    return _TABLE_CLEANER.clean(markup)


def markdown(markup: str) -> str:
    """Return what is allowed of rendered Markdown: as `table`, and links to http, https, mailto and anchors."""
    return _MARKDOWN_CLEANER.clean(markup)
