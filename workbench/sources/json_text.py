"""JSON that may be hostile: one document, or one value a line; nothing it holds raises anything but `SourceError`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from workbench.errors import SourceError
from workbench.sources.source import HEAD_BYTES, ReadOptions
from workbench.sources.unpack import lines, look_ahead, text_document

__all__ = ["first_object", "head_text", "is_lines", "json_document", "json_lines", "json_values", "parse_json"]

_BROKEN = (ValueError, RecursionError)
_TRIED = 20


def parse_json(text: str) -> Any:
    """Return a JSON value, or raise `ValueError` also where nesting is too deep or a number too long."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def head_text(head: bytes) -> str:
    """Return the first bytes of some content as text, for recognising it."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace").lstrip()
    return head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def first_object(head: bytes) -> dict[str, Any] | None:
    """Return the first JSON object at the top of some content or of its outermost list, if `head` shows it whole.

    Where the first line is broken, one of the next lines may hold it.
    """
    text = head_text(head)
    if text.startswith("["):
        text = text[1:].lstrip()
    if not text.startswith("{"):
        return None
    for candidate in (text, *text.split("\n")[1:_TRIED]):
        found = _object(candidate)
        if found is not None:
            return found
    return None


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except _BROKEN:
        return None
    return found if isinstance(found, dict) else None


def is_lines(head: bytes) -> bool:
    """Return whether content is one JSON value a line, not one document: some line is an object of its own."""
    text = head_text(head)
    shown = [line for line in text.split("\n")[:_TRIED] if line.strip()]
    if len(shown) < 2:
        return len(head) >= HEAD_BYTES and text.startswith("{") and "\n" not in text
    for line in shown:
        try:
            if line.startswith("{") and json.loads(line):
                return True
        except _BROKEN:
            continue
    return False


def json_document(stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str]) -> Any:
    """Return the one JSON value of a stream, or raise `SourceError` that says what is wrong and where."""
    text = text_document(stream, path, options.max_body_bytes, skips)
    try:
        return parse_json(text.lstrip("\ufeff"))
    except ValueError as error:
        raise SourceError(f"{path} is not valid JSON: {_short(error)}; repair it or get it anew.") from error


def _short(error: ValueError) -> str:
    return str(error).replace("\n", " ")[:200]


def json_lines(stream: BinaryIO, options: ReadOptions, skips: Counter[str]) -> Iterator[Any]:
    """Yield the value of every line that is not blank; a line that is not JSON is counted."""
    for line in lines(stream, options.max_body_bytes, skips):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError:
                skips["line that is not valid JSON"] += 1


def json_values(stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str]) -> Iterator[Any]:
    """Yield the values of a stream: every line of JSON lines, every item of a list, or the one document.

    Raises
    ------
    SourceError
        If the one document is not JSON.
    """
    head, stream = look_ahead(stream)
    if is_lines(head):
        yield from json_lines(stream, options, skips)
        return
    value = json_document(stream, path, options, skips)
    if isinstance(value, list):
        yield from value
    else:
        yield value
