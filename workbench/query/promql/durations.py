"""Durations in an expression: literals, and arithmetic over them inside ranges, steps and offsets.

    duration := term { ("+" | "-" | "*" | "/" | "%" | "^") term }
    term     := ("+" | "-") term | number | 5m | step() | range() | min_of(duration, duration) | max_of(...) | (duration)

What rests on numbers alone is worked out at once; `step()` and `range()` are known when the query runs.

References
----------
Prometheus documentation, feature flag "promql-duration-expr".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import QueryError
from workbench.query.promql import ast
from workbench.query.promql.lexer import Token, duration, number

if TYPE_CHECKING:
    from workbench.query.promql.parser import Parser

__all__ = ["bracketed", "offset", "resolve"]

_PRECEDENCE: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}
_OPERATE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": math.fmod, "^": operator.pow,
}  # fmt: skip
_EXPECTED = "number, duration, step(), or range()"
_LONGEST = 2**63 / 1e9


def bracketed(parser: Parser, context: str) -> ast.Length:
    """Parse the range or the step in brackets, which must be longer than zero."""
    start = parser.token
    value = _expression(parser, 1, context)
    return _length(parser, value, start, positive=True)


def offset(parser: Parser) -> ast.Length:
    """Parse what follows `offset`: one term; only what begins with a parenthesis may go on with operators."""
    start = parser.token
    if start.kind == "op" and start.text == "(":
        return _length(parser, _expression(parser, 1, "offset"), start, positive=False)
    sign = parser.next().text if start.kind == "op" and start.text in "+-" else ""
    value = _term(parser, "offset")
    return _length(parser, _negated(value, start.start) if sign == "-" else value, start, positive=False)


def _negated(value: float | ast.Duration, start: int) -> float | ast.Duration:
    return ast.Duration("-", None, value, start) if isinstance(value, ast.Duration) else -value


def _length(parser: Parser, value: float | ast.Duration, start: Token, *, positive: bool) -> ast.Length:
    if isinstance(value, ast.Duration):
        return value
    if not abs(value) <= _LONGEST:
        raise parser.error("duration out of range", start)
    if positive and value <= 0:
        raise parser.error("duration must be greater than 0", start)
    return round(value * 1e9)


def _expression(parser: Parser, minimum: int, context: str) -> float | ast.Duration:
    left = _term(parser, context)
    while parser.token.kind == "op" and (power := _PRECEDENCE.get(parser.token.text, 0)) >= minimum:
        sign = parser.next()
        right = _expression(parser, power if sign.text == "^" else power + 1, context)
        left = _joined(parser, sign, left, right)
    return left


def _joined(
    parser: Parser, sign: Token, left: float | ast.Duration, right: float | ast.Duration
) -> float | ast.Duration:
    if sign.text in "/%" and right == 0:
        raise parser.error("division by zero" if sign.text == "/" else "modulo by zero", sign)
    if isinstance(left, ast.Duration) or isinstance(right, ast.Duration):
        return ast.Duration(sign.text, left, right, sign.start)
    try:
        value = _apply(sign.text, left, right)
    except QueryError as error:
        raise parser.error(str(error), sign) from error
    return math.trunc(value * 1000) / 1000 if math.isfinite(value) and abs(value) < _LONGEST else value


def _term(parser: Parser, context: str) -> float | ast.Duration:
    parser.depth += 1
    if parser.depth > parser.max_depth:
        raise parser.error(f"the expression is nested deeper than {parser.max_depth} levels: simplify it", parser.token)
    token = parser.next()
    value: float | ast.Duration | None = None
    if token.kind == "duration":
        length = duration(token.text)
        value = None if length is None else length / 1e9
    elif token.kind == "number":
        value = number(token.text)
    elif token.kind == "op" and token.text in ("+", "-"):
        inner = _expression(parser, 3, context)
        value = _negated(inner, token.start) if token.text == "-" else inner
    elif token.kind == "op" and token.text == "(":
        value = _expression(parser, 1, context)
        parser.expect(")", context)
    elif token.kind == "name" and parser.token.text == "(":
        value = _function(parser, token, context)
    if value is None:
        raise parser.error(f"unexpected {token} in {context}, expected {_EXPECTED}", token)
    parser.depth -= 1
    return value


def _function(parser: Parser, token: Token, context: str) -> float | ast.Duration | None:
    name = token.text.lower()
    if name in ("step", "range"):
        parser.expect("(", context)
        parser.expect(")", context)
        return ast.Duration(name, None, None, token.start)
    name = {"min": "min_of", "max": "max_of"}.get(name, name)
    if name not in ("min_of", "max_of"):
        return None
    parser.expect("(", context)
    left = _expression(parser, 1, context)
    parser.expect(",", context)
    right = _expression(parser, 1, context)
    parser.expect(")", context)
    if isinstance(left, ast.Duration) or isinstance(right, ast.Duration):
        return ast.Duration(name, left, right, token.start)
    return _apply(name, left, right)


def _apply(op: str, left: float, right: float) -> float:
    if op == "min_of":
        return min(left, right)
    if op == "max_of":
        return max(left, right)
    try:
        value: Any = _OPERATE[op](left, right)
    except ZeroDivisionError as error:
        raise QueryError("division by zero" if op == "/" else "modulo by zero") from error
    except (OverflowError, ValueError):
        return math.inf
    return math.nan if isinstance(value, complex) else float(value)


def _evaluate(value: float | ast.Duration, step: int, span: int) -> float:
    if not isinstance(value, ast.Duration):
        return value
    if value.op in ("step", "range"):
        return (step if value.op == "step" else span) / 1e9
    right = 0.0 if value.right is None else _evaluate(value.right, step, span)
    if value.left is None:
        return -right
    return _apply(value.op, _evaluate(value.left, step, span), right)


def resolve(node: Any, text: str, step: int, span: int) -> Any:
    """Return a tree in which every duration is a number of nanoseconds.

    Raises
    ------
    QueryError
        If a range or a step is not longer than zero, or a duration is not finite or too long.
    """
    if isinstance(node, tuple):
        return tuple(resolve(part, text, step, span) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    changes = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, ast.Duration):
            changes[field.name] = _resolved(value, text, step, span, positive=field.name != "offset")
        elif is_dataclass(value) or isinstance(value, tuple):
            new = resolve(value, text, step, span)
            if new is not value:
                changes[field.name] = new
    return replace(node, **changes) if changes else node


def _resolved(value: ast.Duration, text: str, step: int, span: int, *, positive: bool) -> int:
    seconds = _evaluate(value, step, span)
    if not math.isfinite(seconds):
        raise QueryError("duration is NaN or infinite", text, value.start)
    if positive and seconds <= 0:
        raise QueryError("duration must be greater than 0", text, value.start)
    if abs(seconds) > _LONGEST:
        raise QueryError("duration is out of range", text, value.start)
    return math.trunc(seconds * 1000) * 10**6
