"""Parts of OTLP requests that were left raw, decoded once per distinct content."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workbench.signals.names import from_otel
from workbench.sources.otlp_repair import decode_part
from workbench.sources.values import plain_value, to_text

__all__ = ["TAGS", "Parts"]

TAGS = ("service", "env", "version", "host", "instance")
"""Unified tags that resources carry."""

_MAX_KNOWN = 10_000


class Parts:
    """Decodes raw parts; damaged text in them is replaced and counted in `skips`."""

    def __init__(self) -> None:
        self.skips: Counter[str] = Counter()
        self._resources: dict[bytes, tuple[dict[str, str], dict[str, Any]]] = {}

    def decode(self, raw: bytes, name: str) -> Any:
        """Return a part as a message of the class with that short name."""
        return decode_part(raw, name, self.skips)

    def pair(self, raw: bytes) -> tuple[str, Any]:
        """Return the name and plain value of one attribute; the value of an unset one is None."""
        item = decode_part(raw, "KeyValue", self.skips)
        return item.key, plain_value(item.value)

    def resource(self, raw: bytes) -> tuple[dict[str, str], dict[str, Any]]:
        """Return a resource's unified tags under their short names, and its other attributes."""
        found = self._resources.get(raw)
        if found is None:
            found = self._resource(raw)
            if len(self._resources) < _MAX_KNOWN:
                self._resources[raw] = found
        return found

    def _resource(self, raw: bytes) -> tuple[dict[str, str], dict[str, Any]]:
        tags: dict[str, str] = {}
        rest: dict[str, Any] = {}
        for data in decode_part(raw, "Resource", self.skips).attributes:
            value = plain_value(data.value)
            short = from_otel(data.key)
            if value is None:
                continue
            if short in TAGS and short != data.key:
                tags.setdefault(short, to_text(value))
            else:
                rest[data.key] = value
        return tags, rest
