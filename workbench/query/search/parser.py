"""Recursive-descent parser of the search language.

    query  := [ or ]
    or     := and { ("OR" | "||") and }
    and    := not { [ "AND" | "&&" ] not }
    not    := ("NOT" | "-" | "!") not | term
    term   := "(" or ")" | word | phrase | field ":" value
    value  := word | phrase | ("<" | "<=" | ">" | ">=") operand | range | "(" value-or ")"
    range  := ("[" | "{") operand "TO" operand ("]" | "}")        an operand "*" is an open end

`word` may hold the wildcards `*` (any characters) and `?` (one character); inside a quoted phrase they are text.
`_exists_:a` is `a:*`, `_missing_:a` is its negation, `*:word` is free text over every text column.

References
----------
Datadog documentation, "Log search syntax".
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.query.search.ast import (
    COMPARISONS,
    And,
    Compare,
    Everything,
    Exists,
    Field,
    Node,
    Not,
    Or,
    Range,
    Term,
    Text,
)
from workbench.query.search.lexer import Lexer, Token

__all__ = ["MAX_DEPTH", "MAX_TERMS", "parse"]

MAX_DEPTH = 60
"""Deepest nesting of parentheses and negations."""

MAX_TERMS = 1_000
"""Most conditions in one query."""

_TERM_STARTS = ("word", "phrase", "field", "(", "not")


def parse(text: str) -> Node:
    """Return the tree of a search query.

    Parameters
    ----------
    text : str
        Empty text and `*` match every row.

    Raises
    ------
    QueryError
        If the text is not a query, is longer, deeper or richer in conditions than the limits; the message says
        what was found, what was expected and where.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.lexer = Lexer(text)
        self.depth = 0
        self.terms = 0
        self.token = self.lexer.term()

    def query(self) -> Node:
        if self.token.kind == "end":
            return Everything()
        node = self.either()
        if self.token.kind != "end":
            raise self.unexpected("AND, OR, a term or the end of the query")
        return node

    def unexpected(self, expected: str, token: Token | None = None) -> Exception:
        found = token or self.token
        return self.lexer.error(f"found {found} where {expected} was expected", found.position)

    def nested(self, rule: Callable[[], Node], position: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.lexer.error(f"the query is nested deeper than {MAX_DEPTH} levels: simplify it", position)
        node = rule()
        self.depth -= 1
        return node

    def either(self) -> Node:
        parts = [self.both()]
        while self.token.kind == "or":
            self.token = self.lexer.term()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def both(self) -> Node:
        parts = [self.negation()]
        while self.token.kind == "and" or self.token.kind in _TERM_STARTS:
            if self.token.kind == "and":
                self.token = self.lexer.term()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def negation(self) -> Node:
        if self.token.kind != "not":
            return self.term()
        position = self.token.position
        self.token = self.lexer.term()
        return Not(self.nested(self.negation, position))

    def counted(self, position: int) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise self.lexer.error(f"the query has more than {MAX_TERMS} conditions: simplify it", position)

    def term(self) -> Node:
        token = self.token
        self.counted(token.position)
        if token.kind == "(":
            self.token = self.lexer.term()
            node = self.nested(self.either, token.position)
            if self.token.kind != ")":
                raise self.unexpected("')'")
        elif token.kind in ("word", "phrase"):
            node = _text(token, everywhere=False)
        elif token.kind == "field":
            node = self.field(token)
        else:
            raise self.unexpected("a word, a quoted phrase, a field or '('")
        self.token = self.lexer.term()
        return node

    def field(self, token: Token) -> Node:
        if token.pattern.everything:
            value = self.lexer.value()
            if value.kind not in ("word", "phrase"):
                raise self.unexpected("a word or a quoted phrase right after '*:'", value)
            return _text(value, everywhere=True)
        name = token.pattern.literal
        if name is None:
            raise self.lexer.error(f"field {token.text!r} has a wildcard: write the whole name", token.position)
        field = Field(name.removeprefix("@"), name.startswith("@"))
        if not field.name:
            raise self.lexer.error("found ':' where a field name was expected", token.position)
        if name in ("_exists_", "_missing_"):
            return self.presence(name)
        return self.value(field, self.lexer.value())

    def presence(self, name: str) -> Node:
        value = self.lexer.value()
        wanted = value.pattern.literal or ""
        if value.kind not in ("word", "phrase") or not wanted.removeprefix("@"):
            raise self.unexpected(f"a field name right after '{name}:'", value)
        found = Exists(Field(wanted.removeprefix("@"), wanted.startswith("@")))
        return found if name == "_exists_" else Not(found)

    def value(self, field: Field, token: Token) -> Node:
        if token.kind in ("word", "phrase"):
            return Exists(field) if token.pattern.everything else Term(field, token.pattern)
        if token.kind in COMPARISONS:
            self.lexer.spaces()
            operand = self.operand(self.lexer.value(), f"a value right after '{token.kind}'")
            if operand is None:
                raise self.lexer.error(f"found '*' where a value after '{token.kind}' was expected", token.position)
            return Compare(field, token.kind, operand)
        if token.kind in ("[", "{"):
            return self.range(field, token)
        if token.kind == "(":
            return self.nested(lambda: self.group(field), token.position)
        raise self.unexpected(f"a value right after '{field}:'", token)

    def operand(self, token: Token, expected: str) -> str | None:
        """Return the literal of a word or phrase, None for a lone `*`."""
        if token.kind not in ("word", "phrase"):
            raise self.unexpected(expected, token)
        if token.pattern.everything:
            return None
        if token.pattern.literal is None:
            raise self.lexer.error(
                f"found wildcards in {token.text!r} where a plain value was expected", token.position
            )
        return token.pattern.literal

    def range(self, field: Field, opening: Token) -> Node:
        self.lexer.spaces()
        low = self.operand(self.lexer.value(inside_range=True), "the low end of a range")
        self.lexer.spaces()
        between = self.lexer.value(inside_range=True)
        if between.kind != "to":
            raise self.unexpected("TO", between)
        self.lexer.spaces()
        high = self.operand(self.lexer.value(inside_range=True), "the high end of a range")
        self.lexer.spaces()
        closing = self.lexer.value(inside_range=True)
        if closing.kind not in ("]", "}"):
            raise self.unexpected("']' or '}'", closing)
        return Range(field, low, high, opening.kind == "[", closing.kind == "]")

    def group(self, field: Field) -> Node:
        """Return `field:(a OR b c)`: the operators of a query, but every word is a value of one field."""
        alternatives: list[Node] = []
        together: list[Node] = []
        operator = "OR"
        while True:
            negative, part = self.group_item(field, together, operator)
            together.append(Not(part) if negative else part)
            self.lexer.spaces()
            token = self.peek()
            operator = {"&&": "AND", "||": "OR"}.get(token.text, token.text) if token.kind == "word" else ""
            if operator in ("AND", "OR") or token.kind == ")":
                self.lexer.value()
            if operator == "OR" or token.kind == ")":
                alternatives.append(together[0] if len(together) == 1 else And(tuple(together)))
                together = []
            if token.kind == ")":
                return alternatives[0] if len(alternatives) == 1 else Or(tuple(alternatives))
            if token.kind == "end":
                raise self.unexpected("')'", token)

    def group_item(self, field: Field, together: list[Node], operator: str) -> tuple[bool, Node]:
        """Return whether the next value of a group is negated, and the value."""
        self.lexer.spaces()
        negative = False
        while (token := self.peek()).kind == "word" and (token.text == "NOT" or token.text[0] in "-!"):
            self.lexer.at += 3 if token.text == "NOT" else 1
            self.lexer.spaces()
            negative = not negative
        token = self.lexer.value()
        if token.kind == ")" or (token.kind == "word" and token.text in ("AND", "OR", "&&", "||")):
            raise self.unexpected("a value", token)
        self.counted(token.position)
        return negative, self.value(field, token)

    def peek(self) -> Token:
        """Return the next value token without consuming it."""
        at = self.lexer.at
        token = self.lexer.value()
        self.lexer.at = at
        return token


def _text(token: Token, *, everywhere: bool) -> Node:
    if token.pattern.everything or token.pattern.literal == "":
        return Everything()
    return Text(token.pattern, everywhere)
