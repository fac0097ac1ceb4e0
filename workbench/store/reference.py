"""`catalog.json`: which server and schema hold the catalog of a store, without anything secret."""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from workbench.errors import StoreError

__all__ = ["Server", "load", "remember"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FORM = "postgresql://user@host:port/database?schema=name"

# A folder from elsewhere names the server: nothing in it may read files or send a password that was not meant for it.
_KNOWN = {
    "host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "sslrootcert", "sslcert", "sslkey",
    "channel_binding", "gssencmode", "krbsrvname", "target_session_attrs", "load_balance_hosts", "connect_timeout",
    "application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
}  # fmt: skip
_DEFAULTS = {"connect_timeout": "10", "keepalives_idle": "30", "application_name": "workbench"}
_SAFE = "scram-sha-256,md5,gss,sspi,none"


@dataclass(frozen=True)
class Server:
    """A schema of a PostgreSQL database.

    Attributes
    ----------
    url : str
        Connection URL without schema and password.
    schema : str
        An identifier that needs no quotes.
    """

    url: str
    schema: str

    @classmethod
    def of(cls, url: str) -> Server:
        """Return what a URL names, the schema after `#` or as `schema=`.

        Raises
        ------
        StoreError
            If it is no such URL, has a password in it, or options that a store's folder may not set.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("postgresql", "postgres"):
            raise StoreError(f"catalog {_shown(url)} is no PostgreSQL URL: write it as {_FORM}.")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if "password" in options or ":" in parts.netloc.rpartition("@")[0]:
            raise StoreError(
                f"catalog {_shown(url)} has a password in it: leave it out and put it into PGPASSWORD, a password file or"
                " a service."
            )
        schema = options.pop("schema", "") or parts.fragment
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_") or schema in ("public", "information_schema"):
            raise StoreError(
                f"catalog {_shown(url)} names no schema of its own: add ?schema=name, of small letters, digits and _."
            )
        for name in options.keys() - _KNOWN:
            raise StoreError(f"catalog {_shown(url)} sets {name!r}, which a store may not: set it in the environment.")
        query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in sorted(options.items()))
        return cls(f"postgresql://{parts.netloc}{parts.path}" + (f"?{query}" if query else ""), schema)

    def __str__(self) -> str:
        """Return the URL with the schema."""
        return f"{self.url}{'&' if '?' in self.url else '?'}schema={self.schema}"

    @property
    def lock(self) -> int:
        """The number of the advisory lock that writers of this schema hold, 64 bits with a sign."""
        digest = blake2b(f"workbench store {self.schema}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little", signed=True)

    def conninfo(self) -> str:
        """Return what libpq connects with; a password is never sent readable unless `PGREQUIREAUTH` says so."""
        from psycopg import pq
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        given = conninfo_to_dict(self.url)
        more = {name: value for name, value in _DEFAULTS.items() if name not in given}
        if pq.version() >= 160000 and "PGREQUIREAUTH" not in os.environ:
            more["require_auth"] = _SAFE
        return make_conninfo(self.url, **more)


def _shown(url: str) -> str:
    """Return a URL without what may be a password."""
    return repr(re.sub(r"(password=)[^&]*|(//[^:@/]*):[^@]*@", r"\1\2@", url)) if url else "''"


def load(path: Path) -> tuple[Server, int] | None:
    """Return the server and the store's number a folder remembers, None when it remembers none.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Server.of(held["catalog"]), int(held["store"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}; check the folder's permissions.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged ({error}): restore it from a copy.") from error


def remember(path: Path, server: Server, store: int) -> int:
    """Write the file durably unless there is one, and return the number of the store that is in it.

    Raises
    ------
    StoreError
        If it cannot be written, or another process has meanwhile named another server.
    """
    text = json.dumps({"catalog": str(server), "store": store}, indent=1) + "\n"
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; fix the folder, then try again.") from error
    held = load(path)
    if held is None or held[0] != server:
        raise StoreError(f"{path} names another catalog: somebody made this store at the same time.")
    return held[1]
