"""OTLP spans and log records to frames: whole columns over many bodies, judged at once.

`SpanRows` and `LogRows` take raw requests (`otlp_schema.py`) and give one frame. What each field becomes:

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
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import build_logs, build_spans
from workbench.signals.names import RESERVED
from workbench.signals.rows import LOG_COLUMNS, SPAN_COLUMNS, SPAN_KINDS, SPAN_STATUS
from workbench.signals.time import MAX_NS
from workbench.sources.attributes import AttributeColumns
from workbench.sources.columns import choice_column, hex_column, text_column
from workbench.sources.otlp_parts import TAGS, Parts
from workbench.sources.severity import severity_numbers
from workbench.sources.source import ReadOptions
from workbench.sources.values import json_text, plain_value, to_text

__all__ = ["LogRows", "SpanRows"]

_SPAN_TAKEN = (*SPAN_COLUMNS, *RESERVED, "span_events", "links", "tracestate")
_LOG_TAKEN = (*LOG_COLUMNS, *RESERVED, "trace_id", "span_id", "severity_text", "template")


class _Rows:
    """What spans and log records have in common: attributes, resources, and leaving rows out."""

    def __init__(self, options: ReadOptions, parts: Parts) -> None:
        self._options, self._parts = options, parts
        self.skips: Counter[str] = parts.skips
        self._attributes = AttributeColumns(parts.pair)
        self._ranges: list[tuple[int, int, dict[str, str]]] = []

    def _finish_resource(self, start: int, stop: int, resource: bytes) -> None:
        tags, rest = self._parts.resource(resource)
        self._ranges.append((start, stop, tags))
        for name, value in rest.items():
            self._attributes.fill(start, stop, name, value)

    def _common(self, n: int, taken: tuple[str, ...]) -> dict[str, pd.Series]:
        """Return a text column per unified tag that any resource has (service and env always), then the attributes."""
        used = {name for _, _, tags in self._ranges for name in tags} | {"service", "env"}
        block = np.repeat(np.arange(len(self._ranges)), [stop - start for start, stop, _ in self._ranges])
        cap = self._options.max_text_chars
        found = {}
        for name in (name for name in TAGS if name in used):
            missing = "" if name in ("service", "env") else None
            texts = [tags[name][:cap] if name in tags else missing for _, _, tags in self._ranges]
            found[name] = choice_column(block, texts)
        return {**found, **self._attributes.columns(n, taken, self._options, self.skips)}

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


def _enum_column(codes: npt.NDArray[np.int64], names: tuple[str, ...], skips: Counter[str], what: str) -> pd.Series:
    unknown = (codes < 0) | (codes >= len(names))
    if unknown.any():
        skips[f"unknown {what} read as {names[0]}"] += int(unknown.sum())
        codes = np.where(unknown, 0, codes)
    return choice_column(codes, names)


class SpanRows(_Rows):
    """Collects spans of trace export requests."""

    def __init__(self, options: ReadOptions, parts: Parts) -> None:
        super().__init__(options, parts)
        self._own = AttributeColumns()
        self._start: list[int] = []
        self._end: list[int] = []
        self._ids: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
        self._names: list[str] = []
        self._kinds: list[int] = []
        self._status: list[bytes] = []

    def __len__(self) -> int:
        """Return the number of spans collected."""
        return len(self._start)

    def add(self, request: Any) -> None:
        """Add every span of one raw request."""
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
                    status.append(span.status)
                    attributes.extend(span.attributes)
                    if span.events:
                        self._events(row, span.events)
                    if span.links:
                        self._own.put(row, "links", json_text([self._link(raw) for raw in span.links]))
                    if span.trace_state:
                        self._own.put(row, "tracestate", span.trace_state)
                    row += 1
                if scope.scope.name:
                    attributes.fill(before, row, "otel.scope.name", scope.scope.name)
            self._finish_resource(first, row, block.resource)

    def _events(self, row: int, raws: Any) -> None:
        events = []
        exception: dict[str, Any] = {}
        for raw in raws:
            event = self._parts.decode(raw, "Event")
            attributes = {item.key: self._cut(plain_value(item.value)) for item in event.attributes}
            events.append({"time": event.time_unix_nano, "name": event.name, "attributes": attributes})
            if event.name == "exception" and not exception:
                exception = {k: v for k, v in attributes.items() if k.startswith("exception.") and v is not None}
        for name, value in exception.items():
            self._attributes.put(row, name, value)
        self._own.put(row, "span_events", json_text(events))

    def _link(self, raw: bytes) -> dict[str, Any]:
        link = self._parts.decode(raw, "Link")
        attributes = {item.key: self._cut(plain_value(item.value)) for item in link.attributes}
        return {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex(), "attributes": attributes}

    def _cut(self, value: Any) -> Any:
        """Return a value inside JSON text; a long text is cut here, as cutting the JSON would break it."""
        if isinstance(value, str) and len(value) > self._options.max_text_chars:
            self.skips["attribute truncated to intake.max_text_chars"] += 1
            return value[: self._options.max_text_chars]
        return value

    def _status_codes(self) -> npt.NDArray[np.int64]:
        """Return the status code of every span, shape (n,), and note the messages."""
        codes, distinct = _factorize(self._status)
        decoded = [self._parts.decode(raw, "Status") for raw in distinct]
        for i, status in enumerate(decoded):
            if status.message:
                for row in np.flatnonzero(codes == i).tolist():
                    self._attributes.put(row, "otel.status_description", status.message)
        return np.array([status.code for status in decoded], np.int64)[codes]

    def finish(self) -> pd.DataFrame | None:
        """Return the spans frame, or None where no span is left; what was left out is in `skips`."""
        n = len(self)
        if not n:
            return None
        begin, end = np.asarray(self._start, np.uint64), np.asarray(self._end, np.uint64)
        time = np.minimum(begin, MAX_NS).astype(np.int64)
        trace, no_trace, wrong_trace = hex_column(self._ids[0], 16)
        span, no_span, wrong_span = hex_column(self._ids[1], 8)
        parent, _, wrong_parent = hex_column(self._ids[2], 8)
        if wrong_parent.any():
            self.skips["parent span id of wrong length read as none"] += int(wrong_parent.sum())
        columns: dict[str, Any] = {
            "time": time,
            "duration_ns": np.minimum(end, MAX_NS).astype(np.int64) - time,
            "trace_id": trace,
            "span_id": span,
            "parent_span_id": parent,
            "name": text_column(self._names, self._options.max_text_chars, self.skips, "span name"),
            "kind": _enum_column(np.asarray(self._kinds, np.int64), SPAN_KINDS, self.skips, "span kind"),
            "status": _enum_column(self._status_codes(), SPAN_STATUS, self.skips, "span status"),
            **{str(k): v for k, v in self._own.frame(n, 3, self.skips).items()},
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


def _factorize(items: list[bytes]) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    """Return which of the distinct items each one is, shape (n,), and those."""
    array = np.empty(len(items), object)
    array[:] = items
    codes, distinct = pd.factorize(array)
    return codes.astype(np.int64), distinct.tolist()


class LogRows(_Rows):
    """Collects log records of logs export requests."""

    def __init__(self, options: ReadOptions, parts: Parts) -> None:
        super().__init__(options, parts)
        self._time: list[int] = []
        self._observed: list[int] = []
        self._severity: list[int] = []
        self._severity_text: list[str] = []
        self._bodies: list[bytes] = []
        self._ids: tuple[list[bytes], list[bytes]] = ([], [])

    def __len__(self) -> int:
        """Return the number of records collected."""
        return len(self._time)

    def add(self, request: Any) -> None:
        """Add every record of one raw request."""
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
                    bodies.append(record.body)
                    traces.append(record.trace_id)
                    spans.append(record.span_id)
                    attributes.extend(record.attributes)
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
        codes, distinct = _factorize(self._bodies)
        texts = [to_text(plain_value(self._parts.decode(raw, "AnyValue"))) for raw in distinct]
        long = int(np.array([len(text) > cap for text in texts])[codes].sum())
        if long:
            self.skips["log body truncated to intake.max_text_chars"] += long
        columns: dict[str, Any] = {
            "time": np.minimum(time, MAX_NS).astype(np.int64),
            "severity": severity_numbers(self._severity, self._severity_text, self.skips),
            "body": choice_column(codes, [text[:cap] for text in texts]),
            "severity_text": text_column(self._severity_text, cap, self.skips, "severity text"),
            "trace_id": trace,
            "span_id": span,
            **self._common(n, _LOG_TAKEN),
        }
        bad = {"log record without a time": time == 0, "log record outside 1970-2261": time >= MAX_NS}
        columns = self._leave_out(columns, bad)
        return build_logs(columns) if len(columns["time"]) else None
