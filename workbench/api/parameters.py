"""What a request asks for: times, durations and selectors, refused in Prometheus' words.

References
----------
Prometheus, `web/api/v1/api.go` (`parseTime`, `parseDuration`, `parseMatchersParam`).
"""

from __future__ import annotations

import re
import time as clock
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from workbench.errors import QueryError
from workbench.query import promql
from workbench.query.promql.ast import Node, VectorSelector
from workbench.signals import Matcher
from workbench.signals.time import MAX_NS

__all__ = ["Form", "Refused", "parsed"]

Form = Mapping[str, Sequence[str]]
"""Parameters of a request, of its address and its body together."""

_MOST_MS = MAX_NS // 10**6 - 10**9
_PARTS = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)  # fmt: skip
_MS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1)


class Refused(Exception):
    """An answer that is an error: kind, message and status code as Prometheus gives them."""

    def __init__(self, kind: str, message: str, status: int) -> None:
        self.kind, self.message, self.status = kind, message, status
        super().__init__(message)


def bad(name: str, why: str) -> Refused:
    """Return the refusal of a parameter."""
    return Refused("bad_data", f'invalid parameter "{name}": {why}', 400)


def first(form: Form, name: str) -> str:
    """Return a parameter, the first where it is given more than once, or an empty text."""
    return next(iter(form.get(name, ())), "")


def instant(form: Form, name: str, default: int | None = None) -> int:
    """Return an instant in ms: seconds since 1970 as a number, or RFC 3339."""
    text = first(form, name)
    if not text and default is not None:
        return default
    found = _instant(text)
    if found is None:
        why = f'cannot parse "{text}" to a valid timestamp'
        raise bad(name, f"Invalid time value for '{name}': {why}" if name == "time" else why)
    return found


def now() -> int:
    """Return this instant in ms."""
    return int(clock.time() * 1000)


def _instant(text: str) -> int | None:
    try:
        found = float(text)
    except ValueError:
        return _rfc3339(text)
    return round(found * 1000) if abs(found) * 1000 < _MOST_MS else None


def _rfc3339(text: str) -> int | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII):
        return None
    try:
        return round(datetime.fromisoformat(text.upper()).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def step(form: Form) -> int:
    """Return the step in ms: a number of seconds, or a duration such as 1m30s."""
    text = first(form, "step")
    try:
        found = round(float(text) * 1000) if abs(float(text)) * 1000 < _MOST_MS else None
    except ValueError:
        found = _duration(text)
    if found is None:
        raise bad("step", f'cannot parse "{text}" to a valid duration')
    if found <= 0:
        raise bad(
            "step", "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )  # fmt: skip
    return found


def _duration(text: str) -> int | None:
    parts = _PARTS.fullmatch(text)
    if parts is None or not text or not any(parts.groups()) or max(len(part or "") for part in parts.groups()) > 12:
        return None
    total = sum(int(part or 0) * ms for part, ms in zip(parts.groups(), _MS, strict=True))
    return total if total < _MOST_MS else None


def limit(form: Form) -> int:
    """Return how many entries are wanted at most, 0 for all."""
    text = first(form, "limit")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad("limit", "limit must be a number")
    return int(text)


def parsed(text: str, name: str) -> Node:
    """Return an expression as a tree, or refuse it with line and column."""
    try:
        return promql.parse(text)
    except QueryError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        raise bad(name, f"{line}:{column}: parse error: {error.message}") from error


def selectors(form: Form) -> list[Sequence[Matcher]]:
    """Return the matchers of every `match[]`, each of which must match something by its value."""
    found: list[Sequence[Matcher]] = []
    for text in form.get("match[]", ()):
        node = parsed(text, "match[]")
        if not isinstance(node, VectorSelector):
            raise bad("match[]", "1:1: parse error: expected a series selector")
        if not any(_says_something(matcher) for matcher in node.matchers):
            raise bad("match[]", "match[] must contain at least one non-empty matcher")
        found.append(node.matchers)
    return found


def _says_something(matcher: Matcher) -> bool:
    """Return whether a matcher does not match an absent label."""
    mask = matcher.mask(np.array([""], object))
    return not bool(mask[0])
