"""What lies behind a place's URL: a bucket of an object store, a folder elsewhere, this process's memory.

A bucket does one request and says how it ended; trying again, checking lengths and caching are the business of
`remote.Remote`. Schemes are looked up in the registry group `workbench.tiers`.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from typing import Any, ClassVar, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from workbench import registry
from workbench.errors import InvalidInput, MissingDependency, StoreError
from workbench.store.places import fsync, inside, make_folder

__all__ = ["Again", "Beyond", "Bucket", "FolderBucket", "Listed", "MemoryBucket", "ObstoreBucket", "bucket_of"]


class Again(Exception):
    """A request failed in a way that may pass: busy, timed out, cut off."""


class Beyond(Exception):
    """A range begins at or behind the end of an object."""


class Listed(NamedTuple):
    """One object of a listing; `modified` in ns since 1970."""

    name: str
    bytes: int
    modified: int


class Bucket(Protocol):
    """Objects by name. Absent is `FileNotFoundError`, passing trouble `Again`, everything else `StoreError`."""

    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return up to `length` bytes from an offset on, and the size of the whole object.

        Raises
        ------
        Beyond
            If the object ends before the offset.
        """
        ...

    def put(self, name: str, data: bytes, replace: bool) -> str:
        """Write an object whole and return its ETag, "" where there is none.

        Raises
        ------
        FileExistsError
            If there is one and `replace` is False.
        """
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None when there is none."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def list(self, prefix: str) -> list[Listed]:
        """Return the objects whose names begin with a prefix; it may be out of date."""
        ...


def bucket_of(url: str) -> Bucket:
    """Return the bucket of a URL.

    Raises
    ------
    InvalidInput
        If it is not a URL.
    NotFound
        If nobody knows its scheme; the message lists the known ones.
    MissingDependency
        If what its scheme needs is not installed.
    """
    scheme = urlsplit(url).scheme
    if not scheme:
        raise InvalidInput(f"{url!r} is not the URL of a place: give one like s3://bucket/folder or file:///folder.")
    made: Bucket = registry.load("workbench.tiers", scheme)(url)
    return made


_started: dict[str, int] = {}
"""The process in which obstore's threads run: they do not come along in a fork, and waiting for them would not end."""

_CONNECT_S, _SILENT_S, _WRITE_S = 5.0, 20.0, 600.0
_REFUSED = ("400", "401", "403", "405", "411", "413")


class ObstoreBucket:
    """A bucket of S3 or what speaks like it, Google Cloud, Azure, or a web server, through the package `obstore`.

    Credentials and endpoint come from the usual environment variables (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...)
    or from the machine's role. `http:` endpoints are spoken to only where the environment names one.

    Parameters
    ----------
    url : str
    silent_s : float
        How long the server may say nothing before a read is given up, seconds.
    """

    def __init__(self, url: str, silent_s: float = _SILENT_S) -> None:
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise MissingDependency(
                f"place {url} needs the package obstore: install workbench-observability[s3]."
            ) from error
        self.url = url
        self._obstore = obstore
        self._conditional = True
        client = {"connect_timeout": f"{int(_CONNECT_S * 1000)}ms", "allow_http": _plain_http(url)}
        make: Any = from_url  # its overloads tell stores apart by keywords that are the same here
        # obstore's own patience is switched off: one place counts tries. The time to send a large body counts as
        # silence in its client, so writes have a client of their own.
        calm = {"retry_config": {"max_retries": 0}}
        try:
            self._read = make(url, client_options={**client, "read_timeout": f"{int(silent_s * 1000)}ms"}, **calm)
            self._write = make(url, client_options={**client, "timeout": f"{int(_WRITE_S)}s"}, **calm)
        except (obstore.exceptions.BaseError, ValueError) as error:
            raise StoreError(f"place {url} cannot be used ({_first_line(error)}): check the URL.") from error

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        if _started.setdefault("pid", os.getpid()) != os.getpid():
            raise StoreError(
                f"place {self.url} cannot be used after a fork: start processes by spawn, or fork before it is first used."
            )
        known = self._obstore.exceptions
        try:
            return work()
        except FileNotFoundError:
            raise
        except (known.AlreadyExistsError, known.PreconditionError):
            raise FileExistsError(name) from None
        except (known.PermissionDeniedError, known.UnauthenticatedError) as error:
            raise StoreError(f"place {self.url} refuses access to {name}: check the credentials.") from error
        except (known.NotSupportedError, NotImplementedError) as error:
            raise StoreError(f"place {self.url} cannot do this ({_first_line(error)}): choose another.") from error
        except ValueError as error:  # how the package refuses a name
            raise StoreError(f"{name[:200]!r} is no name of a file in a store: do not use this catalog.") from error
        except (known.BaseError, OSError) as error:
            text = _first_line(error)
            status = text.partition("status code: ")[2][:3]
            if status == "416":
                raise Beyond(name) from None
            if status in _REFUSED:
                raise StoreError(f"place {self.url} refuses {name} ({text}): check the URL.") from error
            raise Again(text) from error

    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return bytes and the size of the object; fewer than asked when the server sent fewer."""

        def work() -> tuple[bytes, int]:
            got = self._obstore.get(self._read, name, options={"range": (offset, offset + length)})
            if got.range[0] != offset:
                raise Again(f"the answer begins at {got.range[0]} instead of {offset}")
            return bytes(got.bytes()), int(got.meta["size"])

        found: tuple[bytes, int] = self._do(name, work)
        return found

    def put(self, name: str, data: bytes, replace: bool) -> str:
        """Write an object; where the server knows no conditions, it is looked whether there is one, then written."""
        put: Any = self._obstore.put
        unsupported = (self._obstore.exceptions.NotSupportedError, NotImplementedError)
        if not replace and not self._conditional and self.size(name) is not None:
            raise FileExistsError(name)
        mode = "create" if self._conditional and not replace else "overwrite"

        def work() -> Any:
            try:
                return put(self._write, name, data, mode=mode, use_multipart=False)
            except unsupported:
                if mode == "overwrite":
                    raise
                return None

        made = self._do(name, work)
        if made is None:
            self._conditional = False
            return self.put(name, data, replace)
        return str(made.get("e_tag") or "").strip('"')

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None when there is none."""
        try:
            return int(self._do(name, lambda: self._obstore.head(self._read, name))["size"])
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove an object."""
        try:
            self._do(name, lambda: self._obstore.delete(self._read, name))
        except FileNotFoundError:
            return

    def list(self, prefix: str) -> list[Listed]:
        """Return the objects whose names begin with a prefix."""
        folder = prefix.rpartition("/")[0]  # the package takes whole folders only
        found = self._do(prefix, lambda: self._obstore.list(self._read, folder or None).collect())
        listed = (Listed(o["path"], int(o["size"]), int(o["last_modified"].timestamp() * 1e9)) for o in found)
        return sorted(o for o in listed if o.name.startswith(prefix))


def _plain_http(url: str) -> bool:
    """Return whether the user named an endpoint without TLS, which is never chosen for him."""
    names = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_ENDPOINT", "GOOGLE_BASE_URL")
    return any(at.startswith("http:") for at in (url, *(os.environ.get(name, "") for name in names)))


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).partition("Debug source:")[0].split())[:300]


class FolderBucket:
    """A folder by its `file://` URL, as a mounted disk; what is put there is durable and never half there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = Path(unquote(urlsplit(url).path))

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise StoreError(f"object {self.url}/{name} cannot be used: {error.strerror}; check the folder.") from error

    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return bytes and the size of the object."""
        place = inside(self._root, name)

        def work() -> tuple[bytes, int]:
            with place.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if offset >= size:
                    raise Beyond(name)
                stream.seek(offset)
                return stream.read(min(length, size - offset)), size

        found: tuple[bytes, int] = self._do(name, work)
        return found

    def put(self, name: str, data: bytes, replace: bool) -> str:
        """Write under another name, then rename, or link, which fails when there is an object."""
        place = inside(self._root, name)
        temporary = place.with_name(f".{time.time_ns():x}-{uuid.uuid4().hex[:12]}")

        def work() -> None:
            make_folder(place.parent)
            try:
                with temporary.open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                if replace:
                    temporary.replace(place)
                else:
                    _link(temporary, place)
                fsync(place.parent)
            finally:
                temporary.unlink(missing_ok=True)

        self._do(name, work)
        return ""

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None when there is none."""
        try:
            about = self._do(name, inside(self._root, name).stat)
        except FileNotFoundError:
            return None
        return int(about.st_size) if S_ISREG(about.st_mode) else None

    def delete(self, name: str) -> None:
        """Remove an object."""
        place = inside(self._root, name)
        self._do(name, lambda: place.unlink(missing_ok=True))

    def list(self, prefix: str) -> list[Listed]:
        """Return the objects whose names begin with a prefix."""
        found = []
        for place in (self._root / prefix.rpartition("/")[0]).glob("**/*"):
            name = place.relative_to(self._root).as_posix()
            if name.startswith(prefix) and not place.name.startswith(".") and place.is_file():
                about = place.stat()
                found.append(Listed(name, about.st_size, about.st_mtime_ns))
        return sorted(found)


def _link(temporary: Path, place: Path) -> None:
    """Name a file only if the name is free; where there are no links, by looking first."""
    try:
        os.link(temporary, place)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if place.exists():
            raise FileExistsError(str(place)) from None
        temporary.rename(place)


class MemoryBucket:
    """Objects in this process, for trying things out: gone with it, the same for every place of one URL."""

    _all: ClassVar[dict[str, dict[str, tuple[bytes, int]]]] = {}
    _lock = threading.Lock()

    def __init__(self, url: str) -> None:
        self._held = self._all.setdefault(url.rstrip("/"), {})

    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return bytes and the size of the object."""
        if name not in self._held:
            raise FileNotFoundError(name)
        data = self._held[name][0]
        if offset >= len(data):
            raise Beyond(name)
        return data[offset : offset + length], len(data)

    def put(self, name: str, data: bytes, replace: bool) -> str:
        """Write an object."""
        with self._lock:
            if name in self._held and not replace:
                raise FileExistsError(name)
            self._held[name] = bytes(data), time.time_ns()
        return ""

    def size(self, name: str) -> int | None:
        """Return the bytes of an object, None when there is none."""
        return len(self._held[name][0]) if name in self._held else None

    def delete(self, name: str) -> None:
        """Remove an object."""
        self._held.pop(name, None)

    def list(self, prefix: str) -> list[Listed]:
        """Return the objects whose names begin with a prefix."""
        return sorted(Listed(n, len(d), at) for n, (d, at) in self._held.items() if n.startswith(prefix))
