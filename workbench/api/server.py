"""The API as a server on a thread of its own, started from a notebook or the command line and stopped again."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workbench import settings as settings_table
from workbench.api.guard import Guard, make_token, token_file
from workbench.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from workbench.session import Bench
    from workbench.store import Store

__all__ = ["Serving", "serve"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONNECTIONS = 4096
"""Beyond so many the next one is told 503; an idle one costs little."""


class Serving:
    """A running API.

    Attributes
    ----------
    url : str
        Where it answers, as `http://127.0.0.1:9099`.
    token : str or None
        What requests must carry in `Authorization: Bearer`; None when everybody may ask.
    skips : Counter of str
        What was left out of what was written to it: reason -> count.
    """

    def __init__(self, url: str, token: str | None, skips: Counter[str], server: Any, thread: threading.Thread) -> None:
        self.url, self.token, self.skips = url, token, skips
        self._server, self._thread = server, thread

    def __repr__(self) -> str:
        """Return where it answers, without the token: a repr ends up in notebooks that are sent around."""
        state = "serving" if self._thread.is_alive() else "stopped"
        return f"<Prometheus API {state} at {self.url}, {'token needed' if self.token else 'no token'}>"

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Wait until the server ends."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Finish what is being answered, and end the server; the store stays open."""
        self._server.should_exit = True
        self._thread.join(30)


def serve(
    bench: Bench | Store,
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | bool = True,
) -> Serving:
    """Serve a store over the HTTP API of Prometheus, on a thread of this process.

    Parameters
    ----------
    bench : Bench or Store
    host : str, optional
        Address to listen on; the setting `api.host`, loopback, by default. On loopback only requests to a name of this
        machine are answered.
    port : int, optional
        The setting `api.port` by default; 0 takes a free one.
    token : str or bool, optional
        True: the one in the file of the setting `api.token_file`, made when there is none. A text: this one. False: no
        token, everybody who reaches the port may read and write.

    Returns
    -------
    Serving
        With `url`, `token` and `stop()`; also a context manager.

    Raises
    ------
    MissingDependency
        If the extra `agent` is not installed.
    InvalidInput
        If the port cannot be had, or a token is too short.
    """
    try:
        import uvicorn

        from workbench.api.application import make_application
    except ImportError as error:
        raise MissingDependency(
            f"the HTTP API needs the extra agent ({error}): pip install 'workbench-observability[agent]'."
        ) from error
    values = settings_table.load({} if port is None else {"api.port": port})
    where = values["api.host"] if host is None else host
    said = _token(token, values["api.token_file"])
    listening = _listen(where, values["api.port"])
    skips: Counter[str] = Counter()
    guard = Guard(said, local=where in _LOOPBACK)
    store: Any = getattr(bench, "store", bench)
    application: Any = make_application(store, guard, skips)
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", limit_concurrency=_CONNECTIONS, http="h11",
        timeout_keep_alive=10, timeout_graceful_shutdown=10, server_header=False, loop="asyncio",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="workbench-api", daemon=True)
    thread.start()
    shown = f"[{where}]" if ":" in where else where
    return Serving(f"http://{shown}:{listening.getsockname()[1]}", said, skips, server, thread)


def _token(given: str | bool, path: str) -> str | None:
    if given is False:
        return None
    if given is True:
        return make_token(token_file(path))
    if len(given) < 16:
        raise InvalidInput(
            f"a token of {len(given)} characters is too short: give at least 16, or True to have one made."
        )
    return given


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that the port is had before the thread begins."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise InvalidInput(
            f"port {port} of {host} cannot be had ({error.strerror or error}): give another, or 0."
        ) from error
    listening.setblocking(False)
    return listening
