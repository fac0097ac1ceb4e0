"""Takes orders from the queue. A small web server beside it answers health checks and takes settings."""

from __future__ import annotations

import threading

from datasets.shop.services.fulfilment import settings
from datasets.shop.services.orders import queue
from datasets.shop.services.runtime import create_app, serve

app = create_app("worker", settings)


def main() -> None:
    """Run the worker."""
    threading.Thread(target=serve, args=(app, 2), name="admin", daemon=True).start()
    queue.worker_main(
        [
            "worker",
            "--pool=threads",
            "--concurrency=4",
            "--loglevel=INFO",
            "--hostname=worker@shop",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
