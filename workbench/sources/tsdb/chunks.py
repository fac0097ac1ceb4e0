"""The chunks of a block: found in the segment files, checked, and decoded many at a time.

References
----------
Prometheus, `tsdb/docs/format/chunks.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.codecs.prometheus_chunk import XorChunks, read_xor_chunks, room

__all__ = ["ENCODINGS", "Found", "Segments", "decode"]

_Ints = npt.NDArray[np.int64]

ENCODINGS = {1: "float", 2: "histogram", 3: "float histogram"}
"""What the encodings of chunks hold, as far as they are known here."""

_HEAD = bytes.fromhex("85bd40dd01")
_CUT, _WRONG, _TWICE, _UNREADABLE = -1, -2, -3, -4
_WHY = {
    _CUT: "cut short",
    _WRONG: "with a wrong checksum",
    _TWICE: "that another entry of the index names too",
    _UNREADABLE: "that does not decode",
}


@dataclass(frozen=True)
class Found:
    """Some chunks in memory.

    Attributes
    ----------
    data : ndarray of uint8
        As `room` makes it.
    begin, end, encoding : ndarray of int64, shape (k,)
        An encoding below 0 says why a chunk cannot be used.
    """

    data: npt.NDArray[np.uint8]
    begin: _Ints
    end: _Ints
    encoding: _Ints


class Segments:
    """The segment files of one block; a missing or strange one has no sound chunk.

    Parameters
    ----------
    folder : Path
        `chunks` of the block.
    refs : ndarray of int64, shape (c,)
        All chunks that the index names.
    """

    def __init__(self, folder: Path, refs: _Ints) -> None:
        self.paths = sorted(path for path in folder.glob("*") if path.name.isdigit()) if folder.is_dir() else []
        sizes = [path.stat().st_size if _is_segment(path) else 0 for path in self.paths]
        self._sizes = np.array(sizes, np.int64)
        ordered, first = np.unique(refs, return_index=True)
        self._twice = np.ones(len(refs), bool)
        self._twice[first] = False
        self._size = self._room(ordered)[np.searchsorted(ordered, refs)] if len(refs) else np.empty(0, np.int64)

    def _room(self, ordered: _Ints) -> _Ints:
        """Return how many bytes lie between each chunk and the next of the same file, or its end; at least 0."""
        number, at = ordered >> 32, ordered & 0xFFFFFFFF
        known = (number >= 0) & (number < len(self._sizes))
        end = np.zeros(len(ordered), np.int64)
        end[known] = self._sizes[number[known]]
        end[:-1] = np.where(number[1:] == number[:-1], np.minimum(at[1:], end[:-1]), end[:-1])
        return np.maximum(end - at, 0)

    @property
    def size(self) -> _Ints:
        """How many bytes each chunk may take, int64 of shape (c,)."""
        return self._size

    def load(self, refs: _Ints, which: slice) -> Found:
        """Return some chunks of those named at first, read from the files they lie in in one stretch each."""
        refs, size = refs[which], self._size[which]
        number, at = refs >> 32, refs & 0xFFFFFFFF
        begin, end = np.zeros(len(refs), np.int64), np.zeros(len(refs), np.int64)
        encoding = np.full(len(refs), _CUT, np.int64)
        stretches = []
        for segment in np.unique(number[size > 0]).tolist():
            here = np.flatnonzero((number == segment) & (size > 0))
            stretches.append((segment, here, int(at[here].min()), int((at[here] + size[here]).max())))
        data, held = room(sum(high - low for *_, low, high in stretches)), 0
        for segment, here, low, high in stretches:
            length = _fill(self.paths[segment], low, data[held : held + high - low])
            begin[here], end[here], encoding[here] = _frames(data, held + at[here] - low, held + length)
            held += length
        encoding[self._twice[which]] = _TWICE
        return Found(data, begin, end, encoding)


def _is_segment(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == _HEAD


def _fill(path: Path, low: int, out: npt.NDArray[np.uint8]) -> int:
    """Read a stretch of a file into an array; return how much there was."""
    with path.open("rb", buffering=0) as file:
        file.seek(low)
        room, done = out.data, 0
        while done < len(out) and (more := file.readinto(room[done:])):
            done += more
        return done


def _frames(data: npt.NDArray[np.uint8], at: _Ints, end: int) -> tuple[_Ints, _Ints, _Ints]:
    from workbench.codecs.crc32c import TABLES
    from workbench.sources.tsdb.kernels import frame_chunks

    begin, stop, encoding = (np.empty(len(at), np.int64) for _ in range(3))
    frame_chunks(data, at, end, TABLES, begin, stop, encoding)
    return begin, stop, encoding


def decode(found: Found, lost: Callable[[int, str], None]) -> tuple[npt.NDArray[np.bool_], XorChunks]:
    """Return the samples of the float chunks; of all others none.

    Parameters
    ----------
    found : Found
    lost : called with number and reason of every chunk that cannot be used

    Returns
    -------
    histogram : ndarray of bool, shape (k,)
        Which are sound chunks of histograms.
    samples : XorChunks
        Of all k chunks.
    """
    is_float = found.encoding == 1
    zero = np.int64(0)
    samples = read_xor_chunks(
        found.data,
        np.where(is_float, found.begin, zero),
        np.where(is_float, found.end, zero),
    )
    encoding = np.where(is_float & ~samples.sound, _UNREADABLE, found.encoding)
    for i in np.flatnonzero(~np.isin(encoding, list(ENCODINGS))).tolist():
        lost(i, _WHY.get(int(encoding[i]), f"of encoding {encoding[i]}, which is not known here,"))
    return (encoding == 2) | (encoding == 3), samples
