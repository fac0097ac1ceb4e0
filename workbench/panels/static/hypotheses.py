"""Hypotheses as text and as static markup."""

from __future__ import annotations

import textwrap

import numpy as np

from workbench.panels.data import Card, Finding, HypothesesData
from workbench.panels.escape import clean, clip
from workbench.panels.markup import Safe, el
from workbench.panels.static.frame import chip, fragment, note
from workbench.panels.units import clock, likelihood, number, span

__all__ = ["html", "text"]

_KIND = {
    "errors": "bad", "dependency_down": "bad", "bad_deploy": "accent", "latency": "warn", "slow_query": "warn",
    "lock_contention": "warn", "cpu_saturation": "warn", "memory_leak": "warn", "retry_storm": "info",
    "traffic_surge": "info",
}  # fmt: skip
_FULL = 40.0


def text(data: HypothesesData) -> str:
    """Return the conclusion as text, each claim followed by the query it rests on."""
    lines = [clean(data.title)]
    if data.window is not None:
        lines.append(span(*data.window))
    lines += textwrap.wrap(clean(data.summary), 110)
    for card in data.cards:
        bar = "\u2588" * round(card.probability * 20)
        lines += ["", f"{card.rank}. {_who(card)}  {_kind(card)}  {likelihood(card.probability)} {bar}".rstrip()]
        for finding in card.findings:
            lines += textwrap.wrap(clean(finding.statement), 104, initial_indent="   - ", subsequent_indent="     ")
            if finding.query:
                lines.append(f"     {clip(clean(finding.query), 200)}")
    if data.more:
        lines += ["", f"{data.more} less likely hypotheses are not shown."]
    return "\n".join(lines)


def _who(card: Card) -> str:
    where = f" / {clip(clean(card.component), 80)}" if card.component else ""
    return clip(clean(card.service), 80) + where


def _kind(card: Card) -> str:
    return clean(card.kind).replace("_", " ")


def html(data: HypothesesData) -> str:
    """Return the conclusion as a fragment: ranked cards, or plainly why there are none."""
    sub = span(*data.window) if data.window is not None else ""
    if data.fault is not None:
        sub += (
            f" \u00b7 {'what moved' if data.abstained else 'fault'} {clock(data.fault[0])}\u2013{clock(data.fault[1])}"
        )
    if data.seconds:
        sub += f" \u00b7 {number(data.seconds)} s of analysis"
    cards = el("div", *(_card(card, data.abstained) for card in data.cards), class_="wb-cards") if data.cards else None
    more = note(f"{data.more} less likely hypotheses are not shown.") if data.more else None
    if not data.abstained:
        return fragment("hypotheses", data.title, sub, el("div", data.summary, class_="wb-say"), cards, more)
    why = el("div", data.summary, class_="wb-none")
    weak = note("Too weak to name, listed for completeness:") if data.cards else None
    return fragment("hypotheses", data.title, sub, why, weak, cards, more)


def _card(card: Card, weak: bool) -> Safe:
    part = min(max(card.probability, 0.0), 1.0) if card.probability == card.probability else 0.0
    fill = el("span", class_="wb-barfill", style=f"width:{100 * part:.1f}%")
    bar = el("span", fill, class_="wb-bar", role="img", aria_label=f"probability {likelihood(part)}")
    head = el(
        "div",
        el("span", str(card.rank), class_="wb-rank"),
        el("span", clip(clean(card.service), 120), class_="wb-who"),
        el("span", clip(clean(card.component), 160), class_="wb-where") if card.component else None,
        chip(_kind(card), _KIND.get(card.kind, "")),
        el("span", bar, likelihood(card.probability), class_="wb-prob"),
        class_="wb-cardhead",
    )
    found = el("ul", *(_finding(f) for f in card.findings), class_="wb-evidence") if card.findings else None
    first = card.rank == 1 and not weak
    return el("div", head, found, class_="wb-card wb-card-first" if first else "wb-card")


def _finding(finding: Finding) -> Safe:
    part = min(max(finding.strength / _FULL, 0.02), 1.0) if finding.strength == finding.strength else 0.02
    fill = el("span", class_="wb-barfill", style=f"width:{100 * part:.1f}%")
    label = f"strength {finding.strength:.0f} decibans"
    bar = el("div", el("span", fill, class_="wb-bar", role="img", aria_label=label), class_="wb-strength")
    meta = [clean(finding.check).replace("_", " ")]
    if not np.isnat(finding.onset):
        meta.append(f"since {clock(finding.onset)}")
    if finding.rows:
        meta.append(f"{number(finding.rows)} rows")
    meta.append(f"strength {finding.strength:.0f} dB")
    query = el("div", el("code", clip(clean(finding.query), 600), class_="wb-code wb-q")) if finding.query else None
    said = el(
        "div", el("div", clip(clean(finding.statement), 800)), query, el("div", " \u00b7 ".join(meta), class_="wb-meta")
    )
    return el("li", bar, said)
