"""How much of a product the warehouses hold, and reservations against it."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

import psycopg
from flask import jsonify, request
from flask.typing import ResponseReturnValue

from datasets.shop.services.runtime import BackgroundJob, Settings, create_app, open_pool, serve

logger = logging.getLogger("shop.stock")

settings = Settings(feed_wait_s=0.02, planner_threads=1, planner_pause_s=20.0)
app = create_app("stock", settings)
pool = open_pool()


def read_warehouse_feed(sku: str) -> None:
    """Wait for the scanner feed, so that movements of the last seconds are counted."""
    time.sleep(float(settings["feed_wait_s"]) * random.uniform(0.8, 1.8))


def count_free(connection: psycopg.Connection[Any], sku: str) -> int:
    """Units on all the shelves of all warehouses."""
    row = connection.execute("SELECT coalesce(sum(quantity), 0) FROM stock_lots WHERE sku = %s", (sku,)).fetchone()
    return int(row[0]) if row else 0


@app.get("/availability/<sku>")
def availability(sku: str) -> ResponseReturnValue:
    """Free units of one product."""
    read_warehouse_feed(sku)
    with pool.connection() as connection:
        free = count_free(connection, sku)
    logger.info("sku %s has %d free units", sku, free)
    return jsonify(sku=sku, free=free)


@app.post("/reservations")
def reserve() -> ResponseReturnValue:
    """Set goods aside for an order."""
    body = request.get_json()
    with pool.connection() as connection, connection.transaction():
        for line in body["lines"]:
            connection.execute(
                "INSERT INTO reservations (order_id, sku, quantity) VALUES (%s, %s, %s)",
                (body["order_id"], line["sku"], line["quantity"]),
            )
            if count_free(connection, line["sku"]) < 50:
                logger.warning("sku %s is running low", line["sku"])
    logger.info("reserved %d lines for order %s", len(body["lines"]), body["order_id"])
    return jsonify(reserved=len(body["lines"])), 201


@app.post("/reservations/<order_id>/confirm")
def confirm(order_id: str) -> ResponseReturnValue:
    """Mark an order's goods as sold."""
    with pool.connection() as connection:
        done = connection.execute("UPDATE reservations SET confirmed = true WHERE order_id = %s", (order_id,)).rowcount
    if not done:
        logger.warning("order %s had nothing reserved", order_id)
    logger.info("confirmed %d lines of order %s", done, order_id)
    return jsonify(confirmed=done)


def score_lot(lot: int, demand: list[int]) -> int:
    """Cost of serving the demand from one lot."""
    return sum((lot * 31 + want * 17) % 101 for want in demand)


def rebuild_allocation_plan() -> None:
    """Assign lots to expected demand at the lowest cost."""
    demand = list(range(60))
    plan = {lot: score_lot(lot, demand) for lot in range(300)}
    min(plan, key=plan.__getitem__)


def main() -> None:
    """Run the service."""
    BackgroundJob("planner", settings, rebuild_allocation_plan)
    serve(app)
