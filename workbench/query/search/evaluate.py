"""Which rows of a frame a search matches.

Text columns are compared inside Arrow, whose regular expressions (RE2) take time linear in the text whatever the
pattern; numbers are compared in numpy. There is no Python loop over rows.

The meaning, exactly:

* A word of free text matches where body, name or title contains it; a quoted phrase likewise, where one stretch of
  white space equals any other. `*` and `?` stand for characters other than white space. Case is ignored: every
  character counts as its simple lower case.
* `field:value` matches where the whole value of the column equals the text, case included; `*` and `?` stand for any
  characters. In a column of numbers it matches where the numbers are equal, in a column of booleans `true` or `false`.
* `field:>x` and ranges compare numbers when `x` is a number (values that are not numbers do not match), instants in
  columns of times, and otherwise text by code point; booleans are not compared. A duration with units is nanoseconds
  in columns ending `_ns`.
* A severity of 0 counts as missing; so do NaN, NaT, None and, for `field:*`, empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.query.search import fields
from workbench.query.search.ast import (
    And,
    Compare,
    Everything,
    Exists,
    Field,
    Node,
    Not,
    Or,
    Pattern,
    Range,
    Term,
    Text,
    Wild,
)
from workbench.signals.names import from_otel

__all__ = ["equalities", "mask"]

Mask = npt.NDArray[np.bool_]

_PUSHED = ("service", "env", "version", "host", "kind", "name", "trace_id", "span_id")
_SPACE = "\t\n\f\r "
_NO_FIELD = Field("")


def mask(node: Node, frame: pd.DataFrame) -> Mask:
    """Return which rows match, bool of shape (len(frame),).

    Parameters
    ----------
    node : Node
        From `parse`.
    frame : DataFrame
        Logs, spans, events, or any frame with their column names; it is not changed.
    """
    return _Frame(frame).mask(node)


def equalities(node: Node) -> dict[str, list[str]]:
    """Return conditions every matching row fulfils: column -> the values it may have.

    Only reserved text columns are named (service, env, version, host, kind, name, trace_id, span_id), so that a store
    may read less. The conditions are necessary, not sufficient: `mask` still has to be applied.
    """
    if isinstance(node, Term):
        name, value = from_otel(node.field.name), node.pattern.literal
        return {name: [value]} if name in _PUSHED and value else {}
    if isinstance(node, And):
        merged: dict[str, list[str]] = {}
        for part in node.parts:
            for name, values in equalities(part).items():
                both = [v for v in merged.get(name, values) if v in values]
                merged[name] = both or values
        return merged
    if isinstance(node, Or):
        parts = [equalities(part) for part in node.parts]
        return {
            name: list(dict.fromkeys(v for part in parts for v in part[name]))
            for name in parts[0]
            if all(name in part for part in parts)
        }
    return {}


def _filled(hit: Any) -> Mask:
    """Return an Arrow boolean array as numpy, null as False."""
    values = pc.fill_null(hit, False)
    return np.asarray(values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(False), bool)


def _regex(pattern: Pattern, any_character: str) -> str:
    """Return the RE2 expression of a pattern; every literal character is escaped."""
    out = []
    for part in pattern.parts:
        if isinstance(part, Wild):
            out.append(any_character + ("*" if part is Wild.ANY else ""))
        else:
            out.append("".join(_literal(c) for c in part))
    return "".join(out)


def _literal(character: str) -> str:
    if character == "\0":
        return r"\x00"
    return "\\" + character if character.isascii() and not character.isalnum() else character


def _search(values: Any, expression: str) -> Mask:
    return _filled(pc.match_substring_regex(values, expression))


class _Frame:
    """One frame during one evaluation; converted columns are kept."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.texts: dict[tuple[str, str], Any] = {}

    def mask(self, node: Node) -> Mask:
        """Return the rows that match one node."""
        if isinstance(node, Everything):
            return np.ones(len(self.frame), bool)
        if isinstance(node, Not):
            return ~self.mask(node.part)
        if isinstance(node, And):
            return np.asarray(np.logical_and.reduce([self.mask(part) for part in node.parts]), bool)
        if isinstance(node, Or):
            return np.asarray(np.logical_or.reduce([self.mask(part) for part in node.parts]), bool)
        if isinstance(node, Text):
            return self.free_text(node)
        column = fields.column_of(node.field, self.frame.columns)
        if column is None:
            return np.zeros(len(self.frame), bool)
        if isinstance(node, Exists):
            return self.exists(column)
        if isinstance(node, Term):
            return self.term(column, node.pattern)
        ends = (
            Range(node.field, None, node.value, False, "=" in node.op)
            if isinstance(node, Compare) and "<" in node.op
            else Range(node.field, node.value, None, "=" in node.op, False)
            if isinstance(node, Compare)
            else node
        )
        return self.between(column, ends)

    def text(self, column: str) -> Any:
        """Return a column as an Arrow string array, missing values null."""
        return self.kept((column, "text"), lambda: _as_text(self.frame[column]))

    def lowered(self, column: str) -> Any:
        """Return a column of text in lower case."""
        return self.kept((column, "lower"), lambda: pc.utf8_lower(self.text(column)))

    def spaced(self, column: str) -> Any:
        """Return a column of text in lower case, every stretch of white space one space."""
        blank = f"[{_SPACE}]+"
        return self.kept((column, "spaced"), lambda: pc.replace_substring_regex(self.lowered(column), blank, " "))

    def kept(self, key: tuple[str, str], make: Callable[[], Any]) -> Any:
        """Return what was made before under a key, else make it."""
        if key not in self.texts:
            self.texts[key] = make()
        return self.texts[key]

    def free_text(self, node: Text) -> Mask:
        """Return where any text column contains a word or phrase."""
        if node.everywhere:
            columns = [c for c in self.frame.columns if not _typed(self.frame[c])]
        else:
            columns = [c for c in fields.TEXT_COLUMNS if c in self.frame.columns]
        hit = np.zeros(len(self.frame), bool)
        pattern = Pattern(tuple(_lower(p) if isinstance(p, str) else p for p in node.pattern.parts))
        literal = pattern.literal
        for column in columns:
            if literal is None:
                hit |= _search(self.lowered(column), _regex(pattern, f"[^{_SPACE}]"))
            elif any(c in _SPACE for c in literal):
                hit |= _filled(pc.match_substring(self.spaced(column), re.sub(f"[{_SPACE}]+", " ", literal)))
            else:
                hit |= _filled(pc.match_substring(self.lowered(column), literal))
        return hit

    def exists(self, column: str) -> Mask:
        values = self.frame[column]
        present = values.notna().to_numpy(bool)
        if column == "severity" and _numeric(values):
            return np.asarray(present & (_numbers(values) != 0), bool)
        if _typed(values):
            return present
        return present & ~_filled(pc.equal(self.text(column), ""))

    def term(self, column: str, pattern: Pattern) -> Mask:
        values, literal = self.frame[column], pattern.literal
        if column == "severity" and _numeric(values):
            return _severity_term(_numbers(values), pattern)
        if literal is not None and _boolean(values):
            wanted = {"true": True, "false": False}.get(literal.lower())
            return np.zeros(len(values), bool) if wanted is None else (values == wanted).fillna(False).to_numpy(bool)
        if literal is not None and _numeric(values):
            return _within(_numbers(values), [fields.quantity(literal, column)] * 2, Range(_NO_FIELD, literal, literal))
        if literal is not None and _temporal(values):
            when = fields.instant(literal)
            return _within(values.to_numpy("datetime64[ns]"), [when, when], Range(_NO_FIELD, literal, literal))
        if literal is not None:
            return _filled(pc.equal(self.text(column), literal))
        return _search(self.text(column), rf"\A(?s:{_regex(pattern, '.')})\z")

    def between(self, column: str, ends: Range) -> Mask:
        values = self.frame[column]
        if column == "severity" and _numeric(values):
            return _severity_between(_numbers(values), ends)
        low, high = ends.low, ends.high
        if _boolean(values):
            return np.zeros(len(values), bool)
        if _temporal(values):
            whens = [None if end is None else fields.instant(end) for end in (low, high)]
            return _within(values.to_numpy("datetime64[ns]"), whens, ends) & values.notna().to_numpy(bool)
        amounts = [None if end is None else fields.quantity(end, column) for end in (low, high)]
        if _numeric(values):
            numbers = _numbers(values)
            return _within(numbers, amounts, ends) & ~np.isnan(numbers.astype(np.float64))
        if any(amount is not None for amount in amounts):
            numbers = _parsed(self.text(column))
            return _within(numbers, amounts, ends) & ~np.isnan(numbers)
        return self.between_texts(column, ends)

    def between_texts(self, column: str, ends: Range) -> Mask:
        values = self.text(column)
        hit = _filled(pc.is_valid(values))
        if ends.low is not None:
            hit &= _filled((pc.greater_equal if ends.include_low else pc.greater)(values, ends.low))
        if ends.high is not None:
            hit &= _filled((pc.less_equal if ends.include_high else pc.less)(values, ends.high))
        return hit


def _boolean(values: pd.Series) -> bool:
    return bool(pd.api.types.is_bool_dtype(values.dtype)) and not isinstance(values.dtype, pd.CategoricalDtype)


def _numeric(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values.dtype)) and not _boolean(values)


def _temporal(values: pd.Series) -> bool:
    return bool(pd.api.types.is_datetime64_dtype(values.dtype))


def _typed(values: pd.Series) -> bool:
    return _boolean(values) or _numeric(values) or _temporal(values)


def _numbers(values: pd.Series) -> npt.NDArray[Any]:
    """Return a numeric column as numpy; a column with pandas' own missing value becomes float64 with NaN."""
    if isinstance(values.dtype, np.dtype):
        return values.to_numpy()
    return values.to_numpy(np.float64, na_value=np.nan)


def _as_text(values: pd.Series) -> Any:
    """Return any column as an Arrow string array, missing values null; whole numbers without a decimal point."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        names = _as_text(pd.Series(values.cat.categories))
        codes = values.cat.codes.to_numpy()
        return pc.take(names, pa.array(codes, mask=codes < 0))
    if isinstance(values.dtype, pd.StringDtype):
        return pa.array(values, pa.large_string(), from_pandas=True)
    codes, distinct = pd.factorize(values)
    names = pa.array([_spell(v) for v in distinct], pa.large_string())
    return pc.take(names, pa.array(codes, mask=codes < 0))


def _spell(value: Any) -> str:
    """Return how one value of a column is written in a query."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _lower(text: str) -> str:
    return str(pc.utf8_lower(pa.scalar(text)).as_py())


def _parsed(values: Any) -> npt.NDArray[np.float64]:
    """Return the number each text spells, NaN where it spells none."""
    codes, distinct = pd.factorize(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values)
    table = np.array([_float(fields.number(text)) for text in distinct] + [np.nan])
    return np.asarray(table[codes])


def _float(amount: int | float | None) -> float:
    try:
        return np.nan if amount is None else float(amount)
    except OverflowError:
        return np.inf if amount and amount > 0 else -np.inf


def _within(values: npt.NDArray[Any], ends: list[Any], how: Range) -> Mask:
    """Return where values lie between ends; an end that was given but not understood matches nothing."""
    hit = np.ones(len(values), bool)
    low, high = (_float(end) if values.dtype.kind == "f" and end is not None else end for end in ends)
    if how.low is not None:
        hit &= (values >= low if how.include_low else values > low) if low is not None else False
    if how.high is not None:
        hit &= (values <= high if how.include_high else values < high) if high is not None else False
    return hit


def _severity_term(severity: npt.NDArray[Any], pattern: Pattern) -> Mask:
    literal = pattern.literal
    if literal is None:
        names = pa.array(fields.severity_names().tolist(), pa.large_string())
        fits = _search(names, rf"\A(?s:{_regex(pattern, '.')})\z")
        known = (severity >= 1) & (severity <= 24)
        return np.asarray(fits[np.where(known, severity, 0).astype(np.int64)] & known, bool)
    limits = fields.severity_range(literal)
    if limits is None:
        return np.zeros(len(severity), bool)
    return np.asarray((severity >= limits[0]) & (severity <= limits[1]) & (severity != 0), bool)


def _severity_between(severity: npt.NDArray[Any], ends: Range) -> Mask:
    hit = np.asarray(severity > 0, bool)
    if ends.low is not None:
        limits = fields.severity_range(ends.low)
        if limits is None:
            return np.zeros(len(severity), bool)
        hit &= severity >= limits[0] if ends.include_low else severity > limits[1]
    if ends.high is not None:
        limits = fields.severity_range(ends.high)
        if limits is None:
            return np.zeros(len(severity), bool)
        hit &= severity <= limits[1] if ends.include_high else severity < limits[0]
    return hit
