"""CRC-32C (Castagnoli), eight bytes at a time, compiled. Import this inside the function that needs it.

References
----------
RFC 3720, appendix B.4; M. Kounavis and F. Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC
Generation", IEEE Transactions on Computers 57(11), 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled

__all__ = ["TABLES", "checksum", "crc32c"]


def _tables() -> Array:
    """Return the eight look-up tables, uint32 of shape (8, 256)."""
    tables = np.zeros((8, 256), np.uint32)
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = np.where(row & 1, (row >> 1) ^ np.uint32(0x82F63B78), row >> 1).astype(np.uint32)
    tables[0] = row
    for k in range(1, 8):
        tables[k] = (tables[k - 1] >> 8) ^ row[tables[k - 1] & 0xFF]
    return tables


TABLES = _tables()
"""What `crc32c` looks up, uint32 of shape (8, 256)."""


@compiled
def crc32c(data: Array, at: Any, end: Any, tables: Array) -> Any:
    """Return the checksum of the bytes from `at` to `end`.

    Parameters
    ----------
    data : ndarray of uint8
        Of at least `end` bytes.
    at, end : int, 0 <= at <= end
    tables : ndarray of uint32, shape (8, 256)
        `TABLES`.
    """
    crc = np.uint32(0xFFFFFFFF)
    while end - at >= 8:
        low = crc ^ (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        )
        crc = (
            tables[7, low & np.uint32(255)]
            ^ tables[6, (low >> np.uint32(8)) & np.uint32(255)]
            ^ tables[5, (low >> np.uint32(16)) & np.uint32(255)]
            ^ tables[4, low >> np.uint32(24)]
            ^ tables[3, data[at + 4]]
            ^ tables[2, data[at + 5]]
            ^ tables[1, data[at + 6]]
            ^ tables[0, data[at + 7]]
        )
        at += 8
    while at < end:
        crc = tables[0, (crc ^ np.uint32(data[at])) & np.uint32(255)] ^ (crc >> np.uint32(8))
        at += 1
    return crc ^ np.uint32(0xFFFFFFFF)


def checksum(data: bytes) -> int:
    """Return the checksum of some bytes."""
    return int(crc32c(np.frombuffer(data, np.uint8), 0, len(data), TABLES))
