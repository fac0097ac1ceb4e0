"""Single attribute values: OTLP's AnyValue to plain Python, and plain values to text."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

__all__ = ["finite", "json_text", "plain_value", "to_text"]


def plain_value(value: Any) -> Any:
    """Return an OTLP AnyValue as str, int, float, bool; a list or map as JSON text, bytes as base64, unset as None."""
    text = value.string_value
    if text:
        return text
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which in ("array_value", "kvlist_value"):
        return json_text(_nested(value))
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return getattr(value, which)


def _nested(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_nested(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: _nested(item.value) for item in value.kvlist_value.values}
    return finite(plain_value(value))


def finite(value: Any) -> Any:
    """Return the value, floats that JSON cannot write as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any) -> str:
    """Return compact JSON text, other characters than ASCII kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_text(value: Any) -> str:
    """Return one attribute value as label text: `true`, `200`, `0.5`, text as it is, "" for None."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
