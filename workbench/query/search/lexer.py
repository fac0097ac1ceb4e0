"""Tokens of the search language, with their positions.

Whether a `:` ends a field name or belongs to a value depends on where it stands, so the parser asks for one token at a
time and says whether it expects a term or a value.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import QueryError
from workbench.query.search.ast import COMPARISONS, KEYWORDS, Pattern, Wild

__all__ = ["MAX_LENGTH", "MAX_WILDCARDS", "MAX_WILD_LENGTH", "Lexer", "Token"]

MAX_LENGTH = 20_000
"""Longest query accepted, characters."""

MAX_WILDCARDS = 32
"""Most wildcards in one word: matching takes time in proportion to them."""

MAX_WILD_LENGTH = 500
"""Longest word with wildcards, characters."""

_NOTHING = Pattern(())
_BRACKETS = frozenset('()[]{}"')


@dataclass(frozen=True)
class Token:
    """One token: `kind` is end, word, phrase, field, not, and, or, to, or the bracket or comparison itself."""

    kind: str
    text: str
    position: int
    pattern: Pattern = _NOTHING

    def __str__(self) -> str:
        """Return what an error message calls this token."""
        return "the end of the query" if self.kind == "end" else repr(self.text)


class Lexer:
    """Reads tokens of one query, one at a time.

    Raises
    ------
    QueryError
        If the text is longer than `MAX_LENGTH` or is not valid Unicode.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise QueryError(f"the query has {len(text)} characters; at most {MAX_LENGTH} are allowed: shorten it.")
        broken = next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), -1)
        if broken >= 0:
            raise QueryError(f"character {broken + 1} of the query is half of a surrogate pair: remove it.")
        self.text = text
        self.at = 0

    def error(self, message: str, position: int) -> QueryError:
        """Return an error that points into this query."""
        return QueryError(message, self.text, position)

    def spaces(self) -> bool:
        """Skip white space; return whether there was any."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at > start

    def term(self) -> Token:
        """Return the next token where a term, an operator or a parenthesis may stand."""
        self.spaces()
        start, rest = self.at, self.text[self.at : self.at + 2]
        if not rest:
            return Token("end", "", start)
        for spelling, kind in (("&&", "and"), ("||", "or"), ("!", "not"), ("-", "not")):
            if rest.startswith(spelling):
                self.at += len(spelling)
                return Token(kind, spelling, start)
        if rest[0] in "()":
            return self._bracket()
        if rest[0] == '"':
            return self._phrase()
        if rest[0] in "[]{}:":
            raise self.error(f"found {rest[0]!r} where a term was expected: quote it or put a \\ before it", start)
        word = self._word(stop=":")
        if self.text[self.at : self.at + 1] == ":":
            self.at += 1
            return Token("field", word.text, start, word.pattern)
        if word.text in KEYWORDS[:3]:
            return Token(word.text.lower(), word.text, start)
        return word

    def value(self, *, inside_range: bool = False) -> Token:
        """Return the next token where a value may stand: after a field's colon, in its parentheses or in a range."""
        start, rest = self.at, self.text[self.at : self.at + 2]
        if not rest or (rest[0].isspace() and not inside_range):
            return Token("end" if not rest else "space", rest[:1], start)
        comparison = next((op for op in COMPARISONS if rest.startswith(op)), "")
        if comparison and not inside_range:
            self.at += len(comparison)
            return Token(comparison, comparison, start)
        if rest[0] == '"':
            return self._phrase()
        if rest[0] in _BRACKETS:
            return self._bracket()
        word = self._word(stop="")
        return Token("to", "TO", start) if inside_range and word.text == "TO" else word

    def _bracket(self) -> Token:
        self.at += 1
        return Token(self.text[self.at - 1], self.text[self.at - 1], self.at - 1)

    def _phrase(self) -> Token:
        start = self.at
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == '"':
                literal = "".join(out)
                return Token("phrase", self.text[start : self.at], start, Pattern((literal,) if literal else ()))
            if c == "\\" and self.at < len(self.text):
                c = self.text[self.at]
                self.at += 1
            out.append(c)
        raise self.error('found the end of the query inside a quoted phrase; a closing " was expected', start)

    def _word(self, stop: str) -> Token:
        start = self.at
        parts: list[str | Wild] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c.isspace() or c in _BRACKETS or (stop and c == stop):
                break
            self.at += 1
            if c == "\\":
                if self.at == len(self.text):
                    raise self.error("found a \\ at the end of the query; a character to escape was expected", start)
                c = self.text[self.at]
                self.at += 1
                _append(parts, c)
            elif c in "*?":
                _append(parts, Wild(c))
            else:
                _append(parts, c)
        wild = sum(isinstance(part, Wild) for part in parts)
        if wild > MAX_WILDCARDS or (wild and self.at - start > MAX_WILD_LENGTH):
            raise self.error(
                f"found a word of {self.at - start} characters with {wild} wildcards; at most {MAX_WILD_LENGTH} and"
                f" {MAX_WILDCARDS} are allowed: shorten it",
                start,
            )
        return Token("word", self.text[start : self.at], start, Pattern(tuple(parts)))


def _append(parts: list[str | Wild], new: str | Wild) -> None:
    if parts and isinstance(new, str) and isinstance(parts[-1], str):
        parts[-1] += new
    elif not (parts and new is Wild.ANY and parts[-1] is Wild.ANY):
        parts.append(new)
