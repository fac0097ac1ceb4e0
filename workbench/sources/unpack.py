"""From files to plain bytes: gzip and zstd undone under caps, recorded streams cut into messages, text into lines.

Decompression is incremental and never hands out more than asked for, so a bomb costs the cap and not the memory. The
codec is told by the first bytes, never by the name.

References
----------
RFC 1952 (gzip), RFC 8878 (zstd); protobuf "length-delimited streams": each message after its length as a varint.
"""

from __future__ import annotations

import codecs
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import zstandard

from workbench.errors import LimitExceeded, SourceError
from workbench.sources.source import HEAD_BYTES, ReadOptions

__all__ = [
    "MAX_EXPANSION",
    "MAX_WINDOW",
    "document",
    "lines",
    "look_ahead",
    "messages",
    "peek",
    "text_document",
    "unpack",
]

MAX_EXPANSION = 250
"""Compressed content that unpacks to more than a body may expand at most this many times; text compresses 3-50 fold."""

MAX_WINDOW = 2**25
"""Largest zstd window accepted, bytes: the memory a frame header may ask for."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLOCK = 65_536


class _Unpacked(io.RawIOBase):
    """The plain bytes of a compressed file, read as they are asked for."""

    def __init__(self, file: BinaryIO, codec: str, path: str, limit: int) -> None:
        self._stream: Any = pa.CompressedInputStream(file, codec)
        self._codec, self._path, self._limit, self._given = codec, path, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (OSError, pa.ArrowException) as error:
            raise SourceError(
                f"{self._path} is damaged {self._codec} data: {error} after {self._given} bytes; get the file anew."
            ) from error
        self._given += len(data)
        if self._given > self._limit:
            raise LimitExceeded(
                f"{self._path} unpacks to more than {self._limit} bytes: intake.max_body_bytes,"
                f" intake.max_stream_bytes and an expansion of {MAX_EXPANSION} bound it; split it, or raise them."
            )
        buffer[: len(data)] = data
        return len(data)


def unpack(file: BinaryIO, path: str, options: ReadOptions) -> BinaryIO:
    """Return the plain content of an open, seekable file, decompressing gzip or zstd as it is read.

    Raises
    ------
    SourceError
        If the zstd window is larger than `MAX_WINDOW`; while reading, if the data is damaged or cut short.
    LimitExceeded
        While reading, if more comes out than the settings allow.
    """
    magic = file.read(18)
    packed = file.seek(0, io.SEEK_END)
    file.seek(0)
    codec = "gzip" if magic.startswith(_GZIP) else "zstd" if magic.startswith(_ZSTD) else ""
    if not codec:
        return file
    if codec == "zstd":
        try:
            window = zstandard.get_frame_parameters(magic).window_size
        except zstandard.ZstdError as error:
            raise SourceError(f"{path} has a broken zstd header: {error}; get the file anew.") from error
        if window > MAX_WINDOW:
            raise SourceError(
                f"{path} asks for a zstd window of {window} bytes: at most {MAX_WINDOW} are allowed; compress it with a"
                " smaller window."
            )
    limit = max(options.max_body_bytes, min(int(options.settings["intake.max_stream_bytes"]), MAX_EXPANSION * packed))
    return io.BufferedReader(_Unpacked(file, codec, path, limit), _BLOCK)


def peek(stream: BinaryIO) -> bytes:
    """Read and return the first `HEAD_BYTES` bytes, fewer only at the end."""
    head = bytearray()
    while len(head) < HEAD_BYTES:
        block = stream.read(HEAD_BYTES - len(head))
        if not block:
            break
        head += block
    return bytes(head)


class _Chained(io.RawIOBase):
    """Bytes read ahead, then the rest of the stream they came from."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: Any = self._head[: len(buffer)]
        if data:
            self._head = self._head[len(data) :]
        else:
            data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def look_ahead(stream: BinaryIO) -> tuple[bytes, BinaryIO]:
    """Return the first `HEAD_BYTES` bytes, and a stream that begins with them again."""
    head = peek(stream)
    return head, io.BufferedReader(_Chained(head, stream), _BLOCK)


def document(stream: BinaryIO, path: str, cap: int) -> bytes:
    """Return everything left in the stream, or raise `LimitExceeded` where that is more than `cap` bytes."""
    parts: list[bytes] = []
    left = cap + 1
    while left > 0:
        block = stream.read(min(left, 2**20))
        if not block:
            return b"".join(parts)
        parts.append(block)
        left -= len(block)
    raise LimitExceeded(
        f"{path} holds more than {cap} bytes, the most for one document: split it, or raise intake.max_body_bytes."
    )


def text_document(stream: BinaryIO, path: str, cap: int, skips: Counter[str]) -> str:
    """Return the whole stream as text: UTF-8, or UTF-16 by its mark; invalid bytes become U+FFFD, counted."""
    data = document(stream, path, cap)
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    return _decode(data, encoding, skips)


def _decode(data: bytes, encoding: str, skips: Counter[str]) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        skips["invalid UTF-8 replaced" if encoding != "utf-16" else "invalid UTF-16 replaced"] += 1
        return data.decode(encoding, "replace")


def lines(stream: BinaryIO, cap: int, skips: Counter[str]) -> Iterator[str]:
    r"""Yield the lines of a text stream without their `\n` or `\r\n`.

    A line of more than `cap` bytes is left out and counted; invalid bytes become U+FFFD, counted by line.
    """
    reader: Any = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream, _BLOCK)
    start = reader.peek(3)[:3]
    encoding = next((name for bom, name in _BOMS if start.startswith(bom)), "utf-8")
    if encoding == "utf-16":
        yield from _utf16_lines(reader, cap, skips)
        return
    first = True
    while True:
        raw = reader.readline(cap + 1)
        if not raw:
            return
        if len(raw) > cap and not raw.endswith(b"\n"):
            skips["line longer than intake.max_body_bytes"] += 1
            while raw and not raw.endswith(b"\n"):
                raw = reader.readline(_BLOCK)
            continue
        yield _decode(raw.rstrip(b"\r\n"), "utf-8-sig" if first else "utf-8", skips)
        first = False


def _utf16_lines(reader: BinaryIO, cap: int, skips: Counter[str]) -> Iterator[str]:
    text = io.TextIOWrapper(reader, encoding="utf-16", errors="replace", newline=None)
    try:
        while line := text.readline(cap + 1):
            if len(line) > cap:
                skips["line longer than intake.max_body_bytes"] += 1
                while line and not line.endswith("\n"):
                    line = text.readline(_BLOCK)
                continue
            if "\ufffd" in line:
                skips["invalid UTF-16 replaced"] += 1
            yield line.rstrip("\r\n")
    finally:
        text.detach()


_MOST_EMPTY = 10_000


def messages(stream: BinaryIO, path: str, cap: int, skips: Counter[str]) -> Iterator[bytes]:
    """Yield the messages of a stream in which each comes after its length as a varint.

    A message of more than `cap` bytes is left out and counted.

    Raises
    ------
    SourceError
        If the stream ends inside a message, a length is not a varint, or too many messages in a row are empty (zeros that
        unpack from almost nothing would keep the reader busy for minutes); everything before was yielded.
    """
    empty = 0
    while True:
        size = _varint(stream, path)
        if size is None:
            return
        empty = empty + 1 if size == 0 else 0
        if empty > _MOST_EMPTY:
            raise SourceError(f"{path} has more than {_MOST_EMPTY:,} empty messages in a row; it is padded or damaged.")
        if size > cap:
            _pass_over(stream, path, size)
            skips["message larger than intake.max_body_bytes"] += 1
            continue
        message = stream.read(size)
        if len(message) != size:
            raise SourceError(
                f"{path} ends inside a message: {len(message)} of {size} bytes are there; it was cut short."
            )
        yield message


def _varint(stream: BinaryIO, path: str) -> int | None:
    size = 0
    for shift in range(0, 64, 7):
        byte = stream.read(1)
        if not byte:
            if shift:
                raise SourceError(f"{path} ends inside the length of a message; it was cut short.")
            return None
        size |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return size
    raise SourceError(
        f"{path} has a message length of more than 9 bytes; it is no stream of length-delimited messages."
    )


def _pass_over(stream: BinaryIO, path: str, size: int) -> None:
    left = size
    while left > 0:
        block = stream.read(min(left, 2**20))
        if not block:
            raise SourceError(
                f"{path} ends inside a message: {size - left} of {size} bytes are there; it was cut short."
            )
        left -= len(block)
