"""A small OTLP/HTTP receiver on loopback that keeps request bodies exactly as they arrive."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

#: Request path -> the file the bodies end up in.
STREAMS: Final = {
    "/v1/traces": "traces.otlp.zst",
    "/v1/metrics": "metrics.otlp.zst",
    "/v1/logs": "logs.otlp.zst",
    "/v1/profiles": "profiles.pprof.zst",
}


class Receiver:
    """Listens on a free port; keeps bodies only while `recording` is set."""

    def __init__(self) -> None:
        self.recording = False
        self.bodies: dict[str, list[bytes]] = {name: [] for name in STREAMS.values()}
        self.compressed_requests = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                packed = self.headers.get("Content-Encoding") == "gzip"
                known = self.path in STREAMS
                if known:
                    receiver.keep(STREAMS[self.path], gzip.decompress(body) if packed else body, packed)
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True).start()

    @property
    def address(self) -> str:
        """Base address of the receiver."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, stream: str, body: bytes, was_compressed: bool) -> None:
        """Append one body to its stream if a recording is under way."""
        with self._lock:
            if self.recording:
                self.bodies[stream].append(body)
                self.compressed_requests += was_compressed

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
