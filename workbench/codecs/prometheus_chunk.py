"""The XOR chunks of Prometheus, read and written bit for bit as its own code does.

A chunk is `[number of samples 2, big endian][first time, varint][first value 8][second time less the first, uvarint]`
and a stream of bits: the second value, then time and value of each further sample. Times are in milliseconds; chunks of
about 120 samples lie in the segment files of a block (`chunks/000001`) with encoding 1.

References
----------
Prometheus, `tsdb/chunkenc/xor.go` and `tsdb/docs/bstream.md`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.codecs import varint
from workbench.codecs.gorilla import bits_of, bytes_of

__all__ = [
    "MOST",
    "PADDING",
    "XorChunks",
    "padded",
    "read_xor_chunk",
    "read_xor_chunks",
    "room",
    "words_of",
    "write_xor_chunk",
]

MOST = 2**16 - 1
"""Most samples of one chunk."""

PADDING = 32
"""How many bytes `read_xor_chunks` may look at behind the last chunk."""

_LONG = 2**64


def read_xor_chunk(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the samples of one chunk.

    Parameters
    ----------
    data : bytes
        The chunk without the length, encoding and checksum that stand around it in a segment file.

    Returns
    -------
    time_ms : ndarray of int64, shape (n,)
    value : ndarray of float64, shape (n,)
        Bit for bit, stale markers included.

    Raises
    ------
    ValueError
        If the bytes are not exactly one chunk.
    """
    from workbench.codecs.xor_kernels import CUT, read

    n, at, step = int.from_bytes(data[:2], "big"), 2, 0
    times, bits = np.empty(n, np.int64), np.empty(n, np.uint64)
    if n:
        zigzag, at = _uvarint(data, at)
        times[0] = (zigzag >> 1) ^ -(zigzag & 1)
        bits[0], at = int.from_bytes(data[at : at + 8], "big"), at + 8
    if n > 1:
        delta, at = _uvarint(data, at)
        step = delta - _LONG if delta >> 63 else delta
        times[1:2] = times[:1] + np.int64(step)
    words, end = bits_of(data, min(at, len(data)))
    used = read(words, end, step, times, bits)
    if len(data) < max(at, 2) or used == CUT or end - used > 8 or (used < end and data[-1] & ((1 << (end - used)) - 1)):
        raise ValueError(f"these {len(data)} bytes are not an XOR chunk of {n} samples")
    return times, bits.view(np.float64)


class XorChunks(NamedTuple):
    """The samples of k chunks: chunk i owns samples `offsets[i]` to `offsets[i + 1]`, none when it is not sound."""

    offsets: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    sound: npt.NDArray[np.bool_]


def room(size: int) -> npt.NDArray[np.uint8]:
    """Return an array for so many bytes, with zeros behind them: a whole number of words, as `read_xor_chunks` needs it."""
    out = np.empty(-(-(size + PADDING) // 8) * 8, np.uint8)
    out[size:] = 0
    return out


def padded(data: bytes) -> npt.NDArray[np.uint8]:
    """Return bytes in an array as `room` makes it."""
    out = room(len(data))
    out[: len(data)] = np.frombuffer(data, np.uint8)
    return out


def words_of(
    data: npt.NDArray[np.uint8], begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Return the bytes in which chunks lie as words, for the loops that look at no bounds.

    Raises
    ------
    ValueError
        If a chunk does not lie within the array with the padding behind it.
    """
    if len(data) % 8 or (len(begin) and (begin.min() < 0 or end.max() > len(data) - PADDING)):
        raise ValueError(f"chunks do not lie within {len(data)} bytes of whole words, {PADDING} of them padding")
    return data.view(">u8").astype(np.uint64)


def read_xor_chunks(data: npt.NDArray[np.uint8], begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> XorChunks:
    """Return the samples of many chunks that lie in one array, about 15 ns each.

    Parameters
    ----------
    data : ndarray of uint8, shape (8 w,)
        At least `PADDING` bytes stand behind the last chunk (see `padded`).
    begin, end : ndarray of int64, shape (k,)
        Where each chunk lies, without the length, encoding and checksum around it.

    Returns
    -------
    XorChunks
        A chunk that is cut short, or says what no writer says, is not sound and has no samples; what stands behind the
        last sample of a chunk is not looked at.

    Raises
    ------
    ValueError
        If a chunk does not lie within the array.
    """
    from workbench.codecs.xor_kernels import read_many

    words = words_of(data, begin, end)
    room = end - begin
    sound = room >= 2
    at = np.where(sound, begin, 0)
    count = np.where(sound, data[at].astype(np.int64) << 8 | data[at + 1], 0)
    sound &= count <= np.maximum(8 * (room - 10), 0)  # a sample takes two bits, the first eleven bytes with its count
    offsets = np.concatenate([[0], np.cumsum(np.where(sound, count, 0))]).astype(np.int64)
    times, bits = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.uint64)
    read_many(data, words, begin, end, offsets, times, bits, sound)
    if not sound.all():
        counts = np.diff(offsets)
        keep = np.repeat(sound, counts)
        times, bits = times[keep], bits[keep]
        offsets = np.concatenate([[0], np.cumsum(np.where(sound, counts, 0))]).astype(np.int64)
    return XorChunks(offsets, times, bits.view(np.float64), sound)


def write_xor_chunk(time_ms: npt.NDArray[np.int64], value: npt.NDArray[np.float64]) -> bytes:
    """Return the chunk Prometheus would write for some samples.

    Parameters
    ----------
    time_ms : ndarray of int64, shape (n,), n <= 65535
    value : ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        If there are more samples than a chunk can count, or more of one than of the other.
    """
    from workbench.codecs.xor_kernels import write

    times = np.ascontiguousarray(time_ms, np.int64)
    bits = np.ascontiguousarray(value, np.float64).view(np.uint64)
    n = len(bits)
    if n > MOST or len(times) != n:
        raise ValueError(f"{len(times)} times and {n} values: an XOR chunk takes as many of both, at most {MOST}")
    out = n.to_bytes(2, "big")
    if n:
        first = int(times[0])
        out += varint.write(2 * first if first >= 0 else -2 * first - 1) + int(bits[0]).to_bytes(8, "big")
    if n > 1:
        out += varint.write((int(times[1]) - int(times[0])) % _LONG)
    words = np.zeros(3 * n + 2, np.uint64)
    size, last = write(times, bits, words)
    if n == 1 or (size % 8 == 0 and last % 8 == 0):
        size += 1  # Prometheus begins a byte when it has filled one by whole bytes, and leaves it there
    return out + bytes_of(words, size)


def _uvarint(data: bytes, at: int) -> tuple[int, int]:
    number, at = varint.read(data, at, 10)
    if number >= _LONG:
        raise ValueError("a number in an XOR chunk takes more than 64 bits")
    return number, at
