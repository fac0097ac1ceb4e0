"""Text, markup and notebook bundles of every panel; hostile text through all of them."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from tests.panels import world
from tests.panels.payloads import PAYLOADS
from workbench.panels import Figure, figure, live
from workbench.panels.escape import clean
from workbench.panels.markup import ATTRIBUTES, TAGS
from workbench.runbooks import sanitize

FORBIDDEN = [chr(c) for c in (*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), 0x200B, 0xD800)]
NAMES = ("timeline", "metric", "service_map", "flame", "templates", "hypotheses")


class Checker(HTMLParser):
    """Parses as a browser would and notes everything that a fragment must not hold."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.offences: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS | {"style"}:
            self.offences.append(f"element {tag}")
        for name, value in attrs:
            if name not in {a.lower() for a in ATTRIBUTES}:
                self.offences.append(f"attribute {name}")
            if name == "style" and not re.fullmatch(r"width:[\d.]+%", value or ""):
                self.offences.append(f"style {value}")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.offences.append(f"unbalanced {tag}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)


def check(markup: str) -> Checker:
    checker = Checker()
    checker.feed(markup)
    checker.close()
    if checker.open:
        checker.offences.append(f"unclosed {checker.open}")
    if re.search(r"url\(|@import|expression|javascript|\\|<", checker.style):
        checker.offences.append("style sheet loads something")
    return checker


@pytest.mark.parametrize("name", NAMES)
def test_fragments_are_balanced_known_and_load_nothing(name, incident):
    fragment = figure(name, incident).html()
    assert check(fragment).offences == []
    assert "mathjax_ignore" in fragment[:120]
    assert not re.search(r"https?://|//[a-z]", re.sub(r"<style>.*?</style>", "", fragment))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_stays_text(name, hostile):
    made = figure(name, hostile)
    checker = check(made.html())
    assert checker.offences == []
    made.html().encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", made.text())


def spoiled(value: Any, payload: str) -> Any:
    """Return the same data with every text in it replaced."""
    if isinstance(value, str):
        return payload
    if isinstance(value, tuple) and not isinstance(value, np.generic):
        return tuple(spoiled(item, payload) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: spoiled(getattr(value, f.name), payload) for f in fields(value)})
    return value


@pytest.fixture(scope="module")
def prepared(incident) -> list[Figure]:
    return [figure(name, incident) for name in NAMES]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_each_payload_in_every_text_field_of_every_panel(payload, prepared):
    for made in prepared:
        bad = replace(made, data=spoiled(made.data, payload))
        markup, text = bad.html(), bad.text()
        assert check(markup).offences == [], made.panel
        assert clean(payload)[:20] in "".join(check(markup).text)
        assert not set(text) & set(FORBIDDEN)
        (markup + text).encode("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_an_investigation_without_telemetry_has_a_sentence(name):
    made = figure(name, world.quiet())
    assert check(made.html()).offences == []
    assert re.search(r"(Nothing|No|nothing) ", made.text())


@pytest.mark.parametrize("name", NAMES)
def test_text_reads_in_a_terminal(name, incident):
    lines = figure(name, incident).text().splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 220
    assert "pay" in "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_the_same_every_time(name, incident):
    assert figure(name, incident).html() == figure(name, incident).html()


@pytest.mark.parametrize("name", NAMES)
def test_an_exporter_that_sanitizes_changes_nothing(name, incident):
    """Every element and attribute we use is one the exporter keeps."""
    markup = figure(name, incident).html()
    assert markup.count("<style>") == 1
    kept, ours = check(sanitize.panel(markup)), check(markup)
    assert kept.offences == []
    assert "".join(kept.text) == "".join(ours.text)


@pytest.mark.parametrize("name", NAMES)
def test_bundles_are_static_unless_live_is_on(name, incident):
    data, metadata = figure(name, incident)._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    assert metadata == {"workbench": {"panel": name}}


def test_live_bundles_add_a_widget_view(incident):
    try:
        assert live(True)
        for name in ("flame", "service_map"):
            data, metadata = figure(name, incident)._repr_mimebundle_()
            assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
            assert data["text/html"].startswith("<div")
            assert metadata["workbench"] == {"panel": name}
        data, _ = figure("hypotheses", incident)._repr_mimebundle_()
        assert set(data) == {"text/plain", "text/html"}
    finally:
        live(False)
    assert not live()


def test_an_investigation_shows_itself(incident):
    data, _ = incident._repr_mimebundle_()
    assert "pay" in data["text/html"]
    assert incident.show("timeline").panel == "timeline"


def test_pages_stay_small(incident):
    assert sum(len(figure(name, incident).html()) for name in NAMES) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_an_abstention_accuses_nobody(name, incident):
    """Neither fault nor suspect is named, whatever windows and weak hypotheses there are."""
    markup = figure(name, replace(incident, abstained=True)).html()
    shown = "".join(check(markup).text)
    assert "fault" not in shown
    drawn = markup.split("</style>")[1]
    assert not re.search(r"wb-faultband|wb-faultedge|wb-k-fault|wb-badge\b|wb-ring", drawn)
