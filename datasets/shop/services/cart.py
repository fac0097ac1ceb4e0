"""Shopping carts in Redis; every item is checked against the stock before it is put in."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from datasets.shop.services.clients import Policy, UpstreamError, call
from datasets.shop.services.runtime import Settings, create_app, open_cache, serve

logger = logging.getLogger("shop.cart")

settings = Settings(
    stock_timeout_s=1.5,
    stock_attempts=2,
    stock_backoff_s=0.1,
    saved_items_wait_s=0.004,
    history_limit=20,
    history_detail=1,
)
app = create_app("cart", settings)
store = open_cache()


class ChangeHistory:
    """The latest states of carts, kept to merge changes from two devices of one shopper."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def remember(self, user: str, items: list[dict[str, Any]]) -> None:
        """Keep a snapshot of the cart, and forget the oldest ones beyond the limit."""
        detail = int(settings["history_detail"])
        snapshot = [
            {"user": user, "line": n, "items": [dict(i) for i in items], "tag": f"{user}/{n}"} for n in range(detail)
        ]
        with self._lock:
            self._entries.append({"user": user, "snapshot": snapshot})
            del self._entries[: -int(settings["history_limit"])]

    def find_conflicts(self, user: str) -> int:
        """How many earlier snapshot lines belong to the shopper."""
        with self._lock:
            return sum(line["user"] == user for entry in self._entries for line in entry["snapshot"])


history = ChangeHistory()


def load_saved_items(user: str) -> list[dict[str, Any]]:
    """Return the items of a shopper's cart, from the store that all devices share."""
    time.sleep(float(settings["saved_items_wait_s"]) * random.uniform(0.6, 1.4))
    stored: Any = store.hgetall(f"cart:{user}")
    return [json.loads(text) for text in stored.values()]


@app.errorhandler(UpstreamError)
def stock_failed(error: UpstreamError) -> ResponseReturnValue:
    """Say that the stock could not be asked."""
    logger.error("stock check for %s failed: %s", request.path, error, exc_info=error)
    return jsonify(error="stock cannot be checked"), 503


@app.get("/carts/<user>")
def show(user: str) -> ResponseReturnValue:
    """Answer with the cart as it is."""
    items = load_saved_items(user)
    history.remember(user, items)
    logger.info("cart of %s has %d items", user, len(items))
    return jsonify(items=items)


@app.post("/carts/<user>/items")
def add(user: str) -> ResponseReturnValue:
    """Add an item if the stock has it."""
    body = request.get_json()
    policy = Policy(settings["stock_timeout_s"], settings["stock_attempts"], settings["stock_backoff_s"])
    free = call("GET", "stock", f"/availability/{body['sku']}", policy)["free"]
    if free < body["quantity"]:
        logger.warning("only %d of %s left, user %s wanted %d", free, body["sku"], user, body["quantity"])
        return jsonify(error="sold out"), 409
    store.hset(f"cart:{user}", body["sku"], json.dumps(body))
    store.expire(f"cart:{user}", 900)
    items = load_saved_items(user)
    history.remember(user, items)
    conflicts = history.find_conflicts(user)
    logger.info("item %s added to cart of %s, %d lines compared", body["sku"], user, conflicts)
    return jsonify(items=items), 201


@app.delete("/carts/<user>")
def clear(user: str) -> ResponseReturnValue:
    """Empty the cart."""
    removed = store.delete(f"cart:{user}")
    history.remember(user, [])
    logger.info("cart of %s cleared, %s keys removed", user, removed)
    return jsonify(removed=removed)


def main() -> None:
    """Run the service."""
    serve(app)
