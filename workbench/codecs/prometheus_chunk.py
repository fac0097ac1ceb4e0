"""The XOR chunks of Prometheus, read and written bit for bit as its own code does.

A chunk is `[number of samples 2, big endian][first time, varint][first value 8][second time less the first, uvarint]`
and a stream of bits: the second value, then time and value of each further sample. Times are in milliseconds; chunks of
about 120 samples lie in the segment files of a block (`chunks/000001`) with encoding 1.

References
----------
Prometheus, `tsdb/chunkenc/xor.go` and `tsdb/docs/bstream.md`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.codecs import varint
from workbench.codecs.gorilla import bits_of, bytes_of

__all__ = ["MOST", "read_xor_chunk", "write_xor_chunk"]

MOST = 2**16 - 1
"""Most samples of one chunk."""

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
