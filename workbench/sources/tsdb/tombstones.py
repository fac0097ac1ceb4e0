"""Tombstones: what was deleted and not yet compacted away, as intervals of time of a series.

References
----------
Prometheus, `tsdb/docs/format/tombstones.md`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import SourceError
from workbench.sources.tsdb.assemble import Ragged

__all__ = ["Stones", "bury", "read_tombstones"]

_Ints = npt.NDArray[np.int64]
_HEAD = bytes.fromhex("0130ba3001")

Stones = npt.NDArray[np.int64]
"""Shape (k, 3): reference of the series, first and last deleted ms, both included."""


def read_tombstones(path: Path) -> Stones:
    """Return the tombstones of a block, none where there is no file.

    Raises
    ------
    SourceError
        If the file is damaged: then it is not known what was deleted.
    """
    from workbench.codecs.crc32c import checksum

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return np.empty((0, 3), np.int64)
    body = data[5:-4]
    if len(data) < 9 or data[:5] != _HEAD or checksum(body) != int.from_bytes(data[-4:], "big"):
        raise SourceError(
            f"tombstones of block {path.parent.name} are damaged, so what was deleted is not known: get the file anew, or"
            " remove it to read deleted samples too."
        )
    return _stones(body, path)


def _stones(body: bytes, path: Path) -> Stones:
    from workbench.codecs.xor_kernels import CUT, uvarint, varint

    data = np.frombuffer(body, np.uint8)
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(data):
        ref, at = uvarint(data, at, len(data))
        low, at = varint(data, at, len(data)) if at != CUT else (0, CUT)
        high, at = varint(data, at, len(data)) if at != CUT else (0, CUT)
        if at == CUT:
            raise SourceError(
                f"tombstones of block {path.parent.name} end inside an entry, so what was deleted is not known: get the"
                " file anew."
            )
        found.append((int(np.uint64(ref).view(np.int64)), int(low), int(high)))
    return np.array(found, np.int64).reshape(-1, 3)


def bury(given: Ragged, refs: _Ints, stones: Stones) -> Ragged:
    """Return samples without those that were deleted.

    Parameters
    ----------
    given : Ragged
        Its times need not rise.
    refs : ndarray of int64, shape (r,)
        What tombstones call each of its series.
    stones : ndarray of int64, shape (k, 3)
    """
    order = np.argsort(refs, kind="stable")
    stones = stones[np.isin(stones[:, 0], refs)]
    if not len(stones):
        return given
    row = order[np.searchsorted(refs[order], stones[:, 0])]
    keep = np.ones(len(given.time_ms), bool)
    for series, low, high in zip(row.tolist(), stones[:, 1].tolist(), stones[:, 2].tolist(), strict=True):
        own = slice(given.offsets[series], given.offsets[series + 1])
        keep[own] &= (given.time_ms[own] < low) | (given.time_ms[own] > high)
    return given.keep(keep)
