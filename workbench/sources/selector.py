"""Series selectors, as an address may carry them: a name, label matchers in braces, or both.

The whole of PromQL is understood a floor above; here only what picks series is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.errors import InvalidInput, QueryError
from workbench.signals import Matcher
from workbench.signals.names import from_prometheus

__all__ = ["parse_selector"]

_STRING = r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_WHOLE = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(\{.*\})?\s*", re.ASCII | re.DOTALL)
_MATCHER = re.compile(
    rf"\s*(?:([a-zA-Z_][a-zA-Z0-9_]*|{_STRING})\s*(=~|!~|!=|=)\s*({_STRING})|({_STRING}))\s*(,|\Z)", re.ASCII
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


def parse_selector(text: str) -> Sequence[Matcher]:
    """Return the matchers of a selector such as `up{job="x", instance=~"10[.].*"}`.

    Raises
    ------
    InvalidInput
        If it is not understood, or matches everything only because it says nothing.
    """
    parts = _WHOLE.fullmatch(text)
    if parts is None or not any(parts.groups()):
        raise _refused(text)
    found = [Matcher("metric", "=", parts[1])] if parts[1] else []
    inner, at = (parts[2] or "{}")[1:-1].strip(), 0
    while at < len(inner):
        each = _MATCHER.match(inner, at)
        if each is None:
            raise _refused(text)
        name, op, value, quoted, _ = each.groups()
        try:
            if quoted:
                found.append(Matcher("metric", "=", _unquoted(quoted)))
            else:
                found.append(Matcher(from_prometheus(_unquoted(name)), op, _unquoted(value)))
        except QueryError as error:
            raise InvalidInput(f"selector {text!r} is not understood: {error.message}") from error
        at = each.end()
    if not found:
        raise _refused(text)
    return found


def _refused(text: str) -> InvalidInput:
    return InvalidInput(f'selector {text!r} is not understood: write a name, or matchers such as {{job="x"}}, or both.')


def _unquoted(text: str) -> str:
    if text[:1] not in "\"'`":
        return text
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text[1:-1])
