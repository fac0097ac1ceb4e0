"""Start one service of the shop inside its process: ``python -m datasets.shop.launch payment``.

Runs under ``opentelemetry-instrument``, before the service's own code. It gives the process what a container would:
names of other services that resolve, file paths that do not show the machine, and a profiler.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

from datasets.shop import neutral, profiler


def resolve_services(routes_path: str) -> None:
    """Let ``http://payment:8080`` reach the port the supervisor picked, as the DNS of a cluster would.

    The routes file maps a service name to its present port. It is read at every look-up, so that a new release takes
    over with the next connection.
    """
    system_lookup = socket.getaddrinfo

    def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        with open(routes_path, encoding="utf-8") as file:
            routes: dict[str, int] = json.load(file)
        if host in routes:
            host, port = "127.0.0.1", routes[host]
        return system_lookup(host, port, *args, **kwargs)

    socket.getaddrinfo = lookup


def leave(signum: int, frame: FrameType | None) -> None:
    """End through the normal exit path, so that buffered telemetry is sent."""
    raise SystemExit(0)


def main() -> None:
    """Prepare the process and run the service named on the command line until it is told to stop."""
    service = sys.argv[1]
    neutral.apply()
    resolve_services(os.environ["SHOP_ROUTES"])
    profiler.start(service, os.environ["SHOP_ENVIRONMENT"], os.environ["SHOP_PROFILES"], os.getppid())
    signal.signal(signal.SIGTERM, leave)
    module = importlib.import_module(f"datasets.shop.services.{service}")
    module.main()


if __name__ == "__main__":
    main()
