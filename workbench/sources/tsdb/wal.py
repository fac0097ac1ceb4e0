"""A log of Prometheus: segments in pages of 32 KiB, records in fragments, each fragment with a checksum.

What comes behind the first damaged record is dropped, as Prometheus drops it when it repairs its log; how many bytes that
are is said.

References
----------
Prometheus, `tsdb/docs/format/wal.md`, `tsdb/wlog/reader.go`. Snappy: google/snappy, `format_description.txt`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from workbench.sources.unpack import MAX_WINDOW

__all__ = ["Log", "is_log", "snappy_size", "unsnap"]

_SNAPPY, _ZSTD = 8, 16
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MOST_RECORD = 2**28
_WHY = {
    1: "a record is cut short",
    2: "a checksum is wrong",
    3: "there is no record",
    4: "a record lacks its other part",
    5: "a record does not unpack",
}


def is_log(folder: Path) -> bool:
    """Return whether a folder holds segments of a log, or a checkpoint of one, and nothing else."""
    if not folder.is_dir():
        return False
    names = [path.name for path in folder.iterdir()]
    own = [name for name in names if _is_segment(name) or name.startswith("checkpoint.")]
    return bool(own) and len(own) == len(names) and any(_is_segment(n) or (folder / n).is_dir() for n in own)


def _is_segment(name: str) -> bool:
    return len(name) >= 8 and name.isascii() and name.isdigit()


def snappy_size(data: bytes) -> int:
    """Return how many bytes a snappy block claims to unpack to; -1 where it says none, or more than it can hold."""
    size = 0
    for i, byte in enumerate(data[:5]):
        size |= (byte & 127) << 7 * i
        if byte < 128:
            return size if size <= 22 * (len(data) - i - 1) else -1
    return -1


def unsnap(data: bytes, most: int) -> bytes | None:
    """Return what a snappy block unpacks to; None where it is damaged, or claims more than `most` bytes."""
    size = snappy_size(data)
    if not 0 <= size <= most:
        return None
    try:
        return bytes(pa.Codec("snappy").decompress(data, size, asbytes=True))
    except (OSError, pa.ArrowException):
        return None


def _unzstd(data: bytes) -> bytes | None:
    try:
        said = zstandard.get_frame_parameters(data)
        if said.window_size > MAX_WINDOW or not 0 <= said.content_size <= _MOST_RECORD:
            return None
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_RECORD)
    except zstandard.ZstdError:
        return None


@dataclass
class Log:
    """A log: a folder of segments, perhaps with a checkpoint that stands for the older ones.

    Parameters
    ----------
    folder : Path
    name : str
        How messages call it.
    """

    folder: Path
    name: str

    def records(self, skips: Counter[str]) -> Iterator[list[bytes]]:
        """Yield the records of each file in order; the first damage is counted in `skips`, and ends its part."""
        checkpoint, number = self._checkpoint()
        if checkpoint is not None:
            yield from self._files(_segments(checkpoint, -1), f"{self.name}/{checkpoint.name}", skips)
        yield from self._files(_segments(self.folder, number), self.name, skips)

    def _checkpoint(self) -> tuple[Path | None, int]:
        """Return the newest checkpoint, and the last segment it stands for, -1 where there is none."""
        known = [
            (int(path.name[11:]), path)
            for path in self.folder.glob("checkpoint.*")
            if path.name[11:].isascii() and path.name[11:].isdigit() and path.is_dir()
        ]
        return max(known, default=(-1, None))[::-1]

    def _files(self, paths: list[Path], name: str, skips: Counter[str]) -> Iterator[list[bytes]]:
        before = None
        for i, path in enumerate(paths):
            if before is not None and int(path.name) != before + 1:
                skips[f"{name} lacks the segments between {before} and {int(path.name)}"] += 1
            before = int(path.name)
            data = path.read_bytes()
            found, at, why = _segment(data)
            yield found
            if why:
                left = len(data) - at + sum(other.stat().st_size for other in paths[i + 1 :])
                skips[
                    f"{name} is damaged at byte {at} of segment {path.name}, where {_WHY[why]}: the {left} bytes from"
                    " there on are dropped, as Prometheus does"
                ] += 1
                return


def _segments(folder: Path, behind: int) -> list[Path]:
    found = [path for path in folder.iterdir() if _is_segment(path.name) and path.is_file() and int(path.name) > behind]
    return sorted(found, key=lambda path: int(path.name))


def _segment(data: bytes) -> tuple[list[bytes], int, int]:
    """Return the records of one segment, the byte behind the last whole one, and what is wrong there, 0 for nothing."""
    from workbench.codecs.crc32c import TABLES
    from workbench.sources.tsdb.kernels import scan_fragments

    found: list[bytes] = []
    block = np.empty((4096, 3), np.int64)
    array, at, sound = np.frombuffer(data, np.uint8), 0, 0
    parts: list[bytes] = []
    while True:
        n, at, why = scan_fragments(array, at, len(data), TABLES, block)
        for kind, low, high in block[:n].tolist():
            if (kind & 7 in (_FULL, _FIRST)) == bool(parts):
                return found, sound, 4
            parts.append(data[low:high])
            if kind & 7 in (_FULL, _LAST):
                record = _unpacked(b"".join(parts), kind)
                if record is None:
                    return found, sound, 5
                found.append(record)
                parts, sound = [], high
        if why or n < len(block):
            return found, sound if why or parts else at, why or (1 if parts else 0)


def _unpacked(record: bytes, kind: int) -> bytes | None:
    if kind & _SNAPPY:
        return unsnap(record, _MOST_RECORD)
    if kind & _ZSTD:
        return _unzstd(record)
    return record
