"""Nodes of a parsed search; `str(node)` is a query that parses to the same node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

__all__ = [
    "COMPARISONS",
    "KEYWORDS",
    "And",
    "Compare",
    "Everything",
    "Exists",
    "Field",
    "Node",
    "Not",
    "Or",
    "Pattern",
    "Range",
    "Term",
    "Text",
    "Wild",
]

KEYWORDS = ("AND", "OR", "NOT", "TO")
"""Words that are operators when written in capitals and not quoted."""

COMPARISONS = (">=", "<=", ">", "<")
"""Operators after `field:`, the longer ones first."""

_SPECIAL = frozenset('\\"()[]{}:*?<>=!-&|~^')


class Wild(Enum):
    """A wildcard inside a pattern."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True)
class Pattern:
    """Literal text and wildcards in turn; two literals never stand side by side, nor do two `Wild.ANY`.

    Attributes
    ----------
    parts : tuple of str or Wild
    """

    parts: tuple[str | Wild, ...]

    @property
    def literal(self) -> str | None:
        """The text, when there is no wildcard; else None."""
        if not self.parts:
            return ""
        only = self.parts[0]
        return only if len(self.parts) == 1 and isinstance(only, str) else None

    @property
    def everything(self) -> bool:
        """Whether the pattern is a single `*`."""
        return self.parts == (Wild.ANY,)

    def __str__(self) -> str:
        """Return the pattern as it would be typed."""
        text = self.literal
        if text is not None and (not text or text in KEYWORDS or any(c.isspace() for c in text)):
            return _quote(text)
        return "".join(part.value if isinstance(part, Wild) else _escape(part) for part in self.parts)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escape(text: str) -> str:
    return "".join("\\" + c if c in _SPECIAL or c.isspace() else c for c in text)


@dataclass(frozen=True)
class Field:
    """What stands before the colon.

    Attributes
    ----------
    name : str
        Name without the `@`.
    attribute : bool
        Written with `@`: the frame's own column of that name wins over a reserved meaning.
    """

    name: str
    attribute: bool = False

    def __str__(self) -> str:
        """Return the field as it would be typed, without the colon."""
        return ("@" if self.attribute else "") + _escape(self.name)


@dataclass(frozen=True)
class Everything:
    """Matches every row: `*`, or an empty query."""

    def __str__(self) -> str:
        """Return `*`."""
        return "*"


@dataclass(frozen=True)
class Text:
    """Free text over body, name and title, or over every text column when `everywhere`."""

    pattern: Pattern
    everywhere: bool = False

    def __str__(self) -> str:
        """Return the text as it would be typed."""
        return f"*:{self.pattern}" if self.everywhere else str(self.pattern)


@dataclass(frozen=True)
class Term:
    """A field whose whole value fits a pattern."""

    field: Field
    pattern: Pattern

    def __str__(self) -> str:
        """Return `field:pattern`."""
        return f"{self.field}:{self.pattern}"


@dataclass(frozen=True)
class Compare:
    """A field above or below a value; `op` is one of `COMPARISONS`."""

    field: Field
    op: str
    value: str

    def __str__(self) -> str:
        """Return `field:>value`."""
        return f"{self.field}:{self.op}{_operand(self.value)}"


@dataclass(frozen=True)
class Range:
    """A field between two values; None is an open end."""

    field: Field
    low: str | None
    high: str | None
    include_low: bool = True
    include_high: bool = True

    def __str__(self) -> str:
        """Return `field:[low TO high]`, braces for an end that is not included."""
        low, high = ("*" if end is None else _operand(end) for end in (self.low, self.high))
        return f"{self.field}:{'[' if self.include_low else '{'}{low} TO {high}{']' if self.include_high else '}'}"


def _operand(value: str) -> str:
    return str(Pattern((value,)))


@dataclass(frozen=True)
class Exists:
    """A field that has a value: neither missing nor empty text."""

    field: Field

    def __str__(self) -> str:
        """Return `field:*`."""
        return f"{self.field}:*"


@dataclass(frozen=True)
class Not:
    """Everything its part does not match."""

    part: Node

    def __str__(self) -> str:
        """Return `NOT part`, the part in parentheses."""
        return f"NOT ({self.part})"


@dataclass(frozen=True)
class And:
    """All parts match."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        """Return the parts joined by AND, those with parts of their own in parentheses."""
        return " AND ".join(f"({p})" if isinstance(p, And | Or) else str(p) for p in self.parts)


@dataclass(frozen=True)
class Or:
    """At least one part matches."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        """Return the parts joined by OR, those with parts of their own in parentheses."""
        return " OR ".join(f"({p})" if isinstance(p, And | Or) else str(p) for p in self.parts)


Node: TypeAlias = Everything | Text | Term | Compare | Range | Exists | Not | And | Or
"""Any node of a parsed search."""
