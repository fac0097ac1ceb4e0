"""Recognise protobuf content by its nesting, from its first bytes alone."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["is_delimited_stream", "is_profile", "is_request", "split_entries", "varint_at", "varint_bytes"]


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


def varint_bytes(number: int) -> bytes:
    """Return a number of at least 0 as a varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


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


_PROFILE_LEN = (1, 2, 3, 4, 5, 6, 11, 13)
_PROFILE_VARINT = (7, 8, 9, 10, 12, 13, 14, 15)


def is_profile(head: bytes) -> bool:
    """Return whether bytes are the fields of a pprof profile as far as they go, a sample type among them."""
    at, typed = 0, False
    while at < len(head):
        number, kind = head[at] >> 3, head[at] & 7
        value, place = varint_at(head, at + 1)
        if place < 0:
            break
        if kind == 2 and number in _PROFILE_LEN:
            if number == 1:
                if not _is_value_type(head[place : place + value]) or place + value > len(head):
                    return False
                typed = True
            place += value
        elif kind != 0 or number not in _PROFILE_VARINT:
            return False
        at = place
    return typed


def _is_value_type(data: bytes) -> bool:
    """Return whether bytes are one or two varints of fields 1 and 2."""
    at, seen = 0, 0
    while 0 <= at < len(data):
        if data[at] not in (0x08, 0x10):
            return False
        _, at = varint_at(data, at + 1)
        seen += 1
    return at == len(data) and 1 <= seen <= 2


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
