"""Functions that change labels: `label_replace`, `label_join`, `sort_by_label`."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import QueryError
from workbench.query.promql.values import NAME, Vector

__all__ = ["check_label", "label_join", "label_replace", "sort_by_label"]

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


def label_replace(
    vector: Vector, target: str, template: str, source: str, pattern: str, *, legacy: bool = False
) -> Vector:
    """Return the vector with a label set from another where a regular expression (RE2) matches its whole value.

    With `legacy` label names are those of Prometheus 2: letters, digits and underscores.
    """
    check_label(target, "invalid destination label name in label_replace()", legacy=legacy)
    codes, names = pd.factorize(vector.labels.column(source))
    hit, text = _rewrite(np.asarray(names, object), template, pattern)
    values = np.where(hit[codes], text[codes], vector.labels.column(target)).astype(object)
    out = replace(vector, labels=vector.labels.with_column(target, values))
    if target == NAME:
        out = replace(out, drop_name=out.drop_name & ~hit[codes])
    return out.compact().merged()


def check_label(name: str, message: str, *, legacy: bool) -> None:
    """Raise unless a label may have this name: any text that is not empty, or as Prometheus 2 had it."""
    if not name or (legacy and not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)):
        allowed = "letters, digits and underscores" if legacy else "any text that is not empty"
        raise QueryError(f"{message}: {name}; a label name is {allowed}.")


def _rewrite(
    values: npt.NDArray[np.object_], template: str, pattern: str
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.object_]]:
    """Return which values match, and the template filled from each that does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    groups = _groups(pattern)

    def reference(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        number = int(name) if name.isdigit() else groups.index(name) + 1 if name in groups else -1
        if number > 9:
            raise QueryError(f"label_replace() knows the groups $0 to $9; {found[0]!r} is beyond them.")
        return f"\\{number}" if 0 <= number <= len(groups) else ""

    rewrite = _REFERENCE.sub(reference, template.replace("\\", "\\\\"))
    anchored = rf"\A(?s:{pattern})\z"
    try:
        table = pa.array(values, pa.large_string())
        hit = np.asarray(pc.match_substring_regex(table, anchored).to_numpy(zero_copy_only=False), bool)
        text = pc.replace_substring_regex(table, anchored, rewrite).to_numpy(zero_copy_only=False).astype(object)
    except pa.ArrowInvalid as error:
        raise QueryError(f"invalid regular expression in label_replace(): {pattern}") from error
    return hit, text


def _groups(pattern: str) -> list[str]:
    """Return the name, or "", of every capturing group of an RE2 expression."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
    return [found[1] or "" for found in re.finditer(r"\((?:\?P?<(\w+)>|(?!\?))", bare)]


def label_join(vector: Vector, target: str, separator: str, sources: list[str], *, legacy: bool = False) -> Vector:
    """Return the vector with a label made of others, joined."""
    for source in sources:
        check_label(source, "invalid source label name in label_join()", legacy=legacy)
    check_label(target, "invalid destination label name in label_join()", legacy=legacy)
    joined = np.full(vector.labels.n, "", object)
    for i, source in enumerate(sources):
        joined = joined + (separator if i else "") + vector.labels.column(source)
    out = replace(vector, labels=vector.labels.with_column(target, joined))
    if target == NAME:
        out = replace(out, drop_name=np.zeros(vector.labels.n, bool))
    return out.compact().merged()


def sort_by_label(vector: Vector, names: list[str], *, descending: bool) -> Vector:
    """Return the vector with rows in natural order of the labels named, then of all labels."""
    out = vector.compact()
    rows = out.labels.order().tolist()
    for name in reversed(names):
        natural = [_natural(text) for text in out.labels.column(name)]
        rows.sort(key=natural.__getitem__)
    if descending:
        rows.reverse()
    return replace(out.take(np.asarray(rows, np.int64)), ordered=out.values.shape[1] == 1)


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d{1,300})", text, flags=re.ASCII) if p]
