"""Where the files of a tier lie: this folder, or an object store that answers ranged reads.

A place knows names and bytes, nothing of segments. Files in it never change once they are there, so whatever was read
stays true.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.crash import reach

__all__ = ["Folder", "Gone", "Place", "concatenated", "fsync", "inside", "joined", "make_folder"]

_Ints = npt.NDArray[np.int64]
_OPEN = 64
_GAP = 8192


class Gone(Exception):
    """A file named by an older snapshot has been removed since: the reader takes a newer one and reads again."""


class Place(Protocol):
    """Files by name (`/` between folders), written once and read by ranges."""

    url: str

    def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes at each (offset, length); raises `Gone` without the file and `StoreError` otherwise."""
        ...

    def read_joined(self, path: str, offset: _Ints, length: _Ints) -> tuple[npt.NDArray[np.uint8], _Ints]:
        """Return one array of bytes and where each (offset, length) begins in it, -1 where the file ends before."""
        ...

    def open(self, path: str) -> Any:
        """Return a seekable binary file that pyarrow reads; raises as `read` does."""
        ...

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None when there is none."""
        ...

    def put(self, path: str, data: bytes) -> bool:
        """Write a whole file durably unless one is there already; return whether it was written."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix, sorted."""
        ...


def fsync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def joined(ranges: Sequence[tuple[int, int]], gap: int) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
    """Yield stretches that cover ranges at most `gap` bytes apart: from, to, and the (number, offset, length) in it."""
    members: list[tuple[int, int, int]] = []
    start = end = 0
    for i, (offset, length) in sorted(enumerate(ranges), key=lambda item: item[1]):
        if members and offset > end + gap:
            yield start, end, members
            members = []
        if not members:
            start = end = offset
        end = max(end, offset + length)
        members.append((i, offset, length))
    if members:
        yield start, end, members


def concatenated(parts: Sequence[bytes], length: _Ints) -> tuple[npt.NDArray[np.uint8], _Ints]:
    """Return what `Place.read_joined` returns, of parts that were read one by one."""
    held = np.array([len(part) for part in parts], np.int64)
    at = np.cumsum(held) - held
    return np.frombuffer(b"".join(parts), np.uint8), np.where(held == length, at, -1)


def _stretches(offset: _Ints, length: _Ints) -> tuple[_Ints, _Ints, _Ints]:
    """Return where stretches that cover ranges at most `_GAP` bytes apart begin and end, and which one each is in."""
    order = np.argsort(offset, kind="stable")
    begin, end = offset[order], np.maximum.accumulate((offset + length)[order])
    fresh = np.ones(len(order), bool)
    fresh[1:] = begin[1:] > end[:-1] + _GAP
    first = np.flatnonzero(fresh)
    of = np.empty(len(order), np.int64)
    of[order] = np.cumsum(fresh) - 1
    return begin[first], end[np.append(first[1:], len(order)) - 1], of


def _read_all(handle: int, offset: int, length: int) -> bytes:
    """Return the bytes at an offset, fewer only where the file ends."""
    block = os.pread(handle, length, offset)
    while len(block) < length:
        more = os.pread(handle, length - len(block), offset + len(block))
        if not more:
            break
        block += more
    return block


def inside(root: Path, path: str) -> Path:
    """Return where a name lies below a folder.

    Raises
    ------
    StoreError
        If it would lie elsewhere: a catalog that came from somebody else may name anything.
    """
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise StoreError(f"{path[:200]!r} is no name of a file in a store: do not use this catalog.")
    return root / path


def make_folder(folder: Path) -> None:
    """Make a folder and all above it, each name durable: without that, what lies in it may be gone after a power cut."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        fsync(made.parent)


class _Handle:
    """An open file that closes itself when the last reader lets go of it."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class Folder:
    """A local folder: files are written under `tmp/`, fsynced, renamed, and their folder fsynced.

    Files are read with `pread`, not mapped into memory: a file cut short or a failing disk would end the process then.

    Parameters
    ----------
    root : Path
        An existing folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()
        self._handles: OrderedDict[str, _Handle] = OrderedDict()
        self._lock = threading.Lock()

    def _handle(self, path: str) -> _Handle:
        with self._lock:
            held = self._handles.get(path)
            if held is not None:
                self._handles.move_to_end(path)
                return held
        made = _Handle(inside(self.root, path))
        with self._lock:
            self._handles[path] = made
            while len(self._handles) > _OPEN:
                self._handles.popitem(last=False)
        return made

    @contextmanager
    def _reading(self, path: str) -> Iterator[_Handle]:
        """Give an open file, and turn what goes wrong with it into what a place raises."""
        inside(self.root, path)
        try:
            yield self._handle(path)
        except FileNotFoundError:
            raise Gone(path) from None
        except OSError as error:
            raise StoreError(
                f"segment {self.root / path} cannot be read: {error.strerror}; check the disk or restore a copy."
            ) from error

    def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes at each (offset, length), short where the file ends before."""
        found = []
        with self._reading(path) as handle:
            for start, end, members in joined(ranges, _GAP):
                block = _read_all(handle.number, start, end - start)
                found += [(i, block[o - start : o - start + n]) for i, o, n in members]
        found.sort()
        return [part for _, part in found]

    def read_joined(self, path: str, offset: _Ints, length: _Ints) -> tuple[npt.NDArray[np.uint8], _Ints]:
        """Return one array of bytes and where each (offset, length) begins in it, -1 where the file ends before."""
        if not len(offset):
            return np.empty(0, np.uint8), np.empty(0, np.int64)
        begin, end, of = _stretches(offset, length)
        first = np.cumsum(end - begin) - (end - begin)
        out, got = np.empty(int((end - begin).sum()), np.uint8), np.empty(len(begin), np.int64)
        view = out.data
        with self._reading(path) as handle:
            for i, (a, b, at) in enumerate(zip(begin.tolist(), end.tolist(), first.tolist(), strict=True)):
                got[i] = a
                while got[i] < b and (n := os.preadv(handle.number, [view[at + int(got[i]) - a : at + b - a]], got[i])):
                    got[i] += n
        return out, np.where(offset + length <= got[of], offset - begin[of] + first[of], -1)

    def open(self, path: str) -> Any:
        """Return the file, seekable."""
        import pyarrow as pa

        where = inside(self.root, path)
        try:
            return pa.OSFile(str(where), "r")
        except FileNotFoundError:
            raise Gone(path) from None
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"segment {self.root / path} cannot be read: {error}; restore it from a copy.") from error

    def identity(self, path: str) -> tuple[int, int, int]:
        """Return what changes when a file is replaced: inode, size, time of the last change."""
        try:
            stat = inside(self.root, path).stat()
        except FileNotFoundError:
            raise Gone(path) from None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None when there is none."""
        try:
            return inside(self.root, path).stat().st_size
        except FileNotFoundError:
            return None

    def put(self, path: str, data: bytes | memoryview) -> bool:
        """Write a whole file durably unless one is there already; return whether it was written.

        Raises
        ------
        StoreError
            If the disk refuses, as when it is full; nothing is left behind and it may be tried again.
        """
        place = inside(self.root, path)
        temporary = self.root / "tmp" / f"{time.time_ns():x}-{uuid.uuid4().hex[:12]}"
        try:
            for parent in (temporary.parent, place.parent):
                make_folder(parent)
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            reach("segment.temporary")
            if place.exists():
                return False
            temporary.rename(place)  # one that came between has the same bytes: names are unique to what they hold
            fsync(place.parent)
            reach("segment.renamed")
        except OSError as error:
            raise StoreError(
                f"file {place} cannot be written: {error.strerror}; free some space or fix the folder, then try again."
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        with self._lock:
            self._handles.pop(path, None)
        inside(self.root, path).unlink(missing_ok=True)

    def list(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix, sorted."""
        folder = self.root / prefix.rpartition("/")[0]
        found = (str(p.relative_to(self.root)) for p in folder.glob("**/*") if p.is_file())
        return sorted(name for name in found if name.startswith(prefix))

    def close(self) -> None:
        """Let go of the open files."""
        with self._lock:
            self._handles.clear()
