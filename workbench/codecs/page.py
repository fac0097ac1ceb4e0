"""One pco page without a file around it: the length and the kind of number are known, so 15 bytes of head are saved.

Somewhere before a page stands a mark byte of the caller's, whose high bit is set when the page was written by a pco of
another format version than 4.1; such a page begins with the length and the bytes of that version's header.

References
----------
M. Loncaric, "Pcodec: better compression for numerical sequences", arXiv:2502.06112; the wrapped format of pco.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, PagingSpec, wrapped

from workbench.codecs.codec import Array, distinct

__all__ = ["FOREIGN", "LONGEST", "SLOWER", "Page", "pack", "unpack"]

LONGEST = 2**24 - 1
"""Most numbers pco takes in one page."""

FOREIGN = 0x80
"""The bit of the mark that says a header stands before the page."""

_KNOWN = b"\x04\x01"
_TYPES = {
    np.dtype(np.float64): "f64",
    np.dtype(np.int64): "i64",
    np.dtype(np.int32): "i32",
    np.dtype(np.int16): "i16",
    np.dtype(np.int8): "i8",
}
_DELTAS = {
    "auto": DeltaSpec.auto(),
    "none": DeltaSpec.no_op(),
    "first": DeltaSpec.try_consecutive(1),
    "second": DeltaSpec.try_consecutive(2),
    "third": DeltaSpec.try_consecutive(3),
    "lookback": DeltaSpec.try_lookback(),
}
SLOWER = 1.06
"""What takes longer to unpack must be this much smaller: half the time is worth more than a few bytes."""


@cache
def _config(delta: str, level: int) -> Any:
    paging = PagingSpec.equal_pages_up_to(LONGEST)
    return ChunkConfig(compression_level=level, delta_spec=_DELTAS[delta], paging_spec=paging, enable_8_bit=True)


@cache
def _writer() -> tuple[Any, bytes]:
    writer = wrapped.FileCompressor()
    return writer, bytes(writer.write_header())


@cache
def _reader(header: bytes) -> Any:
    return wrapped.FileDecompressor.new(header)[0]


def pack(array: Array, deltas: Sequence[str], level: int = 8) -> tuple[int, bytes]:
    """Return `FOREIGN` or 0 for the mark, and the page of an array, the smallest over some ways to take differences.

    Parameters
    ----------
    array : ndarray of float64, int64, int32, int16 or int8, shape (n,), 1 <= n <= LONGEST, contiguous
    deltas : sequence of str
        Any of "auto" (pco decides), "none", "first", "second", "third" (order), "lookback".
    level : int
        Effort of pco, 0 to 12.
    """
    writer, header = _writer()
    best, least = b"", float("inf")
    for delta in deltas:
        chunk = writer.chunk_compressor(array, _config(delta, level))
        body: bytes = chunk.write_meta() + chunk.write_page(0)
        weight = len(body) * (SLOWER if delta == "lookback" else 1.0)
        if weight < least:
            best, least = body, weight
    return (0, best) if header == _KNOWN else (FOREIGN, bytes((len(header),)) + header + best)


def unpack(mark: int, data: bytes, at: int, out: Array) -> None:
    """Fill `out` from the page that takes the rest of `data` from byte `at` on.

    Raises
    ------
    ValueError
        If the bytes are not one page of exactly that many numbers of that kind.
    """
    header = _KNOWN
    if mark & FOREIGN:
        length = data[at] if at < len(data) else 0
        header, at = data[at + 1 : at + 1 + length], at + 1 + length
    try:
        chunk, used = _reader(header).chunk_decompressor(data[at:], _TYPES[out.dtype])
        progress, read = chunk.read_page_into(data[at + used :], len(out), out)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"not a pco page of {len(out)} {out.dtype}: {error}") from error
    if at + used + read != len(data) or progress.n_processed != len(out):
        raise ValueError(f"a pco page does not hold the {len(out)} values expected")


@dataclass(frozen=True)
class Page:
    """`[mark 1][pco page of float64]`.

    Attributes
    ----------
    effort : {"best", "fast"}
        How much is tried on writing.
    """

    effort: str = "best"

    id: ClassVar[int] = 12
    name: ClassVar[str] = "page"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the page, or None when the array is too long for one."""
        if len(array) > LONGEST:
            return None
        if self.effort == "fast":
            mark, body = pack(array, ("first",), 4)
        else:
            repeats = distinct(array) * 10 <= len(array) * 9
            mark, body = pack(array, ("none", "first", "lookback") if repeats else ("none", "first"))
        return bytes((mark,)) + body

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if data[:1] not in (b"\x00", b"\x80"):
            raise ValueError("a page of floats begins with a broken mark")
        unpack(data[0], data, 1, out)
