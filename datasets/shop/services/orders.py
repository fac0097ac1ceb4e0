"""The queue between the gateway and the worker, and the one task on it."""

from __future__ import annotations

from typing import Any

from celery import Celery  # type: ignore[import-untyped]

queue = Celery("orders", broker="redis://redis:6379/1")
queue.conf.update(
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_timeout": 2.0, "socket_connect_timeout": 1.0, "max_retries": 2},
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
    task_default_queue="orders",
)


@queue.task(name="orders.record_order")  # type: ignore[untyped-decorator]
def record_order(order_id: str, user: str, cents: int, currency: str, lines: list[dict[str, Any]]) -> None:
    """Write an accepted order down and confirm its goods; runs in the worker."""
    # Imported late: the gateway only enqueues and must not open the worker's database pool.
    from datasets.shop.services.fulfilment import fulfil

    fulfil(order_id, user, cents, currency, lines)
