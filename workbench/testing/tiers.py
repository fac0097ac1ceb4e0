"""What every bucket of the group `workbench.tiers` keeps: whole objects, ranges, conditions, and how each request ends."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from workbench.errors import StoreError
from workbench.store.buckets import Beyond, Bucket
from workbench.testing.require import require

__all__ = ["check_tier"]

_NAMES = ("a.parquet", "folder/b.parquet", "folder/deeper/c d.parquet", "folder-2/é+%41.parquet")
_PATIENCE_S = 10.0
_DAY_NS = 86_400 * 10**9


def check_tier(make: Callable[[str], Bucket], url: str) -> None:
    """Check what lies behind the URLs of a scheme.

    An object comes back whole and by ranges, also to another bucket of the same URL, with the size of the whole; a
    range past its end is short, one that begins there is `Beyond`. What is absent is `FileNotFoundError`, has no size,
    and may be deleted. `put` keeps what is there unless told to replace it, and of many that put one name at once what
    stays is one of their objects, whole, and of one that was told so. Whoever reads while an object is replaced sees
    it before or after, never half. A listing has only names with the prefix, sorted, with size and age; it may lag,
    and is given ten seconds. A name that would lead out of the place gives nothing.

    Parameters
    ----------
    make : callable
        Returns a bucket of a URL: what the registry has under the scheme.
    url : str
        A place that may be written; all is done below a name of its own, and removed.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    root = f"check-{uuid.uuid4().hex[:12]}"
    bucket, other = make(url), make(url)
    made = [f"{root}/{name}" for name in _NAMES]
    try:
        _absent(bucket, f"{root}/none")
        _whole(bucket, other, made)
        _ranges(bucket, f"{root}/a.parquet")
        _conditions(bucket, f"{root}/a.parquet")
        _listing(bucket, root, made)
        _at_once([make(url) for _ in range(6)], f"{root}/race")
        _replaced(bucket, other, f"{root}/changing")
        _outside(bucket, root)
    finally:
        for name in [*made, *(f"{root}/{name}" for name in ("race", "changing", "empty", "inside"))]:
            bucket.delete(name)
    require(_ends(bucket.size, made[0]) is None, "a deleted object still has a size.")


def _ends(work: Callable[..., Any], *given: Any) -> Any:
    """Return what a request gives, or the exception that it ends with."""
    try:
        return work(*given)
    except Exception as error:
        return error


def _require_error(what: str, kinds: tuple[type[Exception], ...], work: Callable[..., Any], *given: Any) -> None:
    ended = _ends(work, *given)
    names = " or ".join(one.__name__ for one in kinds)
    require(isinstance(ended, kinds), f"{what} ended with {ended!r:.200}; it must raise {names}.")


def _absent(bucket: Bucket, name: str) -> None:
    _require_error("getting what is absent", (FileNotFoundError,), bucket.get, name, 0, 10)
    size = _ends(bucket.size, name)
    require(size is None, f"the size of what is absent is {size!r}; it must be None.")
    deleted = _ends(bucket.delete, name)
    require(deleted is None, f"deleting what is absent gave {deleted!r}; it is no error.")


def _body(name: str, n: int = 3_000) -> bytes:
    return (name.encode() + bytes(range(256))) * (n // 256 + 1)


def _whole(bucket: Bucket, other: Bucket, names: list[str]) -> None:
    for name in names:
        data = _body(name)
        said = _ends(bucket.put, name, data, False)
        require(isinstance(said, str), f"putting {name!r} gave {said!r:.200}; it must return an ETag or ''.")
        for one in (bucket, other):
            got = _ends(one.get, name, 0, len(data) + 1_000)
            require(
                got == (data, len(data)), f"{name!r} came back as {got!r:.200}; it must be the object and its size."
            )
            size = _ends(one.size, name)
            require(size == len(data), f"{name!r} has the size {size!r}; it must be {len(data)}.")


def _ranges(bucket: Bucket, name: str) -> None:
    data = _body(name)
    n = len(data)
    for offset, length in ((0, 1), (7, 100), (n - 10, 10), (n - 10, 500), (n - 1, 1)):
        got = _ends(bucket.get, name, offset, length)
        wanted = (data[offset : offset + length], n)
        require(got == wanted, f"bytes {offset} to {offset + length} of {n} came back as {got!r:.200}.")
    for offset in (n, n + 1, 10 * n):
        _require_error(f"a range from {offset} of {n} bytes", (Beyond,), bucket.get, name, offset, 10)
    empty = f"{name.rpartition('/')[0]}/empty"
    bucket.put(empty, b"", False)
    require(_ends(bucket.size, empty) == 0, "an empty object does not have the size 0.")
    _require_error("a range of an empty object", (Beyond,), bucket.get, empty, 0, 10)


def _conditions(bucket: Bucket, name: str) -> None:
    data = _body(name)
    _require_error("putting a name that is there", (FileExistsError,), bucket.put, name, b"another", False)
    require(bucket.get(name, 0, 10**6)[0] == data, "a refused put changed the object.")
    said = _ends(bucket.put, name, b"newer", True)
    require(isinstance(said, str), f"replacing gave {said!r:.200}; it must return an ETag or ''.")
    require(bucket.get(name, 0, 10**6) == (b"newer", 5), "a replaced object is not the new one.")
    bucket.put(name, data, True)


def _listing(bucket: Bucket, root: str, names: list[str]) -> None:
    sizes = {name: len(_body(name)) for name in names} | {f"{root}/empty": 0}
    for prefix in (f"{root}/", f"{root}/folder/", f"{root}/fol", f"{root}/folder/b", f"{root}/nothing"):
        wanted = sorted(name for name in sizes if name.startswith(prefix))
        until = time.monotonic() + _PATIENCE_S
        while True:
            found = bucket.list(prefix)
            listed = [one.name for one in found]
            if listed == wanted or time.monotonic() > until:
                break
            time.sleep(0.2)
        require(listed == wanted, f"the listing of {prefix!r} is {listed}; it must be {wanted}.")
        for one in found:
            require(one.bytes == sizes[one.name], f"{one.name!r} is listed with {one.bytes} bytes.")
            near = abs(one.modified - time.time_ns()) < _DAY_NS
            require(near, f"{one.name!r} is listed as changed at {one.modified}; it must be ns since 1970.")


def _at_once(buckets: list[Bucket], name: str) -> None:
    """Put one name from several threads."""
    ended: dict[bytes, Any] = {}
    start = threading.Barrier(len(buckets))

    def put(bucket: Bucket, data: bytes) -> None:
        start.wait()
        ended[data] = _ends(bucket.put, name, data, False)

    bodies = [bytes([65 + i]) * 200_000 for i in range(len(buckets))]
    threads = [threading.Thread(target=put, args=pair) for pair in zip(buckets, bodies, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [end for end in ended.values() if not isinstance(end, str | FileExistsError)]
    require(not wrong, f"of several puts at once one ended with {wrong[:1]!r:.200}; it must be written or refused.")
    winners = [data for data, end in ended.items() if isinstance(end, str)]
    stayed = buckets[0].get(name, 0, 10**6)[0]
    require(stayed in winners, "of several puts at once what stayed is of none that was told it wrote.")


def _replaced(bucket: Bucket, other: Bucket, name: str) -> None:
    """Read an object while it is replaced."""
    bodies = [bytes([97 + i]) * 100_000 for i in range(2)]
    bucket.put(name, bodies[0], True)
    done = threading.Event()

    def replace() -> None:
        for i in range(40):
            bucket.put(name, bodies[i % 2], True)
        done.set()

    thread = threading.Thread(target=replace)
    thread.start()
    seen = []
    while not done.is_set() and thread.is_alive():
        seen.append(_ends(other.get, name, 0, 10**6))
    thread.join()
    whole = [(body, len(body)) for body in bodies]
    torn = [got for got in seen if got not in whole]
    require(done.is_set(), "replacing an object while it is read failed.")
    require(not torn, f"a reader saw {torn[:1]!r:.200} while an object was replaced; it must be one of the two, whole.")


def _outside(bucket: Bucket, root: str) -> None:
    bucket.put(f"{root}/inside", b"secret", True)
    for name in (f"../{root}/inside", f"{root}/../../{root}/inside", f"/{root}/../inside"):
        _require_error(f"getting {name!r}", (StoreError, FileNotFoundError), bucket.get, name, 0, 6)
