"""The raw rows behind the evidence of an investigation.

Evidence carries its query as text a person can type. The text is read as one call with literal arguments on an
allow-list of methods and never evaluated, because parts of it come from telemetry.
"""

from __future__ import annotations

import ast
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Evidence, Investigation
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EvidenceRows", "evidence_rows"]

_METHODS = ("spans", "logs", "events", "metrics", "samples", "profiles")
_FIRST_COLUMNS = ("time", "service", "name", "kind", "status", "duration_ns", "severity", "body", "title", "value")
_UNREAD_COLUMNS = ("parent", "span_id", "parent_span_id", "env", "stack")
_MOST_COLUMNS = 9
_LONGEST_CELL = 160


@dataclass(frozen=True, eq=False)
class EvidenceRows:
    """Some rows for each piece of evidence: `parts` are pairs of `Evidence` and a frame."""

    parts: tuple[tuple[Evidence, pd.DataFrame], ...]

    def __repr__(self) -> str:
        """Return the tables as plain text."""
        shown = [f"{e.statement}\n{e.query}\n{_printable(rows).to_string(index=False)}" for e, rows in self.parts]
        return "\n\n".join(shown) or "no rows: there is no evidence"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        body = "".join(
            f"<p>{html.escape(e.statement)}<br><code>{html.escape(e.query)}</code></p>"
            f"<div>{_printable(rows).to_html(index=False, border=0, escape=True)}</div>"
            for e, rows in self.parts
        )
        return {"text/plain": repr(self), "text/html": f"<div>{body or '<p>no rows: there is no evidence</p>'}</div>"}


def evidence_rows(bench: Any, investigation: Investigation, pieces: int = 3, most: int = 5) -> EvidenceRows:
    """Return raw rows behind the strongest evidence of the first hypothesis.

    Parameters
    ----------
    bench : Bench
        Whose `spans`, `logs`, ... are asked.
    investigation : Investigation
    pieces : int
        Most pieces of evidence; those without rows are passed over.
    most : int
        Most rows of each: of spans the failed and slow ones, of logs the severe ones.
    """
    found = investigation.hypotheses[0].evidence if investigation.hypotheses else ()
    parts: list[tuple[Evidence, pd.DataFrame]] = []
    for item in sorted(found, key=lambda item: -item.strength):
        rows = _ask(bench, item, investigation)
        if len(rows) and len(parts) < pieces:
            parts.append((item, _readable(rows, most)))
    return EvidenceRows(tuple(parts))


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
        return _functions(result, evidence.component)
    values = np.asarray(result.values)
    row, column = np.nonzero(~np.isnan(values))
    labels = pd.DataFrame({n: c.values for n, c in result.coords.items() if c.dims == ("series",) and n != "series"})
    frame = labels.iloc[row].reset_index(drop=True)
    return frame.assign(time=result["time"].values[column], value=values[row, column])


def _functions(profiles: Any, component: str) -> pd.DataFrame:
    """Return the functions samples were in, with the sum of their values: the one the evidence names, then by size."""
    samples = profiles.samples[(profiles.samples["stack"] >= 0).to_numpy(bool)]
    frame = profiles.stacks["frame"].to_numpy(np.int64)[samples["stack"].to_numpy(np.int64)]
    named = samples.assign(function=profiles.frames["function"].to_numpy(object)[frame])
    sums = named.groupby(["service", "sample_type", "function"], sort=False)["value"].agg(["size", "sum"]).reset_index()
    sums = sums.assign(named=sums["function"] == component).sort_values(
        ["named", "sum"], ascending=False, kind="stable"
    )
    units = sums["sample_type"].map(dict(profiles.unit)).fillna("")
    named_sums = sums.drop(columns="named").rename(columns={"size": "samples", "sum": "value"})
    return pd.DataFrame(named_sums.assign(unit=units))


def _read_call(text: str) -> tuple[str, list[Any], Mapping[str, Any]]:
    """Return method, arguments and keyword arguments of `bench.METHOD(literals)`."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "bench"
            and node.func.attr in _METHODS
        ):
            options = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            return node.func.attr, [ast.literal_eval(a) for a in node.args], options
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
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


def _readable(frame: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep the most telling rows, known columns first, no ids and no column that is empty in them."""
    shown = _telling(frame).head(most).reset_index(drop=True)
    first = [c for c in _FIRST_COLUMNS if c in shown]
    rest = [c for c in shown.columns if c not in first and c not in _UNREAD_COLUMNS]
    shown = shown[[*first, *rest]]
    filled = [c for c in shown.columns if not (shown[c].isna() | (shown[c].astype(str) == "")).all()]
    shown = shown[filled].iloc[:, :_MOST_COLUMNS]
    if "duration_ns" in shown:
        shown = shown.assign(duration_ns=shown["duration_ns"] / 1e6).rename(columns={"duration_ns": "duration ms"})
    return shown


def _printable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return text cells on one line, cut short, without control characters; times to the millisecond."""
    return pd.DataFrame({str(name): [_cell(value) for value in frame[name]] for name in frame.columns})


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value)[:23]
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:,.6g}"
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(value).split()))
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
