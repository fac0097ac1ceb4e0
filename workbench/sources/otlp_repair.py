"""Keep what can be kept of OTLP that protobuf refuses.

Two things are tried. Text that is not UTF-8 makes the parser refuse a whole message; so it is parsed once more with the
lenient schema, and each bad text is decoded with replacement characters. A body cut short, or damaged in one place, is
split into its resource entries, and each is parsed on its own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from google.protobuf.message import DecodeError

from workbench.errors import SourceError
from workbench.sources.otlp_schema import lenient_class, message_class, plausible, raw_class, request_class
from workbench.sources.wire import split_entries, varint_bytes

__all__ = ["decode_part", "parse_body", "plausible_request"]


def parse_body(body: bytes, signal: str, skips: Counter[str]) -> Any:
    """Return a body as a raw request, as much of it as can be saved, and count what cannot.

    Raises
    ------
    SourceError
        If nothing can be saved.
    """
    cls = raw_class(signal)
    try:
        return cls.FromString(body)
    except DecodeError:
        pass
    repaired = _mended_request(body, signal, skips)
    if repaired is not None:
        return repaired
    entries, _ = split_entries(body)
    parts = [_entry(entry, signal, skips) for entry in entries]
    kept = [part for part in parts if part is not None and plausible(part, signal) >= 0.5]
    if not kept:
        raise SourceError(
            f"an OTLP {signal} body of {len(body)} bytes cannot be decoded: it is truncated, corrupt or no OTLP."
        )
    whole = cls()
    for part in kept:
        whole.MergeFrom(part)
    skips["damaged part of an OTLP body"] += max(len(parts) - len(kept), 1)
    return whole


def plausible_request(body: bytes, signal: str) -> float:
    """Return how plausible it is that a body is of a signal, from 0.0 for what cannot be decoded to 1.0."""
    try:
        return plausible(parse_body(body, signal, Counter()), signal)
    except SourceError:
        return 0.0


def decode_part(raw: bytes, name: str, skips: Counter[str]) -> Any:
    """Return a part of a request that was left raw, by the short name of its class; a damaged one is empty, counted."""
    official = message_class(name)
    try:
        return official.FromString(raw)
    except DecodeError:
        mended = _mended(raw, official, skips)
        if mended is None:
            skips[f"damaged {name} of an OTLP body"] += 1
            return official()
        return official.FromString(mended)


def _entry(entry: bytes, signal: str, skips: Counter[str]) -> Any | None:
    alone = b"\x0a" + varint_bytes(len(entry)) + entry
    try:
        return raw_class(signal).FromString(alone)
    except DecodeError:
        return _mended_request(alone, signal, skips)


def _mended_request(body: bytes, signal: str, skips: Counter[str]) -> Any | None:
    """Return the request with invalid UTF-8 replaced, or None where that is not what is wrong."""
    noted: Counter[str] = Counter()
    mended = _mended(body, request_class(signal), noted)
    if mended is None:
        return None
    request = raw_class(signal).FromString(mended)
    if plausible(request, signal) < 0.5:
        return None
    skips.update(noted)
    return request


def _mended(raw: bytes, official: Any, skips: Counter[str]) -> bytes | None:
    """Return a message's bytes with invalid UTF-8 replaced, or None where it cannot be parsed even so."""
    lenient, texts = lenient_class(official)
    try:
        message = lenient.FromString(raw)
        replaced = _mend(message, texts)
        mended: bytes = message.SerializeToString()
        official.FromString(mended)
    except DecodeError:
        return None
    if replaced:
        skips["invalid UTF-8 replaced"] += replaced
    return mended


def _mend(message: Any, texts: frozenset[str]) -> int:
    """Replace invalid UTF-8 in every text of a lenient message, in place; return how many texts that were."""
    replaced = 0
    for field, value in message.ListFields():
        if field.message_type is not None:
            repeated = hasattr(value, "add")
            replaced += sum(_mend(item, texts) for item in value) if repeated else _mend(value, texts)
        elif field.full_name in texts:
            if isinstance(value, bytes):
                mended = _text(value)
                replaced += mended != value
                setattr(message, field.name, mended)
            else:
                all_mended = [_text(item) for item in value]
                replaced += sum(new != old for new, old in zip(all_mended, value, strict=True))
                value[:] = all_mended
    return replaced


def _text(raw: bytes) -> bytes:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace").encode("utf-8")
    return raw
