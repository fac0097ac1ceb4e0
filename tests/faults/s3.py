"""An S3-speaking server process that fails on purpose: moto's server behind a proxy that follows a seeded plan.

`python s3.py` prints its port and serves until its standard input closes. `POST /_plan` takes the faults as JSON and
clears the counters, `GET /_seen` gives what was asked since. A plan: `{"seed": 1, "error": 0.3, ...}`, the share of
requests that

    error   are answered 503 and not carried out         lost    are carried out, and the connection closed unanswered
    cut     end in the middle of their body              short   have half the body, and a length that fits it
    flip    have a bit changed in every 997 bytes         stale   (listings) are answered as the time before
    slow    are answered after `slow_s` seconds

`first` are the requests that fail for certain (503), `only` a regular expression on `METHOD path`.
"""

from __future__ import annotations

import json
import logging
import random
import re
import subprocess
import sys
import threading
import uuid
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

_KINDS = ("error", "lost", "cut", "short", "flip", "stale", "slow")
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_EMPTY = re.compile(rb"<(Contents|CommonPrefixes)>.*?</\1>", re.S)

_lock = threading.Lock()
_plan: dict[str, Any] = {}
_seen: dict[str, Any] = {}
_listed: dict[str, bytes] = {}


def begin(plan: dict[str, Any]) -> None:
    """Follow a new plan and count anew."""
    _plan.clear()
    _plan.update(plan)
    _seen.clear()
    _seen.update(requests=0, methods=Counter(), faults=Counter(), body_bytes=0, log=[])
    _listed.clear()


def choose(request: str, listing: bool) -> str:
    """Return the fault of this request, "" for none: the same for the same plan and number of the request."""
    with _lock:
        number = _seen["requests"]
        _seen["requests"] += 1
        _seen["methods"][request.split()[0]] += 1
        if not re.search(_plan.get("only", ""), request):
            return ""
        draw, fault = random.Random(f"{_plan.get('seed', 0)} {number}").random(), ""
        if number < _plan.get("first", 0):
            fault = "error"
        for kind in _KINDS:
            if not fault and draw < _plan.get(kind, 0) and (kind != "stale" or listing):
                fault = kind
            draw -= _plan.get(kind, 0)
            if draw < 0:
                break
        _seen["faults"][fault] += bool(fault)
        return fault


class Proxy(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    backend = 0

    def log_message(self, *about: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: int | None = None) -> None:
        with _lock:
            _seen["body_bytes"] += len(body) if self.command == "GET" else 0
            _seen["log"].append([self.command, self.path, self.headers.get("Range", ""), status, len(body)])
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the client has lost patience
            self.close_connection = True

    def serve(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path in ("/_plan", "/_seen"):
            told = json.dumps(_seen).encode()
            if sent:
                begin(json.loads(sent))
            self.answer(200, [], told)
            _seen["log"].pop()
            return None
        listing = "list-type=" in self.path
        fault = choose(f"{self.command} {self.path}", listing)
        if fault == "error":
            return self.answer(503, [("Content-Type", "application/xml")], _BUSY)
        if fault == "slow":
            threading.Event().wait(_plan.get("slow_s", 1.0))
        there = HTTPConnection("127.0.0.1", self.backend, timeout=60)
        there.request(self.command, self.path, sent, {k: v for k, v in self.headers.items() if k.lower() != "host"})
        got = there.getresponse()
        body, headers, length = got.read(), got.getheaders(), None
        there.close()
        if self.command == "HEAD":
            length = int(got.getheader("Content-Length") or 0)
        if listing:
            old = _listed.get(self.path, _EMPTY.sub(b"", body))
            _listed[self.path], body = body, old if fault == "stale" else body
        if fault == "lost":
            self.close_connection = True
            return None
        if self.command == "GET" and got.status < 300 and body:
            if fault == "flip":
                body = bytes(b ^ 16 if i % 997 == len(body) % 997 else b for i, b in enumerate(body))
            if fault in ("cut", "short"):
                length = len(body) if fault == "cut" else None
                body = body[: len(body) // 2]
                self.close_connection = fault == "cut"
        return self.answer(got.status, headers, body, length)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve  # noqa: N815


class Server:
    """The server process as a test holds it: its plan, its counters, and the environment that leads to it."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        names = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
        self.environment = {**names, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1"}

    def _ask(self, method: str, path: str, sent: bytes | None = None) -> bytes:
        with urlopen(Request(self.url + path, data=sent, method=method), timeout=60) as answer:
            got: bytes = answer.read()
        return got

    def bucket(self) -> str:
        """Make a bucket and return its URL."""
        name = f"cold-{uuid.uuid4().hex[:12]}"
        self.plan()
        self._ask("PUT", f"/{name}")
        self.plan()
        return f"s3://{name}"

    def plan(self, **faults: Any) -> None:
        """Fail like this from now on, and count anew."""
        self._ask("POST", "/_plan", json.dumps(faults).encode())

    def seen(self) -> dict[str, Any]:
        """Return `requests`, `methods`, `faults`, `body_bytes` and the `log` since the plan began."""
        found: dict[str, Any] = json.loads(self._ask("GET", "/_seen"))
        return found

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


def main() -> None:
    """Serve until standard input closes."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    behind.start()
    Proxy.backend = behind.get_host_and_port()[1]
    begin({})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
