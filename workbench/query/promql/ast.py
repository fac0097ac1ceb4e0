"""Nodes of a parsed PromQL expression.

Every node knows where it stands in the text (`start`, `end`, character offsets) and what it evaluates to (`type`).
Durations are int64 nanoseconds, or a `Duration` until the query's step and range are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from workbench.signals import Matcher

__all__ = [
    "Aggregate",
    "At",
    "Binary",
    "Call",
    "Duration",
    "Length",
    "MatrixSelector",
    "Node",
    "Number",
    "Paren",
    "String",
    "Subquery",
    "Unary",
    "ValueType",
    "VectorMatching",
    "VectorSelector",
    "bare",
]

ValueType: TypeAlias = Literal["scalar", "vector", "matrix", "string"]
At: TypeAlias = int | Literal["start", "end"] | None
"""An `@` modifier: nanoseconds since 1970, the query's start or end, or none."""


@dataclass(frozen=True)
class Duration:
    """An operation over durations, seconds, that rests on `step()` or `range()`; signs have no left side."""

    op: str
    left: float | Duration | None
    right: float | Duration | None
    start: int


Length: TypeAlias = int | Duration
"""A duration: nanoseconds, or what they will be worked out from."""


@dataclass(frozen=True)
class Number:
    """A number or a duration used as one (seconds)."""

    value: float
    start: int
    end: int
    type: ClassVar[ValueType] = "scalar"


@dataclass(frozen=True)
class String:
    """A string literal, unescaped."""

    value: str
    start: int
    end: int
    type: ClassVar[ValueType] = "string"


@dataclass(frozen=True)
class VectorSelector:
    """An instant selector; `matchers` name labels as arrays do (`metric` for the metric's name).

    `mode` is "anchored", "smoothed" or "".
    """

    matchers: tuple[Matcher, ...]
    start: int
    end: int
    offset: Length = 0
    at: At = None
    mode: str = ""
    type: ClassVar[ValueType] = "vector"


@dataclass(frozen=True)
class MatrixSelector:
    """A range selector over `range` nanoseconds."""

    vector: VectorSelector
    range: Length
    start: int
    end: int
    type: ClassVar[ValueType] = "matrix"


@dataclass(frozen=True)
class Subquery:
    """An expression evaluated every `step` nanoseconds (0: the default) over the last `range` nanoseconds."""

    expr: Node
    range: Length
    step: Length
    start: int
    end: int
    offset: Length = 0
    at: At = None
    type: ClassVar[ValueType] = "matrix"


@dataclass(frozen=True)
class Call:
    """A function call."""

    func: str
    args: tuple[Node, ...]
    type: ValueType
    start: int
    end: int


@dataclass(frozen=True)
class Aggregate:
    """An aggregation; `param` is the k, quantile or label name of those that have one."""

    op: str
    expr: Node
    param: Node | None
    grouping: tuple[str, ...]
    without: bool
    start: int
    end: int
    type: ClassVar[ValueType] = "vector"


@dataclass(frozen=True)
class VectorMatching:
    """How the two sides of a binary operation are paired; `card` is one-to-one, many-to-one or one-to-many.

    `fill_left` and `fill_right` stand for a side that has no match. As in Prometheus, with `group_right` the former
    fills the many side, which is written on the right.
    """

    on: bool = False
    labels: tuple[str, ...] = ()
    card: Literal["one-to-one", "many-to-one", "one-to-many"] = "one-to-one"
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True)
class Binary:
    """A binary operation; `bool` turns a comparison's filter into 0 and 1."""

    op: str
    left: Node
    right: Node
    bool: bool
    start: int
    end: int
    matching: VectorMatching = field(default_factory=VectorMatching)

    @property
    def type(self) -> ValueType:
        """`scalar` when both sides are, else `vector`."""
        return "scalar" if self.left.type == self.right.type == "scalar" else "vector"


@dataclass(frozen=True)
class Unary:
    """A sign before an expression."""

    op: str
    expr: Node
    start: int
    end: int

    @property
    def type(self) -> ValueType:
        """The type of what stands behind the sign."""
        return self.expr.type


@dataclass(frozen=True)
class Paren:
    """An expression in parentheses."""

    expr: Node
    start: int
    end: int

    @property
    def type(self) -> ValueType:
        """The type of what stands inside."""
        return self.expr.type


Node: TypeAlias = (
    Number | String | VectorSelector | MatrixSelector | Subquery | Call | Aggregate | Binary | Unary | Paren
)
"""Any node of a parsed expression."""


def bare(node: Node) -> Node:
    """Return what stands in any parentheses."""
    while isinstance(node, Paren):
        node = node.expr
    return node
