"""The part of the parser that reads selectors: matchers, ranges, subqueries, `offset`, `@`, lists of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.errors import QueryError
from workbench.query.promql import ast, durations
from workbench.query.promql.ast import Node
from workbench.query.promql.lexer import Token, duration, number, quoted
from workbench.signals import Matcher
from workbench.signals.matchers import OPERATORS
from workbench.signals.names import from_prometheus

if TYPE_CHECKING:
    from workbench.query.promql.parser import Parser

__all__ = ["label_list", "postfix", "vector"]


def label_list(parser: Parser) -> tuple[str, ...]:
    """Parse `(label, "utf8 label", ...)`."""
    parser.expect("(", "grouping opts")
    names: list[str] = []
    while not parser.accept(")"):
        if names:
            parser.expect(",", "grouping opts", '"," or ")"')
            if parser.accept(")"):
                break
        token = parser.next()
        if token.kind not in ("name", "string") or ":" in (token.text if token.kind == "name" else ""):
            raise parser.error(f"unexpected {token} in grouping opts, expected label", token)
        names.append(token.value if token.kind == "string" else token.text)
    return tuple(names)


def vector(parser: Parser, *, any_matcher: bool = False) -> ast.VectorSelector:
    """Parse `name{matchers}`, `name` or `{matchers}`; with `any_matcher` all of them may match the empty string."""
    first = parser.token
    matchers: list[Matcher] = []
    if first.kind == "name":
        parser.at += 1
        matchers.append(Matcher("metric", "=", first.text))
    if parser.accept("{"):
        while not parser.accept("}"):
            _matcher(parser, matchers)
            if not parser.accept(",") and parser.token.text != "}":
                raise parser.error(f'unexpected {parser.token} in label matching, expected "," or "}}"', parser.token)
    if first.kind == "name" and sum(m.name == "metric" for m in matchers) > 1:
        names = [m.value for m in matchers if m.name == "metric"]
        raise parser.error(f"metric name must not be set twice: {quoted(names[0])} or {quoted(names[1])}", first)
    if not any_matcher and all(_matches_empty(m) for m in matchers):
        raise parser.error("vector selector must contain at least one non-empty matcher", first)
    return ast.VectorSelector(tuple(matchers), first.start, parser.end())


def _matches_empty(matcher: Matcher) -> bool:
    import numpy as np

    return bool(matcher.mask(np.array([""], object))[0])


def _matcher(parser: Parser, matchers: list[Matcher]) -> None:
    token = parser.next()
    if token.kind not in ("name", "string") or (token.kind == "name" and ":" in token.text):
        raise parser.error(f"unexpected {token} in label matching, expected label matcher", token)
    name = token.value if token.kind == "string" else token.text
    operator = parser.token
    if token.kind == "string" and operator.text in (",", "}"):
        matchers.append(Matcher("metric", "=", name))
        return
    if operator.kind != "op" or operator.text not in OPERATORS:
        raise parser.error(f"unexpected {operator} in label matching, expected one of {', '.join(OPERATORS)}", operator)
    parser.at += 1
    value = parser.next()
    if value.kind != "string":
        raise parser.error(f"unexpected {value} in label matching, expected string", value)
    try:
        matchers.append(Matcher(from_prometheus(name), operator.text, value.value))
    except QueryError as error:
        raise parser.error(str(error), value) from error


def postfix(parser: Parser, node: Node) -> Node:
    """Parse what may follow a selector or an expression: ranges, `offset` and `@`, in any order where allowed."""
    while True:
        token = parser.token
        if parser.accept("["):
            node = _range(parser, node, token)
        elif token.kind == "name" and token.text.lower() == "offset":
            parser.at += 1
            node = _offset(parser, node, token, durations.offset(parser))
        elif token.kind == "name" and token.text.lower() in ("anchored", "smoothed"):
            parser.at += 1
            node = _mode(parser, node, token)
        elif parser.accept("@"):
            node = _at(parser, node, token)
        else:
            return node


def _range(parser: Parser, node: Node, token: Token) -> Node:
    length = durations.bracketed(parser, "subquery or range selector")
    if parser.accept(":"):
        step = 0 if parser.token.text == "]" else durations.bracketed(parser, "subquery selector")
        _close(parser, "subquery selector", '"]"')
        if node.type not in ("vector", "scalar"):
            raise parser.error(f"subquery is only allowed on instant vector, got {node.type} instead", node)
        return ast.Subquery(node, length, step, node.start, parser.end())
    _close(parser, "subquery or range", '":" or "]"')
    if not isinstance(node, ast.VectorSelector):
        raise parser.error("ranges only allowed for vector selectors", token)
    if node.offset or node.at is not None or node.mode:
        what = "offset" if node.offset else "@" if node.at is not None else node.mode
        raise parser.error(f"no {what} modifiers allowed before range", token)
    return ast.MatrixSelector(node, length, node.start, parser.end())


def _close(parser: Parser, context: str, expected: str) -> None:
    if not parser.accept("]"):
        raise parser.error(f"unexpected {parser.token} in {context}, expected {expected}", parser.token)


def _mode(parser: Parser, node: Node, token: Token) -> Node:
    mode = token.text.lower()
    selector = node.vector if isinstance(node, ast.MatrixSelector) else node
    if not isinstance(selector, ast.VectorSelector):
        raise parser.error(
            f"{mode} modifier must be preceded by an instant vector selector or range vector selector", token
        )
    if selector.mode:
        raise parser.error("anchored and smoothed modifiers cannot be used together, nor twice", token)
    if mode == "anchored" and selector is node:
        raise parser.error("anchored modifier must be preceded by a range vector selector", token)
    selector = replace(selector, mode=mode, end=parser.end())
    return replace(node, vector=selector, end=parser.end()) if isinstance(node, ast.MatrixSelector) else selector


def _offset(parser: Parser, node: Node, token: Token, length: ast.Length) -> Node:
    if isinstance(node, ast.MatrixSelector):
        return replace(node, vector=_offset(parser, node.vector, token, length), end=parser.end())  # type: ignore[arg-type]
    if not isinstance(node, ast.VectorSelector | ast.Subquery):
        raise parser.error(
            "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
            token,
        )
    if node.offset:
        raise parser.error("offset may not be set multiple times", token)
    return replace(node, offset=length, end=parser.end())


def _at(parser: Parser, node: Node, token: Token) -> Node:
    word = parser.accept_word("start", "end")
    at: ast.At
    if word:
        parser.expect("(", "@")
        parser.expect(")", "@")
        at = "start" if word == "start" else "end"
    else:
        sign = -1 if parser.accept("-") else 1
        parser.accept("+")
        value = parser.next()
        seconds = number(value.text) if value.kind in ("number", "name") else None
        if seconds is None and value.kind == "duration":
            length = duration(value.text)
            seconds = None if length is None else length / 1e9
        if seconds is None:
            raise parser.error(f"unexpected {value} in @, expected timestamp", value)
        if not abs(seconds) < 9.2e9:
            raise parser.error(f"timestamp out of bounds for @ modifier: {value.text}", value)
        at = sign * round(seconds * 1e9)
    return _set_at(parser, node, token, at)


def _set_at(parser: Parser, node: Node, token: Token, at: ast.At) -> Node:
    if isinstance(node, ast.MatrixSelector):
        return replace(node, vector=_set_at(parser, node.vector, token, at), end=parser.end())  # type: ignore[arg-type]
    if not isinstance(node, ast.VectorSelector | ast.Subquery):
        raise parser.error(
            "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery", token
        )
    if node.at is not None:
        raise parser.error("@ <timestamp> may not be set multiple times", token)
    return replace(node, at=at, end=parser.end())
