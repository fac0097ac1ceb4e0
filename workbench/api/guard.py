"""Who may ask: a token that only its owner can read, and a host name that is this machine's."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from workbench import settings
from workbench.errors import InvalidInput

__all__ = ["Guard", "make_token", "token_file"]

_LOCAL = {"localhost", "127.0.0.1", "[::1]", "::1"}


def token_file(path: str = "") -> Path:
    """Return where the token is kept: the path of the setting `api.token_file`, else in the user's data folder."""
    return Path(path).expanduser() if path else settings.data_folder() / "api.token"


def make_token(path: Path) -> str:
    """Return the token in a file, made with a new one that only its owner can read where it is not there yet.

    Raises
    ------
    InvalidInput
        If the file cannot be read or made, or holds no token of at least 16 characters.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text(encoding="ascii").strip()
        else:
            token = secrets.token_urlsafe(32)
            with os.fdopen(made, "w", encoding="ascii") as file:
                file.write(token + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"token file {path} cannot be used: {error}; name another in api.token_file.") from error
    if len(token) < 16 or not token.isprintable():
        raise InvalidInput(f"token file {path} holds no token of at least 16 characters: remove it to have one made.")
    return token


class Guard:
    """Decides over one request by its headers.

    Parameters
    ----------
    token : str or None
        What `Authorization: Bearer` must carry; with None everybody may ask.
    local : bool
        Whether only names of this machine are taken as `Host`, so that no page can lead a browser here by its own name.
    """

    def __init__(self, token: str | None, *, local: bool) -> None:
        self._token = None if token is None else token.encode()
        self._local = local

    def host_allowed(self, host: str) -> bool:
        """Return whether a request may come under this `Host`."""
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        return not self._local or name.lower() in _LOCAL

    def token_allowed(self, authorization: str) -> bool:
        """Return whether a header `Authorization` carries the token."""
        if self._token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
