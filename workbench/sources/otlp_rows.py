"""OTLP spans and log records to frames: whole columns over many bodies, judged at once.

`SpanRows` and `LogRows` take decoded requests and give one frame. What each field becomes:

* resource attributes are columns of every row, `service.name` as `service` and so on (`signals/names.py`); where a row
  has an attribute of the same name, its own counts; the scope's name is `otel.scope.name`;
* span events and links are JSON text in `span_events` and `links`; the first `exception` event also gives
  `exception.type`, `exception.message` and `exception.stacktrace`; the status message is `otel.status_description`;
* a log body of any type is text; a record without a time has its observed time; a severity that is only text is read.

References
----------
opentelemetry-proto: trace.proto, logs.proto; OpenTelemetry, "Mapping to non-OTLP formats" for `otel.*` names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import build_logs, build_spans
from workbench.signals.names import RESERVED, from_otel
from workbench.signals.rows import LOG_COLUMNS, SPAN_COLUMNS, SPAN_KINDS, SPAN_STATUS
from workbench.signals.time import MAX_NS
from workbench.sources.attributes import (
    AttributeColumns,
    choice_column,
    hex_column,
    json_text,
    plain_value,
    text_column,
    to_text,
)
from workbench.sources.severity import severity_numbers
from workbench.sources.source import ReadOptions

__all__ = ["LogRows", "SpanRows", "resource_labels"]

_SHORT = ("service", "env", "version", "host", "instance")
_SPAN_TAKEN = (*SPAN_COLUMNS, *RESERVED, "span_events", "links", "tracestate")
_LOG_TAKEN = (*LOG_COLUMNS, *RESERVED, "trace_id", "span_id", "severity_text", "template")


def resource_labels(resource: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Return a resource's unified tags under their short names, and its other attributes."""
    tags: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for item in resource.attributes:
        value = plain_value(item.value)
        short = from_otel(item.key)
        if value is None:
            continue
        if short in _SHORT and short != item.key:
            tags.setdefault(short, to_text(value))
        else:
            rest[item.key] = value
    return tags, rest


class _Rows:
    """What spans and log records have in common: attributes, resources, and leaving rows out."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._attributes = AttributeColumns()
        self._own = AttributeColumns()
        self._ranges: list[tuple[int, int, dict[str, str]]] = []
        self.skips: Counter[str] = Counter()

    def _finish_resource(self, start: int, stop: int, resource: Any) -> None:
        tags, rest = resource_labels(resource)
        self._ranges.append((start, stop, tags))
        for name, value in rest.items():
            self._attributes.fill(start, stop, name, value)

    def _tag_columns(self) -> dict[str, pd.Series]:
        """Return one text column per unified tag that any resource has; service and env always."""
        used = {name for _, _, tags in self._ranges for name in tags} | {"service", "env"}
        block = np.repeat(np.arange(len(self._ranges)), [stop - start for start, stop, _ in self._ranges])
        cap = self._options.max_text_chars
        found = {}
        for name in (name for name in _SHORT if name in used):
            missing = "" if name in ("service", "env") else None
            texts = [tags[name][:cap] if name in tags else missing for _, _, tags in self._ranges]
            found[name] = choice_column(block, texts)
        return found

    def _common(self, n: int, taken: tuple[str, ...]) -> dict[str, pd.Series]:
        attributes = self._attributes.columns(n, taken, self._options, self.skips)
        whole = replace(self._options, settings={**self._options.settings, "intake.max_text_chars": 2**31 - 1})
        return {**self._tag_columns(), **self._own.columns(n, (), whole, self.skips), **attributes}

    def _leave_out(self, columns: dict[str, Any], bad: dict[str, npt.NDArray[np.bool_]]) -> dict[str, Any]:
        """Drop rows, each counted under the first reason that applies."""
        drop = np.zeros(len(columns["time"]), bool)
        for reason, mask in bad.items():
            count = int((mask & ~drop).sum())
            if count:
                self.skips[reason] += count
                drop |= mask
        if not drop.any():
            return columns
        return {name: pd.Series(values)[~drop].reset_index(drop=True) for name, values in columns.items()}


def _enum_column(numbers: list[int], names: tuple[str, ...], skips: Counter[str], what: str) -> pd.Series:
    codes = np.asarray(numbers, np.int64)
    unknown = (codes < 0) | (codes >= len(names))
    if unknown.any():
        skips[f"unknown {what} read as {names[0]}"] += int(unknown.sum())
        codes = np.where(unknown, 0, codes)
    return choice_column(codes, names)


class SpanRows(_Rows):
    """Collects spans of `ExportTraceServiceRequest` messages."""

    def __init__(self, options: ReadOptions) -> None:
        super().__init__(options)
        self._start: list[int] = []
        self._end: list[int] = []
        self._ids: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
        self._names: list[str] = []
        self._kinds: list[int] = []
        self._status: list[int] = []

    def __len__(self) -> int:
        """Return the number of spans collected."""
        return len(self._start)

    def add(self, request: Any) -> None:
        """Add every span of one decoded request."""
        start, end, names, kinds, status = self._start, self._end, self._names, self._kinds, self._status
        traces, spans, parents = self._ids
        attributes = self._attributes
        for block in request.resource_spans:
            first = row = len(start)
            for scope in block.scope_spans:
                before = row
                for span in scope.spans:
                    start.append(span.start_time_unix_nano)
                    end.append(span.end_time_unix_nano)
                    traces.append(span.trace_id)
                    spans.append(span.span_id)
                    parents.append(span.parent_span_id)
                    names.append(span.name)
                    kinds.append(span.kind)
                    status.append(span.status.code)
                    attributes.add(row, span.attributes)
                    self._rare(row, span)
                    row += 1
                if scope.scope.name:
                    attributes.fill(before, row, "otel.scope.name", scope.scope.name)
            self._finish_resource(first, row, block.resource)

    def _rare(self, row: int, span: Any) -> None:
        if span.status.message:
            self._attributes.put(row, "otel.status_description", span.status.message)
        if span.trace_state:
            self._own.put(row, "tracestate", span.trace_state)
        if span.links:
            self._own.put(row, "links", json_text([_link(link) for link in span.links]))
        if span.events:
            self._events(row, span)

    def _events(self, row: int, span: Any) -> None:
        events = []
        seen = False
        for event in span.events:
            attributes = {item.key: self._cut(plain_value(item.value)) for item in event.attributes}
            events.append({"time": event.time_unix_nano, "name": event.name, "attributes": attributes})
            if event.name == "exception" and not seen:
                seen = True
                own = {item.key for item in span.attributes}
                for name, value in attributes.items():
                    if name.startswith("exception.") and value is not None and name not in own:
                        self._attributes.put(row, name, value)
        self._own.put(row, "span_events", json_text(events))

    def _cut(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > self._options.max_text_chars:
            self.skips["attribute truncated to intake.max_text_chars"] += 1
            return value[: self._options.max_text_chars]
        return value

    def finish(self) -> pd.DataFrame | None:
        """Return the spans frame, or None where no span is left; what was left out is in `skips`."""
        n = len(self)
        if not n:
            return None
        begin, end = np.asarray(self._start, np.uint64), np.asarray(self._end, np.uint64)
        trace, no_trace, wrong_trace = hex_column(self._ids[0], 16)
        span, no_span, wrong_span = hex_column(self._ids[1], 8)
        parent, _, wrong_parent = hex_column(self._ids[2], 8)
        if wrong_parent.any():
            self.skips["parent span id of wrong length read as none"] += int(wrong_parent.sum())
        columns: dict[str, Any] = {
            "time": np.minimum(begin, MAX_NS).astype(np.int64),
            "duration_ns": (np.minimum(end, MAX_NS).astype(np.int64) - np.minimum(begin, MAX_NS).astype(np.int64)),
            "trace_id": trace,
            "span_id": span,
            "parent_span_id": parent,
            "name": text_column(self._names, self._options.max_text_chars, self.skips, "span name"),
            "kind": _enum_column(self._kinds, SPAN_KINDS, self.skips, "span kind"),
            "status": _enum_column(self._status, SPAN_STATUS, self.skips, "span status"),
            **self._common(n, _SPAN_TAKEN),
        }
        bad = {
            "span with a trace or span id of wrong length": wrong_trace | wrong_span,
            "span without a trace or span id": no_trace | no_span,
            "span without a start or end time": (begin == 0) | (end == 0),
            "span outside 1970-2261": (begin >= MAX_NS) | (end >= MAX_NS),
            "span with a negative duration": end < begin,
        }
        columns = self._leave_out(columns, bad)
        return build_spans(columns) if len(columns["time"]) else None


def _link(link: Any) -> dict[str, Any]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "attributes": {item.key: plain_value(item.value) for item in link.attributes},
    }


class LogRows(_Rows):
    """Collects log records of `ExportLogsServiceRequest` messages."""

    def __init__(self, options: ReadOptions) -> None:
        super().__init__(options)
        self._time: list[int] = []
        self._observed: list[int] = []
        self._severity: list[int] = []
        self._severity_text: list[str] = []
        self._bodies: list[str] = []
        self._ids: tuple[list[bytes], list[bytes]] = ([], [])

    def __len__(self) -> int:
        """Return the number of records collected."""
        return len(self._time)

    def add(self, request: Any) -> None:
        """Add every record of one decoded request."""
        time, observed, severity, texts = self._time, self._observed, self._severity, self._severity_text
        bodies, (traces, spans), attributes = self._bodies, self._ids, self._attributes
        for block in request.resource_logs:
            first = row = len(time)
            for scope in block.scope_logs:
                before = row
                for record in scope.log_records:
                    time.append(record.time_unix_nano)
                    observed.append(record.observed_time_unix_nano)
                    severity.append(record.severity_number)
                    texts.append(record.severity_text)
                    bodies.append(to_text(plain_value(record.body)))
                    traces.append(record.trace_id)
                    spans.append(record.span_id)
                    attributes.add(row, record.attributes)
                    if record.event_name:
                        attributes.put(row, "event.name", record.event_name)
                    row += 1
                if scope.scope.name:
                    attributes.fill(before, row, "otel.scope.name", scope.scope.name)
            self._finish_resource(first, row, block.resource)

    def finish(self) -> pd.DataFrame | None:
        """Return the logs frame, or None where no record is left; what was left out is in `skips`."""
        n = len(self)
        if not n:
            return None
        time, observed = np.asarray(self._time, np.uint64), np.asarray(self._observed, np.uint64)
        time = np.where(time == 0, observed, time)
        trace, _, wrong_trace = hex_column(self._ids[0], 16)
        span, _, wrong_span = hex_column(self._ids[1], 8)
        wrong = int((wrong_trace | wrong_span).sum())
        if wrong:
            self.skips["log trace or span id of wrong length left empty"] += wrong
        cap = self._options.max_text_chars
        columns: dict[str, Any] = {
            "time": np.minimum(time, MAX_NS).astype(np.int64),
            "severity": severity_numbers(self._severity, self._severity_text, self.skips),
            "body": text_column(self._bodies, cap, self.skips, "log body"),
            "severity_text": text_column(self._severity_text, cap, self.skips, "severity text"),
            "trace_id": trace,
            "span_id": span,
            **self._common(n, _LOG_TAKEN),
        }
        bad = {"log record without a time": time == 0, "log record outside 1970-2261": time >= MAX_NS}
        columns = self._leave_out(columns, bad)
        return build_logs(columns) if len(columns["time"]) else None
