"""Checking the label index: every row's checksum, and that all of it fits together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from workbench.errors import StoreError
from workbench.store.catalog import Transaction
from workbench.store.label_block import Part, Read, View
from workbench.store.label_rows import Moved, Pantry, read_rows
from workbench.store.label_sources import cardinality
from workbench.store.label_state import State, read_state

__all__ = ["verify_series"]


def verify_series(transaction: Transaction) -> list[str]:
    """Return one sentence for each damage of the label index, [] when it is sound.

    When the list of what there is is damaged itself, nothing beyond it can be checked.
    """
    problems: list[str] = []
    _said(problems, lambda: cardinality(transaction))
    states: list[State] = []
    _said(problems, lambda: states.append(read_state(transaction)))
    pantry = Pantry(lambda numbers, what: read_rows(transaction, numbers, what))
    for block in states[0].blocks if states else ():
        part = View(block, pantry).part()
        for name in part.columns:
            _said(problems, partial(_check, part, part.columns[name], f"label {name[:80]!r}"))
        for what, column in zip(("kinds", "units"), part.about, strict=True):
            _said(problems, partial(_check, part, column, what))
    if states:
        used = {n for block in states[0].blocks for n in (block.number, *block.rows())}
        rows = [number for (number,) in transaction.execute("SELECT id FROM labels ORDER BY id").fetchall()]
        stray = [number for number in rows if number not in used]
        problems += [f"row {number} of the label index belongs to no block: restore the catalog." for number in stray]
        (last,) = transaction.execute("SELECT value FROM meta WHERE name = 'labels'").fetchone() or (0,)
        if rows and last < max(map(abs, used), default=0):
            problems.append(f"the counter of rows of the label index stands at {last}: restore the catalog.")
    return problems


def _check(part: Part, column: Read, what: str) -> None:
    """Complain of a column whose values are not in order or whose codes stand for nothing."""
    where = f"{what} of series {part.first} to {part.first + part.count - 1}"
    values, codes = column.span("")[1], column.codes()
    text = values.to_pylist()
    if len(text) != column.size or any(a >= b for a, b in pairwise(text)):
        raise StoreError(f"the values of {where} are not in order: restore the catalog.")
    if text and column.search(values.slice(len(text) - 1)).tolist() != [column.size]:
        raise StoreError(f"the values of {where} are not where they should be: restore the catalog.")
    if len(codes) != part.count or int(codes.max(initial=np.uint8(0))) > column.size:
        raise StoreError(f"{where} has codes that stand for nothing: restore the catalog.")


def _said(problems: list[str], work: Callable[[], object]) -> None:
    """Note what a piece of work complains of."""
    try:
        work()
    except (StoreError, Moved) as error:
        problems.append(str(error))
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        problems.append(f"the label index holds something that makes no sense ({error}): restore the catalog.")
