"""What every panel of the group `workbench.panels` keeps: it draws safely, also when there is nothing to draw."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from workbench.diagnose import Investigation, investigate
from workbench.testing.require import require
from workbench.testing.world import empty_world, incident_world

__all__ = ["check_panel"]

FORBIDDEN = frozenset(
    ("script", "iframe", "frame", "img", "image", "link", "object", "embed", "form", "base", "meta", "input", "video")
)
"""Elements that run, load or send something."""

ADDRESSES = frozenset(("href", "src", "action", "xlink:href", "srcset", "data", "formaction"))


def check_panel(panel: Any, investigation: Investigation | None = None) -> None:
    """Check one panel with an investigation, by default one whose telemetry is full of hostile text.

    The figure gives plain text without control characters and a markup fragment that closes what it opens, without
    elements that run, load or send anything, without event handlers and outside addresses; the same a second time; both
    in its display bundle; and a figure too of an investigation that found nothing in nothing.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    require(isinstance(getattr(panel, "name", None), str), f"{type(panel).__name__} has no name.")
    shown = investigation if investigation is not None else investigate(incident_world(hostile=True))
    first = _check_figure(panel.name, panel.figure(shown))
    require(_check_figure(panel.name, panel.figure(shown)) == first, f"{panel.name} draws differently the second time.")
    _check_figure(panel.name, panel.figure(investigate(empty_world())))


def _check_figure(name: str, figure: Any) -> tuple[str, str]:
    text, html = figure.text(), figure.html()
    require(isinstance(text, str) and bool(text.strip()), f"{name} has no text.")
    control = [c for c in text if not c.isprintable() and c not in "\n\t"]
    require(not control, f"{name} lets control characters through to the terminal: {control[:3]!r}.")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    require(not reader.offences, f"{name} draws markup that is not allowed: {reader.offences[:3]}.")
    require(not reader.open, f"{name} leaves elements open: {reader.open}.")
    bundle = figure._repr_mimebundle_()
    shown = bundle[0] if isinstance(bundle, tuple) else bundle
    require(shown.get("text/plain") == text and shown.get("text/html") == html, f"{name} displays something else.")
    return text, html


class _Reader(HTMLParser):
    """Collects what a page under a strict content policy would refuse, and elements that are never closed."""

    VOID = frozenset(("br", "hr", "wbr", "col", "path", "rect", "line", "circle", "polyline", "polygon", "use"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.offences: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._judge(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._judge(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.offences.append(f"</{tag}> closes nothing")

    def _judge(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in FORBIDDEN:
            self.offences.append(f"<{tag}>")
        for attribute, value in attrs:
            if attribute.startswith("on") or (attribute in ADDRESSES and not (value or "").startswith("#")):
                self.offences.append(f"{tag} {attribute}={value!r}")
            if attribute == "style" and "url(" in (value or "").lower():
                self.offences.append(f"{tag} style={value!r}")
