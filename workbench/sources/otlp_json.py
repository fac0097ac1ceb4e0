"""OTLP/JSON: one document, or one a line as the OpenTelemetry collector's file exporter writes them.

Each document is turned into the protobuf message it stands for and goes the same way from there. Ids are hex, as OTLP
says, or base64, as protobuf's own JSON mapping says; field names in lowerCamelCase or snake_case; numbers as numbers or
text; enums as numbers or names. A record that cannot be read is left out and counted.

References
----------
OTLP specification 1.x, "JSON Protobuf Encoding"; opentelemetry-collector-contrib: exporter/fileexporter.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

from google.protobuf.descriptor import FieldDescriptor

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.json_text import head_text, json_values
from workbench.sources.otlp import Rows
from workbench.sources.otlp_schema import request_class
from workbench.sources.source import ReadOptions

__all__ = ["OtlpJson"]

_TOP = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}
_TOP |= {"resource_spans": "traces", "resource_metrics": "metrics", "resource_logs": "logs"}
_SNIFF = re.compile(r'"resource_?(?:[Ss]pans|[Mm]etrics|[Ll]ogs)"\s*:')
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_OLD_NAMES = {"instrumentation_library_spans": "scope_spans", "instrumentation_library_logs": "scope_logs",
              "instrumentation_library_metrics": "scope_metrics"}  # fmt: skip
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31), FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32), FieldDescriptor.CPPTYPE_UINT64: (0, 2**64),
}  # fmt: skip
_MAX_DEPTH = 50
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SPELLED: dict[str, str] = {}


class OtlpJson:
    """OTLP as JSON documents."""

    name: ClassVar[str] = "otlp-json"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the content is JSON whose first keys are those of an OTLP request."""
        text = head_text(head)
        return text[:1] in ("{", "[") and _SNIFF.search(text[:4096]) is not None

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield the rows of every document.

        Raises
        ------
        SourceError
            If the content is not JSON, or no document is an OTLP request.
        """
        rows = Rows(options)
        good = False
        for value in json_values(stream, path, options, rows.skips):
            signals = _TOP.keys() & value.keys() if isinstance(value, dict) else set()
            if not signals:
                rows.skips["JSON value that is no OTLP request"] += 1
            for key in sorted(signals):
                request = request_class(_TOP[key])()
                try:
                    _fill(request, {key: value[key]}, rows.skips, 0)
                except (ValueError, TypeError):
                    rows.skips["JSON value that is no OTLP request"] += 1
                    continue
                good = True
                rows.add(request.SerializeToString(), _TOP[key])
            if rows.full:
                yield rows.flush()
        if not good:
            raise SourceError(
                f"{path} holds no OTLP/JSON: a document needs resourceSpans, resourceMetrics or resourceLogs."
            )
        yield rows.flush()


def _snake(name: str) -> str:
    found = _SPELLED.get(name)
    if found is None:
        found = _CAMEL.sub(r"_\1", name).lower()
        found = _OLD_NAMES.get(found, found)
        if len(_SPELLED) < 1000:
            _SPELLED[name] = found
    return found


def _fill(message: Any, value: Any, skips: Counter[str], depth: int) -> None:
    """Set the fields of a message from a JSON object; raise `ValueError` where one does not fit.

    What does not fit in one item of a list of messages leaves out that item only, counted.
    """
    if not isinstance(value, dict):
        raise ValueError("not an object")
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    fields = message.DESCRIPTOR.fields_by_name
    for name, item in value.items():
        field = fields.get(_snake(name))
        if field is None or item is None:
            continue
        target = getattr(message, field.name)
        if field.message_type is None:
            _set_plain(message, field, target, item)
        elif hasattr(target, "add"):
            _fill_list(target, item, skips, depth)
        else:
            target.SetInParent()
            _fill(target, item, skips, depth + 1)


def _fill_list(target: Any, items: Any, skips: Counter[str], depth: int) -> None:
    if not isinstance(items, list):
        raise ValueError("not a list")
    for item in items:
        part = target.add()
        try:
            _fill(part, item, skips, depth + 1)
        except (ValueError, TypeError):
            del target[-1]
            skips[f"OTLP/JSON {part.DESCRIPTOR.name} that cannot be read"] += 1


def _set_plain(message: Any, field: Any, target: Any, item: Any) -> None:
    if hasattr(target, "append"):
        if not isinstance(item, list):
            raise ValueError("not a list")
        target.extend([_plain(field, one) for one in item])
    else:
        setattr(message, field.name, _plain(field, item))


def _plain(field: Any, value: Any) -> Any:
    kind = field.cpp_type
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        return _integer(value, low, high)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        named = field.enum_type.values_by_name.get(value) if isinstance(value, str) else None
        return named.number if named is not None else _integer(value, -(2**31), 2**31)
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("not a number")
        return float(value)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise ValueError("not true or false")
        return value
    if not isinstance(value, str):
        raise ValueError("not text")
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(field.name, value)
    return value.encode("utf-8", "replace").decode("utf-8")


def _integer(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a whole number")
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
        raise ValueError("not a whole number")
    number = int(value)
    if not low <= number < high:
        raise ValueError("number out of range")
    return number


def _bytes(name: str, text: str) -> bytes:
    """Return bytes written as base64; an id of the right length as hex."""
    size = _ID_BYTES.get(name)
    if size is not None and len(text) == 2 * size:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    try:
        return base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None, validate=True
        )
    except binascii.Error as error:
        raise ValueError("neither hex nor base64") from error
