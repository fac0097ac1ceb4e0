"""The front door: turns what a shopper does into calls to the services behind it."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from datasets.shop.services.clients import Policy, UpstreamError, call
from datasets.shop.services.orders import record_order
from datasets.shop.services.runtime import Settings, create_app, serve

logger = logging.getLogger("shop.gateway")

READ = Policy(timeout_s=2.0, attempts=2, backoff_s=0.1)
WRITE = Policy(timeout_s=3.0, attempts=1)
CURRENCY_FORMATS = {
    "de-DE": "{:.2f} EUR",
    "sv-SE": "{:.2f} SEK",
    "nb-NO": "{:.2f} NOK",
    "da-DK": "{:.2f} DKK",
    "pl-PL": "{:.2f} PLN",
}

settings = Settings(withdrawn_locales=[])
app = create_app("gateway", settings)


def format_price(cents: int, locale: str) -> str:
    """Return the price as the shopper's language writes it."""
    formats = {name: text for name, text in CURRENCY_FORMATS.items() if name not in settings["withdrawn_locales"]}
    return formats[locale].format(cents / 100)


@app.errorhandler(UpstreamError)
def upstream_failed(error: UpstreamError) -> ResponseReturnValue:
    """Say with 502 that a service behind the gateway failed, and keep the stack trace in the log."""
    logger.error("request %s %s could not be served: %s", request.method, request.path, error, exc_info=error)
    return jsonify(error="service unavailable"), 502


@app.get("/browse")
def browse() -> ResponseReturnValue:
    """One page of a category."""
    category = request.args.get("category", 0, type=int)
    locale = request.headers.get("X-Locale", "de-DE")
    found = call("GET", "catalogue", f"/products?category={category}", READ)
    for product in found["products"]:
        product["price"] = format_price(product["price_cents"], locale)
    logger.info("listed %d products of category %d for locale %s", len(found["products"]), category, locale)
    return jsonify(found)


@app.get("/product/<int:product_id>")
def product_page(product_id: int) -> ResponseReturnValue:
    """One product with its reviews."""
    locale = request.headers.get("X-Locale", "de-DE")
    product = call("GET", "catalogue", f"/products/{product_id}", READ)
    product["price"] = format_price(product["price_cents"], locale)
    logger.info("product page %d rendered with %d reviews", product_id, len(product["reviews"]))
    return jsonify(product)


@app.post("/cart/<user>/items")
def add_item(user: str) -> ResponseReturnValue:
    """Put a product into the shopper's cart."""
    body: dict[str, Any] = request.get_json()
    added = call("POST", "cart", f"/carts/{user}/items", WRITE, body)
    logger.info("user %s put %d x %s into the cart", user, body["quantity"], body["sku"])
    return jsonify(added), 201


@app.post("/checkout/<user>")
def checkout(user: str) -> ResponseReturnValue:
    """Pay for the cart, reserve the goods, hand the order to the worker."""
    order_id = str(uuid.uuid4())
    currency = request.get_json()["currency"]
    cart = call("GET", "cart", f"/carts/{user}", READ)
    if not cart["items"]:
        logger.warning("user %s tried to check out an empty cart", user)
        return jsonify(error="cart is empty"), 409
    total = sum(item["quantity"] * item["price_cents"] for item in cart["items"])
    charge = call("POST", "payment", "/charges", WRITE, {"order_id": order_id, "cents": total, "currency": currency})
    lines = [{"sku": item["sku"], "quantity": item["quantity"]} for item in cart["items"]]
    call("POST", "stock", "/reservations", WRITE, {"order_id": order_id, "lines": lines})
    record_order.apply_async(args=[order_id, user, total, currency, lines])
    call("DELETE", "cart", f"/carts/{user}", WRITE)
    logger.info("order %s accepted: %d lines, %d cents, charge %s", order_id, len(lines), total, charge["charge_id"])
    return jsonify(order_id=order_id, total_cents=total), 202


def main() -> None:
    """Run the service."""
    serve(app, threads=16)
