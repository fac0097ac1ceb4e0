"""Recorded streams: protobuf messages, each after its length as a varint, in one zstd stream."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard


def encode_varint(number: int) -> bytes:
    """Return a non-negative integer as a protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_delimited(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the messages of an uncompressed delimited stream.

    Raises
    ------
    ValueError
        The stream ends inside a length or inside a message.
    """
    while True:
        size, shift = 0, 0
        while True:
            byte = stream.read(1)
            if not byte:
                if shift:
                    raise ValueError("the stream ends inside a message length")
                return
            size |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                break
            shift += 7
        message = stream.read(size)
        if len(message) != size:
            raise ValueError(f"the stream ends inside a message: {len(message)} of {size} bytes")
        yield message


def read_recording(path: Path) -> Iterator[bytes]:
    """Yield the messages of one recorded stream, decompressed."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        yield from read_delimited(io.BufferedReader(reader))


def write_recording(path: Path, messages: Iterable[bytes]) -> int:
    """Write messages as one zstd stream and return its size in bytes.

    Level 19 with a long window: consecutive exports repeat most of their strings, often megabytes apart.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level(19, window_log=25, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with path.open("wb") as file, compressor.stream_writer(file) as writer:
        for message in messages:
            writer.write(encode_varint(len(message)) + message)
    return path.stat().st_size
