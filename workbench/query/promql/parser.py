"""PromQL text to a tree: a precedence-climbing parser with type checks.

    expr     := unary { operator [bool] [on|ignoring (labels)] [group_left|group_right [(labels)]] unary }
    unary    := ("+" | "-") unary | postfix
    postfix  := primary { "[" range "]" | "[" range ":" [step] "]" | offset duration | @ time }
    primary  := number | string | "(" expr ")" | function "(" args ")" | aggregation | selector

Behind grouping a binary operator may have `fill(number)`, or `fill_left(number)` and `fill_right(number)`; behind a
selector there may be `anchored` or `smoothed`. Operators from loosest to tightest: `or`; `and`, `unless`; comparisons,
`</`, `>/`; `+ -`; `* / % atan2` and signs; `^` (which binds to the right).

References
----------
Prometheus documentation, "Operators" and "Querying basics".
"""

from __future__ import annotations

from dataclasses import replace

from workbench.errors import QueryError, closest
from workbench.query.promql import ast, selectors, signatures
from workbench.query.promql.ast import Node
from workbench.query.promql.lexer import Token, duration, number, quoted, tokenize

__all__ = ["COMPARISONS", "MAX_DEPTH", "SET_OPERATORS", "TRIMS", "Parser", "parse"]

MAX_DEPTH = 100
"""Deepest nesting of parentheses, calls and signs."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
"""Operators that filter, or give 0 and 1 with `bool`."""

TRIMS = ("</", ">/")
"""Operators that cut native histograms."""

SET_OPERATORS = ("and", "or", "unless")
"""Operators between vectors only, many to many."""

_PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, **dict.fromkeys((*COMPARISONS, *TRIMS), 3), "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
    "atan2": 5, "^": 6,
}  # fmt: skip
_SIGN_PRECEDENCE = 5
_INFO_CALL = 'call to function "info"'


def parse(text: str, *, legacy: bool = False) -> Node:
    """Return the tree of a PromQL expression; with `legacy` the names that Prometheus 2 had for functions are known.

    Raises
    ------
    QueryError
        If the text is not an expression or its types do not fit; the message says what was found, what was expected
        and where.
    """
    parser = Parser(text, legacy=legacy)
    if parser.token.kind == "end":
        raise parser.error("no expression found in input", parser.token)
    node = parser.expression(0)
    if parser.token.kind != "end":
        raise parser.error(f"unexpected {parser.token}, expected an operator or the end of input", parser.token)
    return node


class Parser:
    """State of one parse: the tokens and where we are in them."""

    max_depth = MAX_DEPTH

    def __init__(self, text: str, *, legacy: bool = False) -> None:
        self.text = text
        self.legacy = legacy
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.at]

    def error(self, message: str, where: Token | Node) -> QueryError:
        """Return an error that points at a token or a node."""
        return QueryError(message, self.text, where.start)

    def next(self) -> Token:
        """Consume and return a token."""
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def accept(self, text: str) -> bool:
        """Consume an operator if it comes next."""
        if self.token.kind == "op" and self.token.text == text:
            self.at += 1
            return True
        return False

    def accept_word(self, *words: str) -> str:
        """Consume a keyword, in any case, if it comes next; return it in lower case, or an empty string."""
        if self.token.kind == "name" and self.token.text.lower() in words:
            return self.next().text.lower()
        return ""

    def expect(self, text: str, context: str, wanted: str = "") -> Token:
        """Consume an operator or raise; `wanted` is what else may stand there."""
        token = self.token
        if not self.accept(text):
            raise self.error(f"unexpected {token} in {context}, expected {wanted or quoted(text)}", token)
        return token

    def end(self) -> int:
        """Return where the last consumed token ended."""
        return self.tokens[self.at - 1].end if self.at else 0

    def expression(self, minimum: int) -> Node:
        """Parse an expression whose operators bind at least as tightly as `minimum`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"the expression is nested deeper than {MAX_DEPTH} levels: simplify it", self.token)
        left = self.unary()
        while (power := _PRECEDENCE.get(self.token.text.lower(), -1)) >= max(minimum, 1):
            if self.token.kind not in ("op", "name"):
                break
            operator = self.next()
            left = self.binary(left, operator, power)
        self.depth -= 1
        return left

    def unary(self) -> Node:
        """Parse signs and what they stand before."""
        token = self.token
        if token.kind == "op" and token.text in "+-":
            self.at += 1
            inner = self.expression(_SIGN_PRECEDENCE + 1)
            if inner.type not in ("scalar", "vector"):
                raise self.error(
                    f"unary expression only allowed on expressions of type scalar or vector, got {inner.type}", token
                )
            if isinstance(inner, ast.Number):
                return replace(inner, value=-inner.value if token.text == "-" else inner.value, start=token.start)
            return ast.Unary(token.text, inner, token.start, inner.end)
        return selectors.postfix(self, self.primary())

    def binary(self, left: Node, operator: Token, power: int) -> Node:
        """Parse the modifiers and the right side of a binary operation."""
        op = operator.text.lower()
        returns_bool = bool(self.accept_word("bool"))
        if returns_bool and op not in COMPARISONS:
            raise self.error("bool modifier can only be used on comparison operators", operator)
        matching, given = self.matching(op)
        right = self.expression(power if op == "^" else power + 1)
        node = ast.Binary(op, left, right, returns_bool, left.start, right.end, matching)
        self.check_binary(node, operator, given)
        return node

    def matching(self, op: str) -> tuple[ast.VectorMatching, bool]:
        """Parse `on`, `ignoring`, `group_left`, `group_right`; the flag says whether there was any."""
        word = self.accept_word("on", "ignoring")
        labels = selectors.label_list(self) if word else ()
        side = self.accept_word("group_left", "group_right") if word else ""
        include: tuple[str, ...] = ()
        if side and self.token.text == "(" and self.token.kind == "op":
            include = selectors.label_list(self)
        if side and op in SET_OPERATORS:
            raise self.error(f"no grouping allowed for {quoted(op)} operation", self.tokens[self.at - 1])
        if word == "on" and (both := sorted(set(labels) & set(include))):
            raise self.error(
                f"label {quoted(both[0])} must not occur in ON and GROUP clause at once", self.tokens[self.at - 1]
            )
        cards = {"": "one-to-one", "group_left": "many-to-one", "group_right": "one-to-many"}
        fills = self.fills()
        if fills and op in SET_OPERATORS:
            raise self.error("filling in missing series not allowed for set operators", self.tokens[self.at - 1])
        matching = ast.VectorMatching(
            on=word == "on",
            labels=labels,
            card=cards[side],  # type: ignore[arg-type]
            include=include,
            fill_left=fills.get("left"),
            fill_right=fills.get("right"),
        )
        return matching, bool(word)

    def fills(self) -> dict[str, float]:
        """Parse `fill(number)`, or `fill_left(number)` and `fill_right(number)` in any order."""
        out: dict[str, float] = {}
        while self.tokens[min(self.at + 1, len(self.tokens) - 1)].text == "(":
            word = self.accept_word("fill", "fill_left", "fill_right")
            sides = ("left", "right") if word == "fill" else (word.removeprefix("fill_"),)
            if not word:
                break
            if out.keys() & set(sides):
                raise self.error(f"unexpected {word} after another fill", self.tokens[self.at - 1])
            self.expect("(", "fill modifier")
            sign = -1.0 if self.accept("-") else 1.0
            self.accept("+")
            token = self.token
            named = token.kind == "name" and token.text.lower() in ("inf", "nan")
            if token.kind not in ("number", "duration") and not named:
                raise self.error(f"unexpected {token} in fill modifier, expected number", token)
            out |= dict.fromkeys(sides, sign * self.literal().value)
            self.expect(")", "fill modifier")
        return out

    def check_binary(self, node: ast.Binary, operator: Token, matching_given: bool) -> None:
        """Raise unless the two sides fit the operator."""
        types = (node.left.type, node.right.type)
        if any(t not in ("scalar", "vector") for t in types):
            raise self.error("binary expression must contain only scalar and instant vector types", node)
        if node.op in SET_OPERATORS and "scalar" in types:
            raise self.error(f"set operator {quoted(node.op)} not allowed in binary scalar expression", operator)
        if node.op in COMPARISONS and types == ("scalar", "scalar") and not node.bool:
            raise self.error("comparisons between scalars must use BOOL modifier", operator)
        if matching_given and "scalar" in types:
            raise self.error("vector matching only allowed between instant vectors", operator)
        if node.op in TRIMS and types == ("scalar", "scalar"):
            raise self.error(f"operator {quoted(node.op)} not allowed for Scalar operations", operator)
        if "scalar" in types and (node.matching.fill_left is not None or node.matching.fill_right is not None):
            raise self.error("filling in missing series only allowed between instant vectors", operator)

    def primary(self) -> Node:
        """Parse a literal, a parenthesis, a call, an aggregation or a selector."""
        token = self.token
        if token.kind in ("number", "duration"):
            return self.literal()
        if token.kind == "string":
            self.at += 1
            return ast.String(token.value, token.start, token.end)
        if self.accept("("):
            inner = self.expression(0)
            self.expect(")", "paren expression")
            return ast.Paren(inner, token.start, self.end())
        if token.kind == "op" and token.text == "{":
            return selectors.vector(self)
        if token.kind != "name":
            raise self.error(
                f"unexpected {token}; a number, a string, a selector, a function or an opening bracket was expected",
                token,
            )
        following = self.tokens[self.at + 1]
        lower = token.text.lower()
        if lower in signatures.AGGREGATIONS and (following.text.lower() in ("(", "by", "without")):
            return self.aggregation()
        if following.kind == "op" and following.text == "(":
            return self.call()
        value = number(lower) if lower in ("inf", "nan") else None
        if value is not None and following.text != "{":
            self.at += 1
            return ast.Number(value, token.start, token.end)
        return selectors.vector(self)

    def literal(self) -> ast.Number:
        """Parse a number; a duration stands for its seconds."""
        token = self.next()
        if token.kind == "duration":
            length = duration(token.text)
            value = None if length is None else length / 1e9
        else:
            value = number(token.text)
        if value is None:
            raise self.error(f"found {token} where a number was expected", token)
        return ast.Number(value, token.start, token.end)

    def arguments(self, context: str) -> list[Node]:
        """Parse `( expr, ... )`."""
        self.expect("(", context)
        args: list[Node] = []
        while not self.accept(")"):
            if args:
                self.expect(",", context, '"," or ")"')
                if self.token.text == ")":
                    raise self.error(f"unexpected {self.token} after a comma in {context}", self.token)
            bare = context == _INFO_CALL and bool(args) and self.token.text == "{"
            args.append(selectors.vector(self, any_matcher=True) if bare else self.expression(0))
            if context == _INFO_CALL and len(args) > 1 and not bare:
                raise self.error("expected label selectors only in braces", args[-1])
        return args

    def call(self) -> Node:
        """Parse a function call and check its arguments."""
        token = self.next()
        name = signatures.LEGACY.get(token.text, token.text) if self.legacy else token.text
        signature = signatures.FUNCTIONS.get(name)
        if signature is None:
            near = closest(name, signatures.FUNCTIONS)
            known = ", ".join(sorted(signatures.FUNCTIONS))
            hint = f"did you mean {quoted(near)}?" if near else f"known are {known}"
            raise self.error(f"unknown function with name {quoted(name)}; {hint}", token)
        args = self.arguments(f"call to function {quoted(name)}")
        least, most = len(signature.args) - signature.optional, len(signature.args)
        if len(args) < least or (len(args) > most and not signature.repeats):
            wanted = f"{least}" if least == most else f"at least {least}" if signature.repeats else f"{least} to {most}"
            raise self.error(f"expected {wanted} argument(s) in call to {quoted(name)}, got {len(args)}", token)
        for i, arg in enumerate(args):
            self.check_type(arg, signature.args[min(i, most - 1)], f"call to function {quoted(name)}")
        return ast.Call(name, tuple(args), signature.gives, token.start, self.end())

    def aggregation(self) -> Node:
        """Parse an aggregation, its grouping before or after the arguments."""
        token = self.next()
        op = token.text.lower()
        word = self.accept_word("by", "without")
        grouping = selectors.label_list(self) if word else ()
        args = self.arguments("aggregation")
        if not word and (word := self.accept_word("by", "without")):
            grouping = selectors.label_list(self)
        wanted = 2 if op in signatures.PARAMETER else 1
        if len(args) != wanted:
            raise self.error(
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}",
                token,
            )
        self.check_type(args[-1], "vector", "aggregation expression")
        if wanted == 2:
            self.check_type(args[0], signatures.PARAMETER[op], "aggregation parameter")
        param = args[0] if wanted == 2 else None
        return ast.Aggregate(op, args[-1], param, grouping, word == "without", token.start, self.end())

    def check_type(self, node: Node, wanted: ast.ValueType, context: str) -> None:
        """Raise unless a node evaluates to the type wanted."""
        if node.type != wanted:
            names = {"vector": "instant vector", "matrix": "range vector"}
            expected, found = names.get(wanted, wanted), names.get(node.type, node.type)
            raise self.error(f"expected type {expected} in {context}, got {found}", node)
