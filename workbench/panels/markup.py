"""Markup by construction: elements from a fixed vocabulary, every text and attribute value escaped.

`el` is the only way this room makes a tag. Text that is not `Safe` is escaped; a tag or attribute outside the lists
is a programming error and raises. There is no list entry for scripts, links, images, handlers or foreign content.
"""

from __future__ import annotations

from collections.abc import Iterable

from workbench.panels.escape import escape

__all__ = ["ATTRIBUTES", "TAGS", "Safe", "el", "join"]

TAGS = frozenset(
    (
        "div", "span", "p", "code", "b", "ul", "ol", "li", "details", "summary", "table", "caption", "thead", "tbody",
        "tr", "th", "td", "svg", "g", "title", "rect", "line", "path", "circle", "ellipse", "polygon", "polyline",
        "text", "tspan"
    )
)  # fmt: skip
"""Every element a fragment may hold, beside one `style` of our own."""

ATTRIBUTES = frozenset(
    (
        "class", "role", "aria-label", "aria-level", "aria-hidden", "scope", "colspan", "tabindex", "style", "viewBox",
        "width", "height", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "d", "points", "transform",
        "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "text-anchor",
        "dominant-baseline", "preserveAspectRatio", "data-panel", "data-x0", "data-x1", "data-depth", "data-name",
        "data-tip", "data-left", "data-right", "data-times", "data-values", "data-labels", "data-service", "data-zoom",
        "data-top", "data-bottom"
    )
)  # fmt: skip
"""Every attribute an element may carry; `style` takes numbers only."""


class Safe(str):
    """Markup made by this module; everything else is text."""

    __slots__ = ()


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(value, 400_000)


def el(tag: str, *children: str | None, **attributes: object) -> Safe:
    """Return one element.

    Parameters
    ----------
    tag : str
        One of `TAGS`.
    *children : str, Safe or None
        Text is escaped, markup made by `el` or `join` is kept, None is skipped.
    **attributes : object
        Names with `_` for `-` (`class_` is class); None is skipped; a float keeps two decimals.
    """
    if tag not in TAGS:
        raise ValueError(f"element {tag!r} is not in the vocabulary of panels: add it to TAGS with a reason.")
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if key not in ATTRIBUTES:
            raise ValueError(f"attribute {key!r} is not in the vocabulary of panels: add it to ATTRIBUTES.")
        if value is not None:
            parts.append(f' {key}="{_value(value)}"')
    inner = "".join(c if isinstance(c, Safe) else escape(c) for c in children if c is not None)
    return Safe("".join(parts) + f">{inner}</{tag}>")


def join(parts: Iterable[str | None]) -> Safe:
    """Return markup and text one after the other; text is escaped."""
    return Safe("".join(p if isinstance(p, Safe) else escape(p) for p in parts if p is not None))
