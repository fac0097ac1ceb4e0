"""The cache of remote bytes on the local disk: aligned blocks, each a file with its own checksum, under one bound.

```
[WKB1][digest of place, path and number 16][size of the whole object 8][bytes in the block 4][crc32 4][the bytes]
```

Any number of processes share it. One at a time enters a block in the account and then writes it and renames it into
place, so the bound holds whoever is killed; the blocks used longest ago go first. A block that is damaged, or not the one that
its name says, is removed and never served.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["BLOCK", "BlockCache"]

BLOCK = 256 * 1024
"""Bytes of a block: what a cold store sends in the time it takes to begin an answer."""

_HEAD = struct.Struct("<4s16sQII")
_MAGIC = b"WKB1"
_KEPT = 0.9
_FRESH_NS = 60 * 10**9


class BlockCache:
    """Blocks of remote objects in a local folder.

    Parameters
    ----------
    folder : Path
        Made when first needed; where that fails, nothing is cached and nobody is disturbed.
    limit : int
        Most bytes on the disk; less than a block turns the cache off.

    Attributes
    ----------
    damaged : int
        Blocks this process found damaged, and removed.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit if limit >= BLOCK + _HEAD.size else 0
        self.damaged = 0

    def _place(self, key: str, number: int) -> tuple[Path, bytes]:
        digest = hashlib.blake2b(f"{number} {key}".encode(), digest_size=16).digest()
        name = digest.hex()
        return self.folder / name[:2] / name[2:], digest

    def get(self, key: str, number: int) -> tuple[bytes, int] | None:
        """Return a block and the size of its whole object, None when it is not here (or was damaged)."""
        if not self.limit:
            return None
        place, digest = self._place(key, number)
        try:
            raw = place.read_bytes()
        except OSError:
            return None
        data = raw[_HEAD.size :]
        if len(raw) >= _HEAD.size:
            magic, whose, total, length, crc32 = _HEAD.unpack_from(raw)
            head = zlib.crc32(raw[: _HEAD.size - 4])
            if (magic, whose, length) == (_MAGIC, digest, len(data)) and zlib.crc32(data, head) == crc32:
                self._touch(place)
                return data, total
        self.damaged += 1
        self._remove(place)
        return None

    def put(self, key: str, number: int, data: bytes, total: int) -> None:
        """Keep a block; where the disk refuses, it is not kept."""
        size = _HEAD.size + len(data)
        if size > self.limit:
            return
        place, digest = self._place(key, number)
        head = _HEAD.pack(_MAGIC, digest, total, len(data), 0)[:-4]
        temporary = place.with_name(f"{uuid.uuid4().hex}.new")
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._account() as account:
                self._make_room(account, size)
                with temporary.open("wb") as stream:
                    stream.write(head + struct.pack("<I", zlib.crc32(data, zlib.crc32(head))))
                    stream.write(data)
                temporary.replace(place)
        except OSError:  # full or read-only: the bytes are served all the same
            self._remove(temporary)

    def bytes_on_disk(self) -> int:
        """Return the bytes of all blocks."""
        try:
            with self._account():
                return sum(size for _, size, _ in self._blocks())
        except OSError:
            return 0

    def _touch(self, place: Path) -> None:
        try:
            if time.time_ns() - place.stat().st_mtime_ns > _FRESH_NS:
                os.utime(place)
        except OSError:
            return

    def _remove(self, place: Path) -> None:
        try:
            place.unlink(missing_ok=True)
        except OSError:
            return

    def _blocks(self) -> Iterator[tuple[int, int, Path]]:
        """Yield when each block was last used, its bytes, and its place."""
        for shelf in self.folder.glob("??"):
            for place in shelf.iterdir():
                try:
                    about = place.stat()
                except FileNotFoundError:
                    continue
                yield about.st_mtime_ns, about.st_size, place

    def _make_room(self, account: TextIO, size: int) -> None:
        """Add to the account; when it would pass the limit, count what is there and remove the oldest blocks."""
        text = account.read()
        used = int(text) if text.strip().isdigit() else self.limit
        if used + size > self.limit:
            blocks = sorted(self._blocks())
            used = sum(block[1] for block in blocks)
            for _, held, place in blocks:
                if used + size <= self.limit * _KEPT or not used:
                    break
                place.unlink(missing_ok=True)
                used -= held
        account.seek(0)
        account.truncate()
        account.write(str(used + size))
        account.flush()

    @contextmanager
    def _account(self) -> Iterator[TextIO]:
        """Give the file with the bytes in use, which one process at a time may change."""
        with (self.folder / "used").open("a+", encoding="ascii") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            yield stream
