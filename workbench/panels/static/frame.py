"""What all fragments share: the outer element, its styles in light and dark, heading, legend, table fallback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from workbench.panels.markup import Safe, el, join
from workbench.panels.palette import DARK, LIGHT, SERIES, SERIES_DARK

__all__ = ["chip", "details", "fragment", "legend", "note", "svg", "swatch", "table"]

_SHEET = Path(__file__).with_name("panels.css")


def _variables(colours: dict[str, str], series: Sequence[str]) -> str:
    lines = {f"s{i}": colour for i, colour in enumerate(series)}
    return ";".join(f"--{name}:{value}" for name, value in (colours | lines).items())


@cache
def _style() -> Safe:
    """Return the style element: light by default, dark by the reader's system, either where a host theme says so."""
    light, dark = _variables(LIGHT, SERIES), _variables(DARK, SERIES_DARK)
    rules = (
        f".wb{{{light};color-scheme:light}}"
        f"@media (prefers-color-scheme:dark){{.wb{{{dark};color-scheme:dark}}}}"
        f'[data-jp-theme-light="true"] .wb,[data-theme="light"] .wb{{{light};color-scheme:light}}'
        f'[data-jp-theme-light="false"] .wb,[data-theme="dark"] .wb{{{dark};color-scheme:dark}}'
        f"@media print{{.wb.wb.wb{{{light};color-scheme:light}}}}"
    )
    sheet = " ".join(line.strip() for line in _SHEET.read_text("utf-8").splitlines() if not line.startswith("/*"))
    return Safe(f"<style>{rules}{sheet}</style>")


def fragment(panel: str, title: str, subtitle: str, *body: str | None) -> str:
    """Return a whole fragment.

    The classes beside `wb` keep the notebook's mathematics typesetter away from telemetry that holds TeX.
    """
    head = el("div", el("div", title, class_="wb-title", role="heading", aria_level=3), class_="wb-head")
    sub = el("div", subtitle, class_="wb-sub") if subtitle else None
    kind = "wb wb-" + panel.replace("_", "-")
    return el("div", _style(), head, sub, *body, class_=f"{kind} mathjax_ignore tex2jax_ignore", data_panel=panel)


def svg(
    title: str, width: float, height: float, *body: str | None, wide: bool = False, least: bool = False, **more: object
) -> Safe:
    """Return a picture that scales down to its container; a `wide` one scrolls instead.

    One with a `least` width scales down as far as its text can be read, then scrolls.
    """
    kind = " wb-wide" if wide else " wb-least" if least else ""
    picture = el(
        "svg", el("title", title), *body, role="img", viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}", height=f"{height:.0f}", class_=f"wb-svg{kind}", **more,
    )  # fmt: skip
    return el("div", picture, class_="wb-scroll", tabindex=0) if kind else picture


def swatch(kind: str, label: str) -> Safe:
    """Return one entry of a legend; `kind` names a class `wb-k-KIND` of the style sheet."""
    return el("span", el("span", class_=f"wb-key wb-k-{kind}", aria_hidden="true"), label, class_="wb-entry")


def legend(*entries: str | None) -> Safe | None:
    """Return a legend of the entries that are there."""
    kept = [entry for entry in entries if entry is not None]
    return el("div", *kept, class_="wb-legend") if kept else None


def chip(text: str, kind: str = "") -> Safe:
    """Return a small label; `kind` is bad, warn, ok, info, accent or nothing."""
    return el("span", text, class_=f"wb-chip wb-chip-{kind}" if kind else "wb-chip")


def note(text: str) -> Safe:
    """Return one quiet sentence."""
    return el("div", text, class_="wb-note")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], figures: Iterable[int] = ()) -> Safe:
    """Return a plain table that scrolls where it is too wide; `figures` are the columns to align right."""
    right = set(figures)
    kinds = ["wb-r" if i in right else None for i in range(len(columns))]
    head = el("tr", *(el("th", c, scope="col", class_=k) for c, k in zip(columns, kinds, strict=True)))
    body = [el("tr", *(el("td", cell, class_=k) for cell, k in zip(row, kinds, strict=True))) for row in rows]
    whole = el("table", el("caption", caption), el("thead", head), el("tbody", join(body)), class_="wb-t")
    return el("div", whole, class_="wb-scroll")


def details(summary: str, *body: str | None) -> Safe:
    """Return something closed that opens without a script."""
    return el("details", el("summary", summary), *body, class_="wb-more")
