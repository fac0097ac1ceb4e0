"""The ASGI application: a request is checked, its parameters are gathered, and its work is done in a thread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from workbench.api.answers import refusal
from workbench.api.guard import Guard
from workbench.api.parameters import Form, Refused
from workbench.api.routes import ROUTES, label_values
from workbench.api.write import receive
from workbench.errors import WorkbenchError
from workbench.sources.source import ReadOptions
from workbench.store import Store

__all__ = ["make_application"]

_FORM_BYTES, _FIELDS = 2**20, 1000
_BODY_S = 30.0
"""How long a body may take to arrive."""

_BODIES_BYTES = 256 * 2**20
"""Most bytes of all bodies together."""

_AT_ONCE = 4
"""How many requests are worked on at a time; the others wait."""

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


def make_application(store: Store, guard: Guard, skips: Counter[str]) -> Asgi:
    """Return the application over a store.

    Parameters
    ----------
    store : Store
    guard : Guard
        Who may ask.
    skips : Counter of str
        Gets what is left out of what is written.
    """
    options, limiter, bodies = ReadOptions(), CapacityLimiter(_AT_ONCE), _Bodies()

    async def answered(work: Callable[[], str]) -> Response:
        text = await to_thread.run_sync(work, limiter=limiter)
        return Response(text, media_type="application/json")

    def asked(work: Callable[[Store, Form], str]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            form = await _form(request, bodies)
            return await answered(partial(work, store, form))

        return endpoint

    async def values(request: Request) -> Response:
        form = await _form(request, bodies)
        return await answered(partial(label_values, store, form, request.path_params["name"]))

    async def write(request: Request) -> Response:
        said = (request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
        async with bodies.of(request, options.max_body_bytes) as body:
            work = partial(receive, store, body, *said, options, skips)
            return Response(status_code=204, headers=await to_thread.run_sync(work, limiter=limiter))

    async def well(request: Request) -> Response:
        return PlainTextResponse("workbench is ready.\n")

    routes = [Route(path, asked(work), methods=["GET", "POST"]) for path, work in ROUTES.items()]
    routes.append(Route("/api/v1/label/{name}/values", values, methods=["GET"]))
    routes.append(Route("/api/v1/write", write, methods=["POST"]))
    routes += [Route(path, well, methods=["GET"]) for path in ("/-/ready", "/-/healthy")]
    errors: dict[Any, Any] = {Refused: _refused, WorkbenchError: _failed, ClientDisconnect: _gone, 404: _missing}
    errors[Exception] = _broken
    return _Checked(Starlette(routes=routes, exception_handlers=errors), guard)


class _Checked:
    """The application behind the guard: nothing of a request is read before it may be made."""

    def __init__(self, inner: Starlette, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            headers = Request(scope).headers
            if not self._guard.host_allowed(headers.get("host", "")):
                answer = Response(refusal("forbidden", "this host is not served here: ask by 127.0.0.1"), 403)
                return await answer(scope, receive, send)
            if not self._guard.token_allowed(headers.get("authorization", "")):
                text = refusal("unauthorized", "a token is needed: send the header Authorization: Bearer TOKEN")
                told = {"WWW-Authenticate": "Bearer"}
                answer = Response(text, 401, headers=told, media_type="application/json")
                return await answer(scope, receive, send)
        return await self._inner(scope, receive, send)


class _Bodies:
    """The bodies that are being read or worked on, which may not take more memory together than is set."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def of(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """Give the body of a request, refused when it is too large, too slow, or too much together with the others."""
        size = 0

        async def read() -> bytes:
            nonlocal size
            parts: list[bytes] = []
            async for part in request.stream():
                size, self._held = size + len(part), self._held + len(part)
                if size > most:
                    raise Refused("bad_data", f"the body is larger than {most} bytes: send less at a time", 413)
                if self._held > _BODIES_BYTES:
                    raise Refused("unavailable", "too many bodies arrive at once: send it again later", 503)
                parts.append(part)
            return b"".join(parts)

        try:
            try:
                body = await asyncio.wait_for(read(), _BODY_S)
            except TimeoutError as error:
                raise Refused("timeout", f"the body did not arrive within {_BODY_S:.0f} s", 408) from error
            yield body
        finally:
            self._held -= size


async def _form(request: Request, bodies: _Bodies) -> Form:
    """Return the parameters of the address and of a form body; those of the body stand first, as in Go."""
    texts = [request.url.query]
    if request.method == "POST":
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            async with bodies.of(request, _FORM_BYTES) as body:
                texts.insert(0, body.decode("utf-8", "replace"))
    found: dict[str, list[str]] = {}
    try:
        for text in texts:
            for name, given in parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS).items():
                found.setdefault(name, []).extend(given)
    except ValueError as error:
        raise Refused("bad_data", f"more than {_FIELDS} parameters were given", 400) from error
    return found


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return Response(refusal(error.kind, error.message), error.status, media_type="application/json")


async def _failed(request: Request, error: Exception) -> Response:
    return Response(refusal("internal", str(error)), 500, media_type="application/json")


async def _broken(request: Request, error: Exception) -> Response:
    text = refusal("internal", f"{type(error).__name__} while answering {request.url.path}")
    return Response(text, 500, media_type="application/json")


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _missing(request: Request, error: Exception) -> Response:
    return Response(refusal("not_found", f"{request.url.path} is not served here"), 404, media_type="application/json")
