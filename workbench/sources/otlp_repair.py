"""Keep what can be kept of an OTLP body that protobuf refuses.

Two things are tried. Text that is not UTF-8 makes the parser refuse a whole body; so the body is parsed once more with
a schema in which every string is bytes, and each bad text is decoded with replacement characters. A body cut short, or
damaged in one place, is split into its resource entries, and each is parsed on its own.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from workbench.errors import SourceError
from workbench.sources.otlp_schema import plausible, request_class
from workbench.sources.wire import split_entries

__all__ = ["parse_damaged"]

_FIELD = descriptor_pb2.FieldDescriptorProto


def parse_damaged(body: bytes, signal: str, skips: Counter[str]) -> Any:
    """Return a request with what could be saved of a body that does not decode, and count what could not.

    Raises
    ------
    SourceError
        If nothing could be saved.
    """
    repaired = _with_replacements(body, signal, skips)
    if repaired is not None:
        return repaired
    entries, _ = split_entries(body)
    whole = request_class(signal)()
    lost = 0
    for entry in entries:
        part = _entry(entry, signal, skips)
        if part is None or plausible(part, signal) < 0.5:
            lost += 1
        else:
            whole.MergeFrom(part)
    if not whole.ListFields():
        raise SourceError(
            f"an OTLP {signal} body of {len(body)} bytes cannot be decoded: it is truncated, corrupt or no OTLP."
        )
    skips["damaged part of an OTLP body"] += max(lost, 1)
    return whole


def _entry(entry: bytes, signal: str, skips: Counter[str]) -> Any | None:
    alone = b"\x0a" + _varint(len(entry)) + entry
    try:
        return request_class(signal).FromString(alone)
    except DecodeError:
        return _with_replacements(alone, signal, skips)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _with_replacements(body: bytes, signal: str, skips: Counter[str]) -> Any | None:
    """Return the request with invalid UTF-8 replaced, or None where that is not what is wrong."""
    lenient, texts = _lenient(signal)
    try:
        message = lenient.FromString(body)
    except DecodeError:
        return None
    replaced = _mend(message, texts)
    try:
        request = request_class(signal).FromString(message.SerializeToString())
    except DecodeError:
        return None
    if plausible(request, signal) < 0.5:
        return None
    skips["invalid UTF-8 replaced"] += replaced
    return request


@cache
def _lenient(signal: str) -> tuple[Any, frozenset[str]]:
    """Return the request class of a private schema whose strings are bytes, and the full names of those fields."""
    texts: set[str] = set()
    pool = descriptor_pool.DescriptorPool()
    descriptor = request_class(signal).DESCRIPTOR
    _add(descriptor.file, pool, texts, set())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name)), frozenset(texts)


def _add(file: Any, pool: Any, texts: set[str], done: set[str]) -> None:
    if file.name in done:
        return
    done.add(file.name)
    for needed in file.dependencies:
        _add(needed, pool, texts, done)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        _strings_to_bytes(message, f"{proto.package}.{message.name}", texts)
    pool.Add(proto)


def _strings_to_bytes(message: Any, full_name: str, texts: set[str]) -> None:
    for field in message.field:
        if field.type == _FIELD.TYPE_STRING:
            field.type = _FIELD.TYPE_BYTES
            texts.add(f"{full_name}.{field.name}")
    for nested in message.nested_type:
        _strings_to_bytes(nested, f"{full_name}.{nested.name}", texts)


def _mend(message: Any, texts: frozenset[str]) -> int:
    """Replace invalid UTF-8 in every text of a lenient message, in place; return how many texts that were."""
    replaced = 0
    for field, value in message.ListFields():
        repeated = not isinstance(value, bytes) and hasattr(value, "append" if field.message_type is None else "add")
        if field.message_type is not None:
            replaced += sum(_mend(item, texts) for item in value) if repeated else _mend(value, texts)
        elif field.full_name in texts:
            if repeated:
                mended = [_text(item) for item in value]
                replaced += sum(new != old for new, old in zip(mended, value, strict=True))
                value[:] = mended
            else:
                mended_one = _text(value)
                replaced += mended_one != value
                setattr(message, field.name, mended_one)
    return replaced


def _text(raw: bytes) -> bytes:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace").encode("utf-8")
    return raw
