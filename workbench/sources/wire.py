"""Recognise protobuf content by its nesting, from its first bytes alone."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["is_delimited_stream", "is_profile", "is_request", "split_entries", "varint_at"]


def varint_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at a position and the position after it; the position is -1 where there is none."""
    number = 0
    for i in range(10):
        if at + i >= len(data):
            break
        byte = data[at + i]
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, at + i + 1
    return 0, -1


def _nested(head: bytes, tag: int) -> tuple[int, int]:
    """Return length and start of a field of bytes that begins the data under the tag, or (0, -1)."""
    if not head or head[0] != tag:
        return 0, -1
    return varint_at(head, 1)


def is_request(head: bytes) -> bool:
    """Return whether bytes begin as an OTLP export request: field 1, in it a resource, scopes or a schema URL.

    The resource may be empty; otherwise it must begin with an attribute (or a count of dropped ones).
    """
    size, at = _nested(head, 0x0A)
    if at < 0 or size < 2 or at >= len(head):
        return False
    inner = head[at : at + size]
    if inner[0] == 0x0A:
        length, start = varint_at(inner, 1)
        if start < 0 or start + length > size:
            return False
        if length:
            return _is_resource(inner[start : start + length])
        inner = inner[start:]
    if not inner or inner[0] not in (0x12, 0x1A):
        return False
    length, start = varint_at(inner, 1)
    return start > 0 and start + length <= size


def _is_resource(data: bytes) -> bool:
    if data[0] in (0x10, 0x1A):
        return True
    size, at = _nested(data, 0x0A)
    pair = data[at : at + size] if at > 0 else b""
    length, start = _nested(pair, 0x0A)
    name = pair[start : start + length] if start > 0 else b""
    return bool(name) and all(32 <= byte < 127 for byte in name[:64])


def is_profile(head: bytes) -> bool:
    """Return whether bytes begin as a pprof profile: field 1, a value type of one or two small numbers."""
    size, at = _nested(head, 0x0A)
    if at < 0 or not 2 <= size <= 12 or at + size > len(head):
        return False
    inner, seen, place = head[at : at + size], 0, 0
    while place >= 0 and place < len(inner):
        if inner[place] not in (0x08, 0x10):
            return False
        _, place = varint_at(inner, place + 1)
        seen += 1
    return place == len(inner) and seen <= 2


def is_delimited_stream(head: bytes, is_message: Callable[[bytes], bool]) -> bool:
    """Return whether bytes are a varint length followed by that many bytes (or all there are) of a message."""
    at = 0
    while at < len(head) and head[at] == 0:
        at += 1
    size, start = varint_at(head, at)
    return start > 0 and size > 1 and is_message(head[start : start + size])


def split_entries(body: bytes) -> tuple[list[bytes], int]:
    """Return the complete entries of field 1 of a message, and how many bytes at its end are of no complete field.

    Other fields are passed over; a field that cannot be read ends the list.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(body):
        tag, place = varint_at(body, at)
        kind = tag & 7
        if place < 0 or tag >> 3 == 0:
            break
        if kind == 0:
            _, end = varint_at(body, place)
        elif kind in (1, 5):
            end = place + (8 if kind == 1 else 4)
        elif kind == 2:
            size, place = varint_at(body, place)
            end = place + size if place > 0 else -1
        else:
            break
        if end < 0 or end > len(body):
            break
        if tag == 0x0A:
            entries.append(body[place:end])
        at = end
    return entries, len(body) - at
