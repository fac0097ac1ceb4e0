"""What could come next in a PromQL expression: metric names, functions, label names, label values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from workbench.query.promql.signatures import AGGREGATIONS, FUNCTIONS
from workbench.signals import Matcher
from workbench.signals.names import from_prometheus, to_prometheus

__all__ = ["MOST", "Candidates", "complete"]

MOST = 1000
"""Most candidates that are offered."""

Series = Callable[[Sequence[Matcher]], pd.DataFrame]
"""Gives the label table of the series that match, as `Store.series`."""

_KEYWORDS = ("by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "and", "or", "unless")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z", re.ASCII)
_WHOLE_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_STRING = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'|`[^`]*`"
_TEXT = re.compile(_STRING, re.DOTALL)
_MATCHER = re.compile(rf"([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*({_STRING})\s*,", re.ASCII | re.DOTALL)
_VALUE = re.compile(r"""([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*(["'])((?:[^"'\\]|\\.)*)\Z""", re.ASCII | re.DOTALL)
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\Z", re.ASCII)
_BEFORE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\Z", re.ASCII)


class Candidates(NamedTuple):
    """What may stand in place of the last characters of an expression.

    Attributes
    ----------
    fragment : str
        The characters that are replaced.
    kind : str
        "metric", "label" or "value".
    texts : list of str
    """

    fragment: str
    kind: str
    texts: list[str]


def complete(before: str, series: Series) -> Candidates:
    """Return what could come next after a part of an expression.

    Parameters
    ----------
    before : str
        The expression up to the cursor.
    series : callable
        Gives the series that match some matchers.
    """
    brace = _open_brace(before)
    if brace >= 0:
        return _in_braces(before, brace, series)
    fragment = _fragment(before)
    if _LABELS.search(_TEXT.sub("''", before)):
        return Candidates(fragment, "label", _starting(_label_names(series(())), fragment))
    words = [f"{name}(" for name in sorted({*FUNCTIONS, *AGGREGATIONS})]
    metrics = [_spelled(name) for name in _values(series(()), "metric")]
    return Candidates(fragment, "metric", _starting([*metrics, *words, *_KEYWORDS], fragment))


def _in_braces(before: str, brace: int, series: Series) -> Candidates:
    """Return label values inside an open string of a matcher, else label names."""
    inside = before[brace + 1 :]
    value = _VALUE.search(inside)
    named = _BEFORE.search(before[:brace])
    matchers = [Matcher("metric", "=", named[1])] if named is not None and named[1] else []
    done = inside[: value.start()] if value else inside
    for name, op, text in _MATCHER.findall(done):
        if op in ("=", "!="):
            matchers.append(Matcher(from_prometheus(name), op, _unquoted(text)))
    frame = series(matchers)
    if value is None:
        fragment = _fragment(inside)
        return Candidates(fragment, "label", _starting(_label_names(frame), fragment))
    label, quote, fragment = value.groups()
    texts = [json.dumps(text, ensure_ascii=False)[1:-1] for text in _values(frame, from_prometheus(label))]
    if quote == "'":
        texts = [text.replace('\\"', '"').replace("'", "\\'") for text in texts]
    return Candidates(fragment, "value", _starting(texts, fragment))


def _open_brace(before: str) -> int:
    """Return where the last brace that is still open stands, -1 where none is; braces inside strings do not count."""
    blank = _TEXT.sub(lambda match: "_" * len(match[0]), before)
    opened = blank.rfind("{")
    tail = blank[opened + 1 :]
    cut = min((tail.find(quote) for quote in "\"'`" if quote in tail), default=len(tail))
    return opened if opened > blank.rfind("}", 0, opened + 1 + cut) else -1


def _fragment(before: str) -> str:
    found = _NAME.search(before)
    return found[0] if found else ""


def _label_names(frame: pd.DataFrame) -> list[str]:
    columns = {"kind_": "kind", "unit_": "unit"}
    names = [columns.get(str(name), str(name)) for name in frame.columns if name not in ("kind", "unit", "metric")]
    return sorted(to_prometheus(name) for name in names)


def _values(frame: pd.DataFrame, label: str) -> list[str]:
    column = {"kind": "kind_", "unit": "unit_"}.get(label, label)
    return sorted(set(frame[column]) - {""}) if column in frame.columns else []


def _spelled(metric: str) -> str:
    return metric if _WHOLE_NAME.fullmatch(metric) else "{" + json.dumps(metric, ensure_ascii=False) + "}"


def _starting(texts: Iterable[str], fragment: str) -> list[str]:
    return [text for text in texts if text.removeprefix('{"').startswith(fragment)][:MOST]


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    try:
        return str(json.loads(f'"{text[1:-1]}"'))
    except ValueError:
        return text[1:-1]
