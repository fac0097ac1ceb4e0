from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.panels.payloads import PAYLOADS
from workbench.panels.escape import LIMIT, clean, clip, escape, fit, text_width
from workbench.panels.markup import Safe, el, join


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_clean_leaves_one_line_of_visible_encodable_text(text: str):
    shown = clean(text)
    shown.encode("utf-8")
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in shown
    )
    assert clean(shown) == shown


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_an_element_gives_back_exactly_the_cleaned_text_and_attribute(text: str):
    reader = Reader()
    reader.feed(el("span", text, aria_label=text))
    reader.close()
    assert reader.tags == ["span"]
    assert reader.text == clean(text)
    assert reader.attributes == [("aria-label", clean(text, 400_000))]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_escape_leaves_no_markup(payload: str):
    shown = escape(payload)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == clean(payload)


def test_clean_says_what_was_there():
    assert clean("\x1b[31mred\x1b[0m") == "red"
    assert clean("a\x1b]0;t\x07b") == "a\u241b]0;t\u2407b"
    assert clean("one\r\ntwo\tthree") == "one\u21b5two three"
    assert clean("user\u202etxt.exe") == "user\ufffdtxt.exe"
    assert clean(None) == clean(float("nan")) == ""
    assert len(clean("x" * 10**6)) == LIMIT


def test_clip_and_fit_never_exceed_their_room():
    assert clip("abcdef", 4) == "abc\u2026"
    for width in (0, 5, 20, 55, 400):
        assert text_width(fit("a rather long name of a service", width, 11), 11) <= width
    assert fit("short", 400, 11) == "short"


def test_unknown_elements_and_attributes_are_refused():
    with pytest.raises(ValueError, match="script"):
        el("script", "alert(1)")
    for name in ("onclick", "href", "src", "xlink_href", "id"):
        with pytest.raises(ValueError, match="vocabulary"):
            el("g", **{name: "x"})
    assert join([Safe("<b>"), "<b>", None]) == "<b>&lt;b&gt;"
