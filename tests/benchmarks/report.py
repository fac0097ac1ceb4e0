"""Rows of figures and targets as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One line of what is to be shown.

    Attributes
    ----------
    text : str
    value : float or None
        None when it could not be measured; `why` says why.
    limit : float
    most : bool
        Whether the limit is the most (else the least) allowed.
    aim : float, optional
    why : str
    """

    text: str
    value: float | None
    limit: float
    most: bool = True
    aim: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is met; None when it was not measured."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.most else self.value >= self.limit

    def line(self) -> str:
        """Return one line of text."""
        sign = "at most" if self.most else "at least"
        aim = "" if self.aim is None else f", aim {self.aim:g}"
        if self.value is None:
            return f"  not measured  {self.text}: {sign} {self.limit:g}{aim} ({self.why})"
        verdict = "met     " if self.met else "not met "
        return f"  {verdict}      {self.text}: {self.value:.4g}, {sign} {self.limit:g}{aim}"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows below a head; numbers to the right, text to the left."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(head)]
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()

    return "\n".join([line(list(head)), line(["-" * w for w in widths]), *map(line, cells)])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    if isinstance(value, float):
        digits = 0 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 4
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
