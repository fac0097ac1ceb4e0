"""A place that is not this folder: an object store read by ranges, with patience, and with a cache on the local disk.

Nothing here depends on a listing, which may be out of date. A body shorter than asked is no answer: it is asked for
again and never cached. Whether bytes are the right ones is for the caller to say, who has their checksums.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.blocks import BLOCK, BlockCache
from workbench.store.buckets import Again, Beyond, Bucket, Listed, bucket_of
from workbench.store.places import Gone, concatenated

__all__ = ["Remote", "Unavailable"]

_T = TypeVar("_T")
_Ints = npt.NDArray[np.int64]
_RUN = 32
_THREADS = 8
_KNOWN = 10_000
_ALL = 2**40


class Unavailable(StoreError):
    """The place did not answer, however often it was asked; nothing is lost, and it may be tried again later."""

    retryable = True


class Remote:
    """Files at a URL, each written once and never changed.

    Parameters
    ----------
    url : str
        As `s3://bucket/folder`, `file:///folder` or `memory://name`.
    cache : BlockCache, optional
        Where bytes that were read are kept; none by default.
    bucket : Bucket, optional
        What lies behind the URL, looked up by its scheme if not given.
    tries : int
        How often a request that fails in passing is made at most.
    wait_s : float
        The first wait between two tries, seconds; each is twice the one before, up to 50 times it, less a random part.

    Attributes
    ----------
    requests, fetched : int
        Requests made and bytes of bodies received by this process.
    """

    def __init__(
        self,
        url: str,
        cache: BlockCache | None = None,
        bucket: Bucket | None = None,
        tries: int = 8,
        wait_s: float = 0.1,
    ) -> None:
        self.url = url.rstrip("/")
        self.cache = cache
        self.requests = self.fetched = 0
        self._bucket = bucket_of(url) if bucket is None else bucket
        self._tries, self._wait_s = tries, wait_s
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = os.getpid()

    def _patiently(self, path: str, work: Callable[[], _T]) -> _T:
        """Do one request until it succeeds or fails for good; what is absent is `Gone`."""
        if path.startswith("/") or ".." in path.split("/"):
            raise StoreError(f"{path!r} is not the name of a file in {self.url}: restore the catalog.")
        why = ""
        for attempt in range(self._tries):
            if attempt:
                longest = self._wait_s * min(2 ** (attempt - 1), 50)
                time.sleep(longest * random.uniform(0.5, 1.0))
            with self._lock:
                self.requests += 1
            try:
                return work()
            except FileNotFoundError:
                raise Gone(path) from None
            except Again as error:
                why = str(error)
        raise Unavailable(
            f"place {self.url} did not give or take {path} in {self._tries} tries ({why}): try again later."
        )

    def _get(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return all the bytes asked for that the object has, and its size."""

        def work() -> tuple[bytes, int]:
            try:
                data, total = self._bucket.get(path, offset, length)
            except Beyond:
                size = self._bucket.size(path)
                if size is None:
                    raise FileNotFoundError(path) from None
                if size > offset:
                    raise Again(f"it is said to end before {offset}, and to have {size} bytes") from None
                return b"", size
            with self._lock:
                self.fetched += len(data)
            asked = min(length, total - offset)
            if len(data) != asked:
                raise Again(f"the answer has {len(data)} bytes instead of {asked}")
            return data, total

        data, total = self._patiently(path, work)
        if self._sizes.setdefault(path, total) != total:
            raise StoreError(f"{self.url}/{path} has changed from {self._sizes[path]} to {total} bytes: restore it.")
        if len(self._sizes) > _KNOWN:
            self._sizes.pop(next(iter(self._sizes)), None)
        return data, total

    def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes at each (offset, length), short only where the file ends before.

        Whole blocks of 256 KiB are fetched and kept; near ones in one request, far ones by a few threads at once.

        Raises
        ------
        Gone
            If there is no such file.
        Unavailable
            If the place does not answer in full however often it is asked.
        StoreError
            If it refuses.
        """
        wanted = sorted(
            {n for offset, length in ranges for n in range(offset // BLOCK, -(-(offset + length) // BLOCK))}
        )
        key = f"{self.url}/{path}"
        have: dict[int, bytes] = {}
        for number in wanted:
            held = self.cache.get(key, number) if self.cache else None
            if held is not None:
                have[number] = held[0]
                self._sizes.setdefault(path, held[1])
        total = self._sizes.get(path)
        missing = [n for n in wanted if n not in have and (total is None or n * BLOCK < total)]
        runs = _runs(missing, have)
        for blocks in self._at_once(lambda run: self._fetch(path, key, run), runs):
            have.update(blocks)
        return [_cut(have, offset, length) for offset, length in ranges]

    def read_joined(self, path: str, offset: _Ints, length: _Ints) -> tuple[npt.NDArray[np.uint8], _Ints]:
        """Return one array of bytes and where each (offset, length) begins in it, -1 where the file ends before."""
        return concatenated(self.read(path, list(zip(offset.tolist(), length.tolist(), strict=True))), length)

    def _fetch(self, path: str, key: str, run: range) -> dict[int, bytes]:
        """Return and keep some blocks that follow one another; those behind the end are left out."""
        data, total = self._get(path, run.start * BLOCK, len(run) * BLOCK)
        made = {n: data[i * BLOCK : (i + 1) * BLOCK] for i, n in enumerate(run) if len(data) > i * BLOCK}
        if self.cache is not None:
            for number, block in made.items():
                self.cache.put(key, number, block, total)
        return made

    def _at_once(self, work: Callable[[range], _T], runs: Sequence[range]) -> Iterable[_T]:
        if len(runs) < 2:
            return [work(run) for run in runs]
        with self._lock:
            if self._pool is None or self._pid != os.getpid():  # threads do not come along in a fork
                self._pool, self._pid = ThreadPoolExecutor(_THREADS, "workbench-remote"), os.getpid()
            pool = self._pool
        return pool.map(work, runs)

    def fetch(self, path: str) -> bytes:
        """Return a whole file as it is at the place now, past the cache; raises as `read` does."""
        self._sizes.pop(path, None)
        data, _ = self._get(path, 0, _ALL)  # a range: its answer names the size of the whole, so a part is noticed
        return data

    def open(self, path: str) -> Any:
        """Return a seekable binary file that fetches what is read; raises as `read` does."""
        size = self._size(path)
        if size is None:
            raise Gone(path)
        return io.BufferedReader(_Stream(self, path, size), BLOCK)

    def _size(self, path: str) -> int | None:
        if path not in self._sizes:
            held = self.cache.get(f"{self.url}/{path}", 0) if self.cache else None
            return self.size(path) if held is None else held[1]
        return self._sizes[path]

    def size(self, path: str) -> int | None:
        """Return the bytes of a file, None when there is none; asks the place."""
        return self._patiently(path, lambda: self._bucket.size(path))

    def put(self, path: str, data: bytes | memoryview) -> bool:
        """Write a whole file unless one is there already; return whether it was written.

        The condition is the place's own (`If-None-Match: *`). Where a place knows none, it is looked first, and of two
        that write at the same instant the later one stays. When an answer is lost and the write made again, the file
        is found there already: False then does not mean that somebody else wrote it. The MD5 in the answer is compared
        where there is one, else the size.

        Raises
        ------
        Unavailable
            If the place does not take it; it may be tried again.
        StoreError
            If it refuses, or what came back differs from what was sent.
        """
        body = bytes(data)

        def work() -> str | None:
            try:
                return self._bucket.put(path, body, False)
            except FileExistsError:
                if self._bucket.size(path) is None:  # another write of the same name is under way
                    raise Again("it is said to be there, and is not") from None
                return None

        etag = self._written(path, work)
        if etag is None:
            return False
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if etag != md5 and self.size(path) != len(body):
            raise StoreError(f"{self.url}/{path} was not stored as it was sent: look at the place's own checks.")
        self._sizes[path] = len(body)
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Write a file whether or not there is one; only for what readers look at past every cache."""
        self._written(path, lambda: self._bucket.put(path, data, True))
        self._sizes.pop(path, None)

    def _written(self, path: str, work: Callable[[], _T]) -> _T:
        try:
            return self._patiently(path, work)
        except Gone:
            raise StoreError(f"place {self.url} is not there: make the bucket, or correct the URL.") from None

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        self._patiently(path, lambda: self._bucket.delete(path))
        self._sizes.pop(path, None)

    def listed(self, prefix: str) -> list[Listed]:
        """Return names, bytes and ages of what begins with a prefix; it may be out of date."""
        return self._patiently(prefix, lambda: self._bucket.list(prefix))

    def list(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix, sorted; it may be out of date."""
        return [listed.name for listed in self.listed(prefix)]

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            if self._pool is not None and self._pid == os.getpid():
                self._pool.shutdown(wait=False)
            self._pool = None


def _runs(missing: Sequence[int], have: dict[int, bytes]) -> list[range]:
    """Return blocks as runs; one block between two is fetched along, unless it is here: a request costs more."""
    runs: list[range] = []
    for number in missing:
        last = runs[-1] if runs else range(0)
        gap = number - last.stop
        if runs and (gap == 0 or (gap == 1 and last.stop not in have)) and number - last.start < _RUN:
            runs[-1] = range(last.start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


def _blocks(offset: int, length: int) -> range:
    return range(offset // BLOCK, -(-(offset + length) // BLOCK))


def _cut(have: dict[int, bytes], offset: int, length: int) -> bytes:
    """Return a range out of blocks; a block that is not here lies behind the end."""
    parts = []
    for number in _blocks(offset, length) if length else ():
        begin = number * BLOCK
        parts.append(have.get(number, b"")[max(offset - begin, 0) : offset + length - begin])
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Stream(io.RawIOBase):
    """A remote file as a stream for readers that want one, such as pyarrow."""

    def __init__(self, place: Remote, path: str, size: int) -> None:
        self._place, self._path, self._bytes, self._at = place, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._bytes}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._place.read(self._path, [(self._at, len(view))])[0]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
