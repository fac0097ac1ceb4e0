"""A postmortem as data, and as Markdown and HTML in which nothing from telemetry is markup.

Statements hold telemetry text as it is; both writers escape it. A query stands beside each statement that rests on one;
a statement without a query is a prompt for people and carries `draft`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.diagnose.investigation import Window
from workbench.incidents import wording

__all__ = ["Postmortem", "Section", "Statement"]

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$]|(?<=\bwww)\.|:(?=//)|\A(?:[#+=-]|\d+(?=[.)]))|&(?=#?\w+;)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Statement:
    """One sentence.

    Attributes
    ----------
    text : str
        The sentence, plain text.
    query : str
        What to type to see what it rests on, "" for a prompt.
    draft : bool
        Whether people have to write, confirm or complete it.
    time : datetime64[ns]
        When it happened, NaT where that says nothing.
    """

    text: str
    query: str = ""
    draft: bool = False
    time: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))

    def to_json(self) -> dict[str, Any]:
        """Return the statement as plain JSON types."""
        time = None if np.isnat(self.time) else f"{self.time}Z"
        return {"text": self.text, "query": self.query, "draft": self.draft, "time": time}


@dataclass(frozen=True, eq=False)
class Section:
    """A heading (`title`) and what stands under it; `key` is its name for programs."""

    key: str
    title: str
    statements: tuple[Statement, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the section as plain JSON types."""
        return {"key": self.key, "title": self.title, "statements": [s.to_json() for s in self.statements]}


@dataclass(frozen=True, eq=False)
class Postmortem:
    """What is known about an incident from its telemetry, and what people still have to add.

    Attributes
    ----------
    title, id, severity : str
        The severity is a proposal from the impact, "SEV-1" to "SEV-4", or "none" when nothing was found.
    window : (datetime64[ns], datetime64[ns])
        What was looked at.
    sections : tuple of Section
    """

    title: str
    id: str
    severity: str
    window: Window
    sections: tuple[Section, ...]

    def section(self, key: str) -> Section | None:
        """Return the section of that key, `None` when this postmortem has none."""
        return next((section for section in self.sections if section.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """Return the postmortem as plain JSON types."""
        return {
            "title": self.title,
            "id": self.id,
            "severity": self.severity,
            "window": [f"{t}Z" for t in self.window],
            "sections": [section.to_json() for section in self.sections],
        }

    def to_markdown(self) -> str:
        """Return Markdown: escaped text, queries as code."""
        start, end = (wording.instant(t) for t in self.window)
        lines = [f"# {_md(self.title)}", "", f"{_md(self.id)}, {_md(self.severity)}, window {start} to {end} UTC", ""]
        for section in self.sections:
            lines += [f"## {_md(section.title)}", ""]
            for item in section.statements:
                when = "" if np.isnat(item.time) else f"**{wording.instant(item.time)}** "
                draft = "**Draft.** " if item.draft else ""
                query = f"  \n  {_code(item.query)}" if item.query else ""
                lines.append(f"- {draft}{when}{_md(item.text)}{query}")
            lines.append("")
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return an HTML fragment: escaped, without script, style elements or anything remote."""
        start, end = (wording.instant(t) for t in self.window)
        head = (
            f'<header><h2>{_html(self.title)}</h2><p><span class="wb-badge">{_html(self.severity)}</span> '
            f'<span class="wb-id">{_html(self.id)}</span> {start} to {end} UTC</p></header>'
        )
        return f'<article class="wb-postmortem">{head}{"".join(map(_section_html, self.sections))}</article>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"text/plain": self.to_markdown(), "text/markdown": self.to_markdown(), "text/html": self.to_html()}
        return data, {"workbench": {"panel": "postmortem", "window": [f"{t}Z" for t in self.window]}}


def _section_html(section: Section) -> str:
    timed = any(not np.isnat(item.time) for item in section.statements)
    draft = bool(section.statements) and all(item.draft for item in section.statements)
    badge = ' <span class="wb-draft">draft</span>' if draft else ""
    if timed:
        body = "<table><tbody>" + "".join(map(_row_html, section.statements)) + "</tbody></table>"
    else:
        body = (
            "<ul>"
            + "".join(f"<li>{_item_html(item, section_draft=draft)}</li>" for item in section.statements)
            + "</ul>"
        )
    return f'<section class="wb-section-{_html(section.key)}"><h3>{_html(section.title)}{badge}</h3>{body}</section>'


def _row_html(item: Statement) -> str:
    when = "" if np.isnat(item.time) else f"<time>{wording.instant(item.time)}</time>"
    return f"<tr><td>{when}</td><td>{_item_html(item, section_draft=False)}</td></tr>"


def _item_html(item: Statement, *, section_draft: bool) -> str:
    badge = '<span class="wb-draft">draft</span> ' if item.draft and not section_draft else ""
    query = f'<br><code class="wb-query">{_html(item.query)}</code>' if item.query else ""
    return f"{badge}{_html(item.text)}{query}"


def _plain(text: str) -> str:
    """Put the text on one line and show control, format and direction characters as replacement characters."""
    flat = " ".join(text.split())
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in flat)


def _html(text: str) -> str:
    return html.escape(_plain(text), quote=True)


def _md(text: str) -> str:
    return _MARKDOWN.sub(lambda m: m[0] + "\\" if m[0].isdigit() else "\\" + m[0], _plain(text))


def _code(query: str) -> str:
    """Return inline code, fenced by more backticks than stand in it."""
    text = _plain(query)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"
