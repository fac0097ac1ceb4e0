"""The raw rows behind one piece of evidence.

Evidence carries its query as text a person can type. The text is read as one call with literal arguments on an
allow-list of methods and never evaluated, because parts of it come from telemetry.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Evidence, Investigation
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["evidence_rows", "evidence_table"]

_METHODS = ("spans", "logs", "events", "metrics", "samples", "profiles")
_FIRST_COLUMNS = ("time", "service", "name", "kind", "status", "duration_ns", "severity", "body", "title", "value")


def evidence_table(investigation: Investigation, most: int = 8) -> pd.DataFrame:
    """Return the evidence of the first hypothesis, strongest first: `statement`, `since`, `rows`, `query`."""
    found = investigation.hypotheses[0].evidence if investigation.hypotheses else ()
    ordered = sorted(found, key=lambda item: -item.strength)[:most]
    return pd.DataFrame(
        {
            "statement": [item.statement for item in ordered],
            "since": np.array([item.onset for item in ordered], "datetime64[ns]"),
            "rows": [item.rows for item in ordered],
            "query": [item.query for item in ordered],
        }
    )


def evidence_rows(bench: Any, investigation: Investigation, most: int = 10) -> pd.DataFrame:
    """Return some raw rows behind the strongest evidence that has any.

    Parameters
    ----------
    bench : Bench
        Whose `spans`, `logs`, ... are asked.
    investigation : Investigation
    most : int
        Most rows: of spans the failed and slow ones, of logs the severe ones.

    Returns
    -------
    DataFrame
        Empty when nothing was found. `.attrs["query"]` is what was asked.
    """
    found = investigation.hypotheses[0].evidence if investigation.hypotheses else ()
    for item in sorted(found, key=lambda item: -item.strength):
        frame = _ask(bench, item, investigation)
        if len(frame):
            return _readable(frame, most, item.query)
    return pd.DataFrame()


def _ask(bench: Any, evidence: Evidence, investigation: Investigation) -> pd.DataFrame:
    try:
        method, arguments, options = _read_call(evidence.query)
        start, end = investigation.fault or investigation.window
        result = getattr(bench, method)(*arguments, **{"start": str(start), "end": str(end), **options})
    except InvalidInput:
        return pd.DataFrame()
    if isinstance(result, pd.DataFrame):
        return result
    if method == "profiles":
        return pd.DataFrame(result.samples)
    frame: pd.DataFrame = result.to_series().dropna().reset_index(name="value")
    return frame


def _read_call(text: str) -> tuple[str, list[Any], Mapping[str, Any]]:
    """Return method, arguments and keyword arguments of `bench.METHOD(literals)`."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.attr in _METHODS
        ):
            options = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            return node.func.attr, [ast.literal_eval(a) for a in node.args], options
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise InvalidInput(f"query {text[:80]!r} is not a call such as bench.spans('service:cart').")


def _telling(frame: pd.DataFrame) -> pd.DataFrame:
    """Return failed and slow spans, or severe log lines, first; other rows stay as they are."""
    if "duration_ns" in frame:
        order = pd.DataFrame({"failed": frame["status"] == "error", "duration": frame["duration_ns"]})
        return frame.loc[order.sort_values(["failed", "duration"], ascending=False, kind="stable").index]
    if "body" in frame:
        return frame.loc[frame["severity"].sort_values(ascending=False, kind="stable").index]
    return frame


def _readable(frame: pd.DataFrame, most: int, query: str) -> pd.DataFrame:
    """Keep the most telling rows, known columns first, no ids and no column that is empty in them."""
    shown = _telling(frame).head(most).reset_index(drop=True)
    first = [c for c in _FIRST_COLUMNS if c in shown]
    rest = [c for c in shown.columns if c not in first and c not in ("parent", "span_id", "parent_span_id", "env")]
    shown = shown[[*first, *rest]]
    filled = [c for c in shown.columns if not (shown[c].isna() | (shown[c].astype(str) == "")).all()]
    shown = shown[filled].iloc[:, :10]
    if "duration_ns" in shown:
        shown = shown.assign(duration_ns=shown["duration_ns"] / 1e6).rename(columns={"duration_ns": "duration ms"})
    shown.attrs["query"] = query
    return shown
