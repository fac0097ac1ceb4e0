from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Investigation
from workbench.incidents import Statement, postmortem

KEYS = [
    "summary", "impact", "times", "timeline", "trigger", "cause", "factors", "detection", "resolution", "learned",
    "actions", "charts",
]  # fmt: skip


def texts(found: Investigation, key: str) -> list[str]:
    section = postmortem(found).section(key)
    assert section is not None
    return [statement.text for statement in section.statements]


def test_sections_of_a_known_incident(investigation: Investigation) -> None:
    report = postmortem(investigation)
    assert [section.key for section in report.sections] == KEYS
    assert report.title == "pay: failing requests"
    assert report.id == "INC-20260301-0205-pay"
    assert report.severity == "SEV-2"
    assert texts(investigation, "summary") == [
        "From 2026-03-01 02:05:00 UTC, pay (POST /pay) showed failing requests (probability over 99 %).",
        "It lasted 2 min 10 s. In this time, 30 of 130 incoming requests failed "
        "and 120 were slower than 95 of 100 requests were before.",
    ]
    assert texts(investigation, "impact")[0] == "Failed requests: 30 of 130 (23 %); before, 0 %."
    assert "Detected: first alert, 30 s after it began." in texts(investigation, "times")
    assert "Resolved: the signals returned to normal, 2 min 10 s after it began." in texts(investigation, "times")
    assert texts(investigation, "trigger")[:2] == [
        "deploy of pay (Deployed pay 2.0), 5 s before it began, in the suspected service.",
        "flag of shop (Flag wide switched on), 1 min 40 s before it began, in another service.",
    ]
    assert texts(investigation, "cause")[0] == "30 of 120 calls failed, 0 of 300 before"
    assert texts(investigation, "detection")[0] == 'By the alert "Error budget burns" of shop, after 30 s.'


def test_every_statement_has_a_query_or_is_a_draft(investigation: Investigation, quiet: Investigation) -> None:
    for found in (investigation, quiet):
        for section in postmortem(found).sections:
            assert section.statements, section.key
            for statement in section.statements:
                assert statement.draft != statement.query.startswith("bench."), statement


def test_what_people_must_write_is_a_draft(investigation: Investigation) -> None:
    for key in ("factors", "learned", "actions"):
        section = postmortem(investigation).section(key)
        assert section is not None
        assert all(statement.draft for statement in section.statements)


def test_without_alert_change_or_recovery_it_says_so(investigation: Investigation) -> None:
    window = (investigation.window[0], investigation.window[0] + np.timedelta64(425, "s"))
    events = investigation.telemetry.events.iloc[:0]
    spans = investigation.telemetry.spans
    cut = dataclasses.replace(
        investigation,
        window=window,
        telemetry=dataclasses.replace(
            investigation.telemetry, events=events, spans=spans[spans["time"] < window[1]].reset_index(drop=True)
        ),
    )
    assert "No alert fired in the faulty part of the window." in texts(cut, "detection")
    assert texts(cut, "trigger")[0].startswith("No deploy, configuration, scale or flag event is recorded")
    assert texts(cut, "resolution")[0] == "It was still going on at the end of the window."


def test_abstained_gives_a_short_report(quiet: Investigation) -> None:
    report = postmortem(quiet)
    assert [section.key for section in report.sections] == ["summary", "looked", "impact", "next"]
    assert report.severity == "none"
    assert texts(quiet, "summary") == ["Nothing stands out"]


def test_wording_is_about_the_system(investigation: Investigation, quiet: Investigation) -> None:
    for found in (investigation, quiet):
        text = postmortem(found).to_markdown().lower()
        for word in ("blame", "fault of", "mistake", "careless", "should have known", "human error"):
            assert word not in text


def test_own_title_and_json(investigation: Investigation) -> None:
    report = postmortem(investigation, "Cards declined")
    document = json.loads(json.dumps(report.to_json()))
    assert document["title"] == "Cards declined"
    assert [section["key"] for section in document["sections"]] == KEYS
    assert document["window"] == ["2026-03-01T02:00:00.000000000Z", "2026-03-01T02:10:00.000000000Z"]


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_hostile_text_is_no_markup_in_html(hostile: Investigation) -> None:
    seen = Seen()
    seen.feed(postmortem(hostile).to_html())
    assert seen.tags <= {
        "article", "header", "h2", "h3", "p", "span", "section", "ul", "li", "table", "tbody", "tr", "td", "time", "br",
        "code",
    }  # fmt: skip
    assert seen.attributes <= {"class"}
    assert "alert(1)" in postmortem(hostile).to_html()


def test_hostile_text_is_no_markup_in_markdown(hostile: Investigation) -> None:
    import nh3
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    seen = Seen()
    seen.feed(markdown2html_mistune(postmortem(hostile).to_markdown()))
    assert seen.tags.isdisjoint({"img", "script", "table", "math"})
    assert "onerror" not in seen.attributes
    links = re.findall(r'href="([^"]*)"', markdown2html_mistune(postmortem(hostile).to_markdown()))
    assert all(link.startswith("#") for link in links), links
    assert nh3.is_html(postmortem(hostile).to_html())


def test_markdown_keeps_ordinary_text_readable(investigation: Investigation) -> None:
    text = postmortem(investigation).to_markdown()
    assert (
        "- From 2026-03-01 02:05:00 UTC, pay (POST /pay) showed failing requests (probability over 99 %).  \n" in text
    )
    assert "\\" not in text.replace("\\*", "")


def test_line_breaks_control_characters_and_direction_overrides_are_shown() -> None:
    from workbench.incidents import Postmortem, Section

    text = "a\n# b\x1b[31m\u202egnp"
    window = (np.datetime64("2026-03-01", "ns"), np.datetime64("2026-03-02", "ns"))
    report = Postmortem("t", "i", "s", window, (Section("k", "k", (Statement(text, "bench.logs('``')"),)),))
    markdown = report.to_markdown()
    assert "- a # b\N{REPLACEMENT CHARACTER}\\[31m\N{REPLACEMENT CHARACTER}gnp  \n  ```bench.logs('``')```" in markdown
    assert "\u202e" not in report.to_html()


def test_display_is_marked_as_ours(investigation: Investigation) -> None:
    data, metadata = postmortem(investigation)._repr_mimebundle_()
    assert metadata["workbench"]["panel"] == "postmortem"
    assert data["text/html"].startswith('<article class="wb-postmortem">')
    assert pd.Timestamp(metadata["workbench"]["window"][0]) == pd.Timestamp("2026-03-01T02:00:00Z")
