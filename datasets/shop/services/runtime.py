"""What every service of the shop shares: configuration, the web server, the database pool and background jobs."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg_pool
import redis
import waitress  # type: ignore[import-untyped]
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

logger = logging.getLogger("shop.runtime")


class Settings:
    """Tunables that can be changed while the service runs, as an operator would through an admin page."""

    def __init__(self, **defaults: Any) -> None:
        self._values: dict[str, Any] = dict(defaults)
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def update(self, changes: dict[str, Any]) -> None:
        """Change several tunables at once; a name the service does not have is refused."""
        with self._lock:
            unknown = sorted(set(changes) - set(self._values))
            if unknown:
                raise KeyError(f"no such setting: {', '.join(unknown)}")
            self._values = {**self._values, **changes}


def version() -> tuple[int, ...]:
    """Return the running release as numbers, so that code can tell old behaviour from new."""
    return tuple(int(part) for part in os.environ.get("SERVICE_VERSION", "1.0.0").split("."))


def configure_logging() -> None:
    """Log from INFO to standard error; what else listens on the root logger is left alone."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.addHandler(handler)


def create_app(name: str, settings: Settings) -> Flask:
    """Create a Flask application with the two endpoints every service has: health and settings."""
    configure_logging()
    app = Flask(name)

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return jsonify(status="ok", service=name)

    @app.post("/admin/settings")
    def change_settings() -> ResponseReturnValue:
        settings.update(request.get_json())
        return jsonify(status="ok")

    return app


def serve(app: Flask, threads: int = 8) -> None:
    """Serve until the process is told to stop."""
    logger.info("service %s version %s ready with %d workers", app.name, ".".join(map(str, version())), threads)
    waitress.serve(app, host="127.0.0.1", port=int(os.environ["SERVICE_PORT"]), threads=threads, ident=None)


def open_pool(size: int = 6) -> psycopg_pool.ConnectionPool[Any]:
    """Open a pool of PostgreSQL connections; the address comes from the environment."""
    return psycopg_pool.ConnectionPool(
        os.environ["DATABASE_URL"], min_size=2, max_size=size, timeout=2.0, kwargs={"autocommit": True}, open=True
    )


def open_cache() -> redis.Redis:
    """Open a Redis client with short timeouts: a cache that hangs is worse than none."""
    return redis.Redis(host="redis", port=6379, socket_timeout=1.0, socket_connect_timeout=0.5, decode_responses=True)


class BackgroundJob:
    """Work repeated in threads; the number of threads and the pause follow two settings.

    ``<name>_threads`` threads run `work`; each sleeps ``<name>_pause_s`` between rounds.
    """

    def __init__(self, name: str, settings: Settings, work: Callable[[], None]) -> None:
        self._name = name
        self._settings = settings
        self._work = work
        self._running = 0
        threading.Thread(target=self._keep_staffed, name=f"{name}-scheduler", daemon=True).start()

    def _keep_staffed(self) -> None:
        wake = threading.Event()
        while True:
            while self._running < int(self._settings[f"{self._name}_threads"]):
                self._running += 1
                threading.Thread(
                    target=self._run, args=(self._running,), name=f"{self._name}-{self._running}", daemon=True
                ).start()
            wake.wait(0.5)

    def _run(self, number: int) -> None:
        pause = threading.Event()
        while number <= int(self._settings[f"{self._name}_threads"]):
            self._work()
            remaining = float(self._settings[f"{self._name}_pause_s"])
            if remaining > 0:
                pause.wait(remaining)
        self._running -= 1
