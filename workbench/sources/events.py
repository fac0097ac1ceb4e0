"""Events as JSON: deploys, configuration changes, flags, alerts, as one object, a list, or one object a line.

Known keys: `time` (also `timestamp`, `start`; ISO 8601 or a number since 1970 in s, ms, us or ns), `end`, `kind` (also
`type`), `title` (also `message`, `name`), `service`, `env`, `severity` (1-24 or a name). Every other key becomes a
column of the same name; lists and objects are JSON text. A kind that is not one of `EVENT_KINDS` becomes `note`, and
the given one is kept in the column `kind_`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pandas as pd

from workbench.signals import EVENT_KINDS, Batch, build_events
from workbench.signals.rows import EVENT_COLUMNS
from workbench.sources.attributes import AttributeColumns
from workbench.sources.columns import text_column
from workbench.sources.json_text import first_object, json_values
from workbench.sources.severity import severity_from_text
from workbench.sources.source import ReadOptions
from workbench.sources.timestamps import instant_ns
from workbench.sources.values import json_text

__all__ = ["EventsJson"]

_TIME = ("time", "timestamp", "start")
_TITLE = ("title", "message", "name")
_KIND = ("kind", "type")


class EventsJson:
    """Events as JSON objects."""

    name: ClassVar[str] = "events"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the first JSON object has a time, a title and a kind that is one of `EVENT_KINDS`."""
        found = first_object(head)
        return (
            found is not None
            and _first(found, _TIME) is not None
            and _first(found, _TITLE) is not None
            and _first(found, _KIND) in EVENT_KINDS
        )

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield all events as one batch; an entry that is not an object with a time and a title is counted.

        Raises
        ------
        SourceError
            If the content is not JSON.
        """
        skips: Counter[str] = Counter()
        rows: list[dict[str, Any]] = []
        for value in json_values(stream, path, options, skips):
            row = _event(value, skips)
            if row is not None:
                rows.append(row)
        yield Batch(events=_frame(rows, options, skips) if rows else None, skips=skips)


def _first(found: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _event(value: Any, skips: Counter[str]) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        skips["event that is not a JSON object"] += 1
        return None
    time = instant_ns(_first(value, _TIME))
    title = _first(value, _TITLE)
    if time is None or not isinstance(title, str):
        skips["event without a valid time" if time is None else "event without a title"] += 1
        return None
    end = instant_ns(value["end"]) if value.get("end") is not None else None
    if end is None and value.get("end") is not None:
        skips["event end that is no valid time left out"] += 1
    kind = _first(value, _KIND)
    severity = value.get("severity")
    known = {name for names in (_TIME, _TITLE, _KIND) for name in names if value.get(name) is _first(value, names)}
    rest = {k: v for k, v in value.items() if k not in known | {"end", "service", "env", "severity"}}
    if kind not in EVENT_KINDS:
        if kind is not None:
            rest["kind"] = kind
            skips["event of an unknown kind kept as note"] += 1
        kind = "note"
    return {
        "time": time, "end": end, "kind": kind, "title": title, "rest": rest,
        "service": _text(value.get("service")), "env": _text(value.get("env")),
        "severity": severity_from_text(str(severity)) if severity is not None else 0,
    }  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json_text(value)


def _frame(rows: list[dict[str, Any]], options: ReadOptions, skips: Counter[str]) -> pd.DataFrame:
    attributes = AttributeColumns()
    for i, row in enumerate(rows):
        for name, value in row["rest"].items():
            if value is not None:
                attributes.put(i, name, value if isinstance(value, str | int | float) else json_text(value))
    ends = np.array([np.iinfo(np.int64).min if r["end"] is None else r["end"] for r in rows], np.int64)
    columns: dict[str, Any] = {
        "time": np.array([row["time"] for row in rows], np.int64),
        "end": ends.view("datetime64[ns]"),
        "severity": np.array([row["severity"] for row in rows], np.int8),
    }
    for name in ("kind", "title", "service", "env"):
        columns[name] = text_column([row[name] for row in rows], options.max_text_chars, skips, f"event {name}")
    return build_events({**columns, **attributes.columns(len(rows), EVENT_COLUMNS, options, skips)})
