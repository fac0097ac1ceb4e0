"""Asking a Prometheus over HTTP: its address, its token, bounded answers, refusals as errors of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from workbench.errors import InvalidInput, SourceError

if TYPE_CHECKING:
    import httpx

__all__ = ["SCHEMES", "Address", "PrometheusClient", "RefusedError", "TooLargeError", "parse_address"]

SCHEMES = {
    "prometheus": "http",
    "prometheus+http": "http",
    "prometheus+https": "https",
    "http": "http",
    "https": "https",
}
"""How an address may begin, and what is spoken then."""

_MOST_BYTES = 256 * 2**20
"""Most bytes of one answer; pages are made shorter before that."""

_TIMEOUT_S = 120.0


class RefusedError(SourceError):
    """The server answered with a status that is an error."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


class TooLargeError(SourceError):
    """An answer is larger than is taken at once: ask for less."""


@dataclass(frozen=True)
class Address:
    """What an address says.

    Attributes
    ----------
    url : str
        Where the server answers, without a slash at the end, without user and password.
    login : tuple of str, optional
        User and password.
    selectors : tuple of str
        What to read; everything by default.
    way : str
        "read" for remote read, "query" for the HTTP API, "" for the first that the server offers.
    """

    url: str
    login: tuple[str, str] | None
    selectors: tuple[str, ...]
    way: str

    @property
    def name(self) -> str:
        """The host and port, for messages and reports."""
        return urlsplit(self.url).netloc


def parse_address(address: str) -> Address:
    """Return what an address such as `prometheus://host:9090/prefix?match={job="x"}` says.

    Raises
    ------
    InvalidInput
        If it has no host, or says something that is not known.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        said = parse_qs(parts.query, keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise InvalidInput(f"address {_without_login(address)!r} is not understood: {error}.") from error
    unknown = sorted(set(said) - {"match", "match[]", "via"})
    way = said.get("via", [""])[-1]
    if parts.scheme not in SCHEMES or not host or unknown or way not in ("", "read", "query"):
        raise InvalidInput(
            f"address {_without_login(address)!r} is not understood: write prometheus://HOST:PORT, with ?match=SELECTOR"
            " once or more, and ?via=read or ?via=query."
        )
    place = f"[{host}]" if ":" in host else host
    url = urlunsplit((SCHEMES[parts.scheme], place + (f":{port}" if port else ""), parts.path.rstrip("/"), "", ""))
    login = (parts.username, parts.password or "") if parts.username else None
    chosen = tuple(said.get("match", []) + said.get("match[]", [])) or ('{__name__=~".+"}',)
    return Address(url, login, chosen, way)


def _without_login(address: str) -> str:
    before, at, behind = address.partition("@")
    return f"{before.partition('://')[0]}://…@{behind}" if at else address


class PrometheusClient:
    """An open connection to one server.

    Parameters
    ----------
    address : Address
    token_file : str
        File with a token for `Authorization: Bearer`; none when empty.
    """

    def __init__(self, address: Address, token_file: str = "") -> None:
        import httpx

        headers = {"Accept-Encoding": "identity", "User-Agent": "workbench"}
        if token_file:
            try:
                headers["Authorization"] = f"Bearer {Path(token_file).expanduser().read_text(encoding='ascii').strip()}"
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"prometheus.token_file {token_file!r} cannot be read: {error}.") from error
        self.address = address
        self._client: httpx.Client = httpx.Client(
            timeout=_TIMEOUT_S, headers=headers, auth=address.login, transport=httpx.HTTPTransport(retries=2)
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ask(self, path: str, form: Mapping[str, str], *, method: str = "POST") -> Any:
        """Return the data of an answer of the HTTP API.

        Raises
        ------
        RefusedError
            If the server says no.
        TooLargeError
            If the answer is larger than is taken at once.
        SourceError
            If there is no answer, or it is not what Prometheus answers.
        """
        body = self._send(method, path, **{"data" if method == "POST" else "params": dict(form)})
        try:
            return json.loads(body)["data"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise SourceError(
                f"{self.address.name} does not answer {path} as Prometheus does: check the address and its prefix."
            ) from error

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the bytes of an answer; raises as `ask`."""
        return self._send("POST", path, content=body, headers=dict(headers))

    def _send(self, method: str, path: str, **carried: Any) -> bytes:
        import httpx

        try:
            with self._client.stream(method, self.address.url + path, **carried) as answer:
                parts, size = [], 0
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > _MOST_BYTES:
                        raise TooLargeError(
                            f"{self.address.name} answers with more than {_MOST_BYTES} bytes: ask for fewer series."
                        )
                    parts.append(part)
        except httpx.TimeoutException as error:
            raise TooLargeError(
                f"{self.address.name} did not answer {path} within {_TIMEOUT_S:.0f} s: ask for less at a time."
            ) from error
        except httpx.HTTPError as error:
            raise SourceError(
                f"{self.address.name} cannot be asked ({error or type(error).__name__}): check the address."
            ) from error
        body = b"".join(parts)
        if answer.status_code != 200:
            raise RefusedError(
                f"{self.address.name} refused {path} with {answer.status_code}: {_said(body)}.", answer.status_code
            )
        return body


def _said(body: bytes) -> str:
    """Return what a refusal says, on one line."""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError, RecursionError):
        said = body[:300].decode("utf-8", "replace")
    return " ".join(said.split())[:300] or "nothing said"
