"""Tables as CSV, JSON lines or Parquet, by a mapping of their columns.

The mapping names, for each workbench column, the column of the file: `{"time": "ts", "body": "message", "service":
"app"}`. What the table becomes follows from what is mapped:

=================================================  ==============================================================
mapped                                             becomes
=================================================  ==============================================================
`body`                                             logs
`value` (and `metric`, `unit`, `kind`)             samples; every other mapped or text column is a label
`trace_id`, `span_id`, and `end` or `duration_U`   spans (U is ns, us, ms or s)
`title`                                            events
=================================================  ==============================================================

`time` is always needed: ISO 8601 text, timestamps, or numbers since 1970, whose unit is told from their size unless the
name carries it (`time_ms`, also `time_s`, `time_us`, `time_ns`). A mapped value that begins with `=` is a constant:
`{"env": "=prod"}`. Columns that are not mapped become attributes under their own names. Without a mapping, well-known
names are recognised (`timestamp`, `message`, `level`, ...). Dots reach into nested JSON: `{"host": "resource.name"}`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import pandas as pd

from workbench.errors import InvalidInput, SourceError
from workbench.signals import Batch
from workbench.sources.json_text import first_object, head_text
from workbench.sources.parquet import open_parquet
from workbench.sources.samples import COLUMNS, read_samples
from workbench.sources.source import ReadOptions
from workbench.sources.table_frames import csv_frames, json_frames, parquet_frames
from workbench.sources.table_shapes import TARGETS, build_batch, signal_of
from workbench.sources.unpack import look_ahead

__all__ = ["Table", "guess_mapping"]

_PARQUET = b"PAR1"

_SYNONYMS = {
    "time": (
        "time", "timestamp", "@timestamp", "ts", "datetime", "date", "time_unix_nano", "starttimeunixnano",
        "start_time",
    ),
    "body": ("body", "message", "msg", "log", "line", "text"),
    "severity": ("severity", "level", "log_level", "loglevel", "severity_text", "status"),
    "service": ("service", "service.name", "service_name", "app"),
    "env": ("env", "environment", "deployment.environment.name", "deployment.environment"),
    "trace_id": ("trace_id", "traceid", "trace.id"),
    "span_id": ("span_id", "spanid", "span.id"),
    "parent_span_id": ("parent_span_id", "parentspanid", "parentid", "parent_id"),
    "name": ("name", "operationname", "operation_name", "span_name"),
    "end": ("end", "endtimeunixnano", "end_time"),
    "duration_ns": ("duration_ns",), "duration_us": ("duration_us",), "duration_ms": ("duration_ms",),
    "duration_s": ("duration_s",),
    "value": ("value",), "metric": ("metric", "__name__", "metric_name"),
    "kind": ("kind",), "title": ("title",),
}  # fmt: skip


def guess_mapping(columns: list[str]) -> dict[str, str]:
    """Return a mapping for columns with well-known names: of each workbench column the first synonym that is there."""
    lowered = {column.lower(): column for column in reversed(columns)}
    return {
        target: lowered[name]
        for target, names in _SYNONYMS.items()
        if (name := next((n for n in names if n in lowered), None)) is not None
    }


class Table:
    """Rows of a table whose columns are mapped."""

    name: ClassVar[str] = "table"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the content is Parquet, or its header or first object has well-known names for a shape."""
        if head.startswith(_PARQUET):
            return True
        found = first_object(head)
        if found is not None:
            columns = list(_flat_names(found))
        else:
            first = head_text(head).partition("\n")[0].rstrip("\r")
            if "{" in first[:1] or first.startswith(("[", "#")):
                return False
            columns = [name.strip().strip('"') for name in first.split(delimiter(first))]
        return len(columns) > 1 and signal_of(guess_mapping(columns)) != ""

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield the rows in batches.

        Raises
        ------
        InvalidInput
            If the mapping names an unknown workbench column.
        SourceError
            If the file has no such columns, the mapping makes no shape, or the file is damaged.
        """
        _check_targets(options.mapping)
        head, stream = _start(stream)
        skips: Counter[str] = Counter()
        if head.startswith(_PARQUET):
            file = open_parquet(stream, path, options)
            if options.mapping is None and set(COLUMNS) <= set(file.schema_arrow.names):
                yield from read_samples(file, path, options)
                return
            frames = parquet_frames(file, path)
        elif head_text(head)[:1] in ("{", "["):
            frames = json_frames(stream, path, options, skips)
        else:
            frames = csv_frames(stream, path, options, skips, delimiter(head_text(head).partition("\n")[0]))
        mapping = dict(options.mapping) if options.mapping is not None else None
        for frame in frames:
            if mapping is None or not options.mapping:
                mapping = guess_mapping([str(c) for c in frame.columns])
            _check_columns(mapping, frame, path)
            batch = build_batch(frame, mapping, options)
            batch.skips.update(skips)
            skips.clear()
            yield batch
        if skips:
            yield Batch(skips=skips)


def _start(stream: BinaryIO) -> tuple[bytes, BinaryIO]:
    """Return the first bytes and a stream from the start; a seekable one stays seekable, as Parquet needs it."""
    if not stream.seekable():
        return look_ahead(stream)
    head = stream.read(65_536)
    stream.seek(0)
    return head, stream


def delimiter(header: str) -> str:
    """Return the most frequent of comma, semicolon, tab and bar in a header line."""
    return max(",;\t|", key=header.count)


def _flat_names(found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value)
        yield name


def _check_targets(mapping: Mapping[str, str] | None) -> None:
    """Raise where the mapping cannot make a shape; any name that is no workbench column is a label or attribute."""
    if mapping and not signal_of(mapping):
        raise InvalidInput(
            f"mapping {dict(mapping)} makes no shape: map time, and body (logs), value (metrics), title (events), or"
            f" trace_id, span_id and end or duration_ms (spans); known columns are {', '.join(TARGETS)}."
        )


def _check_columns(mapping: Mapping[str, str], frame: pd.DataFrame, path: str) -> None:
    missing = sorted(c for c in mapping.values() if not c.startswith("=") and c not in frame.columns)
    if missing:
        raise SourceError(
            f"{path} has no columns {missing}: it has {', '.join(map(str, frame.columns[:30]))}; mend the mapping."
        )
    if not signal_of(mapping):
        raise SourceError(
            f"{path} has columns {', '.join(map(str, frame.columns[:30]))}, of which none is known for a shape: give a"
            " mapping such as time=ts body=message."
        )
