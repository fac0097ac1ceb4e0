"""Hostile text made harmless, once, in one place.

Every string that came from telemetry passes `clean` before it reaches a terminal, a canvas or a chart, and `escape`
before it reaches markup. Nothing else in this room writes text.
"""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["LIMIT", "clean", "clip", "escape", "fit", "text_width"]

LIMIT = 2000
"""Characters kept of any one string: a body may be megabytes, a picture needs a line."""

_ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_INVISIBLE = re.compile(
    "[\x80-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e01ef]"
)
_MARK_FLOOD = re.compile("([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{2})[\u0300-\u036f]+")
_CONTROLS = {c: chr(0x2400 + c) for c in range(0x20)} | {0x09: " ", 0x0A: "\u21b5", 0x0D: None, 0x7F: "\u2421"}


def clean(text: object, limit: int = LIMIT) -> str:
    """Return one line of visible text: no control, bidirectional, zero-width or surrogate characters.

    Colour codes of terminals are dropped, other control characters become their pictures (ESC is U+241B), invisible
    ones become U+FFFD, a line break becomes a return arrow. None and NaN become "". Longer text ends in an ellipsis.
    """
    if text is None or text != text:
        return ""
    whole = str(text)
    shown = _ANSI_COLOUR.sub("", whole[: 2 * limit]).translate(_CONTROLS)
    shown = _MARK_FLOOD.sub(r"\1", _INVISIBLE.sub("\ufffd", shown))
    return clip(shown + ("\u2026" if len(whole) > 2 * limit else ""), limit)


def clip(text: str, length: int) -> str:
    """Return at most `length` characters, the last of them an ellipsis when something was cut."""
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "\u2026"


def escape(text: object, limit: int = LIMIT) -> str:
    """Return `clean` text for use in markup, in content as well as in double-quoted attributes."""
    return html.escape(clean(text, limit), quote=True)


_NARROW = set("ijl.,:;|'!() []{}ftrI/\\\"`-")
_WIDE = set("mwMW@%OQG\u2026")


def text_width(text: str, size: float) -> float:
    """Return an upper estimate of the width of text in pixels at a font size in pixels.

    Widths are those of a wide sans-serif (DejaVu Sans), so narrower fonts leave room to spare.
    """
    width = 0.0
    for letter in text:
        if letter in _NARROW:
            width += 0.39
        elif letter in _WIDE:
            width += 0.93
        elif ord(letter) < 0x2000:
            width += 0.69 if letter.isupper() else 0.625
        else:
            width += 1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.85
    return width * size


def fit(text: object, width: float, size: float, smallest: int = 2) -> str:
    """Return the text cut to a width in pixels at a font size, or "" where fewer than `smallest` letters would fit."""
    shown = clean(text, 300)
    if text_width(shown, size) <= width:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(shown[:middle] + "\u2026", size) <= width:
            low = middle
        else:
            high = middle - 1
    return shown[:low].rstrip() + "\u2026" if low >= smallest else ""
