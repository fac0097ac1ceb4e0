"""Tokens of PromQL, with their positions.

References
----------
Prometheus documentation, "Querying basics": literals, durations, comments, UTF-8 names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from workbench.errors import QueryError

__all__ = ["MAX_LENGTH", "Token", "duration", "number", "quoted", "tokenize"]

MAX_LENGTH = 100_000
"""Longest expression accepted, characters."""

_UNITS: Final = {
    "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9,
    "y": 365 * 86_400 * 10**9,
}  # fmt: skip
_DURATION: Final = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w]))
    |(?P<number>0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<raw>`[^`]*`)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<op>==|!=|<=|>=|</|>/|=~|!~|[-+*/%^()\[\]{},@=<>:])""",
    re.VERBOSE | re.ASCII,
)
_WORD: Final = re.compile(r"\w+", re.ASCII)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.)|$)", re.DOTALL
)
_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip


@dataclass(frozen=True)
class Token:
    """One token; `kind` is name, number, duration, string, op or end, `value` the content of a string."""

    kind: str
    text: str
    start: int
    end: int
    value: str = ""

    def __str__(self) -> str:
        """Return what an error message calls this token."""
        if self.kind == "end":
            return "end of input"
        kind = "" if self.kind == "op" else "identifier " if self.kind == "name" else f"{self.kind} "
        return kind + quoted(self.text)


def quoted(text: str) -> str:
    """Return text as error messages quote it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tokenize(text: str) -> list[Token]:
    """Return the tokens of an expression, the last of kind `end`.

    Raises
    ------
    QueryError
        If a character starts no token, a string is not closed, an escape is broken, or the text is too long.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed: shorten it.")
    broken = next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), -1)
    if broken >= 0:
        raise QueryError(f"character {broken + 1} of the expression is half of a surrogate pair: remove it.")
    tokens: list[Token] = []
    at, brackets = 0, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _no_token(text, at)
        kind = str(found.lastgroup)
        end = found.end()
        if kind == "name" and brackets and text[at] == ":":
            kind, end = "op", at + 1
        if kind == "op":
            brackets += {"[": 1, "]": -1}.get(text[at], 0)
        if kind in ("number", "duration") and (more := _WORD.match(text, end)):
            raise QueryError(f"bad number or duration syntax: {quoted(text[at : more.end()])}", text, at)
        if kind in ("raw", "string"):
            tokens.append(Token("string", text[at:end], at, end, _unquote(text, at, end, raw=kind == "raw")))
        elif kind != "space":
            tokens.append(Token(kind, text[at:end], at, end))
        at = end
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _no_token(text: str, at: int) -> QueryError:
    if text[at] in "\"'`":
        return QueryError(f"found a string that is not closed; a second {text[at]} was expected", text, at)
    return QueryError(f"unexpected character: {text[at]!r}", text, at)


def _unquote(text: str, start: int, end: int, *, raw: bool) -> str:
    body = text[start + 1 : end - 1]
    if raw or "\\" not in body:
        return body
    quote = text[start]

    def replace(found: re.Match[str]) -> str:
        simple, x, u, long, octal, _ = found.groups()
        if simple and not (simple in "'\"" and simple != quote):
            return _SIMPLE[simple]
        byte = int(x, 16) if x else int(octal, 8) if octal else -1
        if 0 <= byte < 256:
            return chr(byte) if byte < 128 else chr(0xDC00 + byte)  # a raw byte, as "surrogateescape" writes it
        code = int(u or long, 16) if u or long else -1
        if code < 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise QueryError(f"found the unknown escape {found[0]!r} in a string", text, start + 1 + found.start())
        return chr(code)

    try:
        return _ESCAPE.sub(replace, body).encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise QueryError("found a string that is not valid UTF-8", text, start) from error


def number(text: str) -> float | None:
    """Return the number a literal spells (decimal, hexadecimal, `inf`, `nan`), or None."""
    lower = text.lower()
    if lower in ("inf", "nan"):
        return float(lower)
    try:
        return float(int(lower, 16)) if lower.startswith("0x") else float(lower)
    except (ValueError, OverflowError):
        return None


def duration(text: str) -> int | None:
    """Return a duration such as `1h30m` in nanoseconds, or None when units repeat, are out of order or overflow."""
    found = _DURATION.fullmatch(text)
    if not found or not text:
        return None
    order = ("y", "w", "d", "h", "m", "s", "ms")
    total = sum(int(n) * _UNITS[unit] for n, unit in zip(found.groups(), order, strict=True) if n)
    return total if total < 2**63 else None
