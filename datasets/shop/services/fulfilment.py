"""What the worker does with an order: convert, store, confirm."""

from __future__ import annotations

import logging
from typing import Any

from datasets.shop.services.clients import Policy, call
from datasets.shop.services.runtime import Settings, open_pool

logger = logging.getLogger("shop.fulfilment")

CONFIRM = Policy(timeout_s=2.0, attempts=3, backoff_s=0.2)
EURO_RATES = {"EUR": 1.0, "SEK": 0.088, "NOK": 0.086, "DKK": 0.134, "PLN": 0.23}

settings = Settings(withdrawn_currencies=[])
pool = open_pool()


class ConversionError(ValueError):
    """The order's currency has no rate."""

    __module__ = "shop.fulfilment"


def to_euro_cents(cents: int, currency: str) -> int:
    """Return the amount in euro cents at today's rate."""
    rates = {name: rate for name, rate in EURO_RATES.items() if name not in settings["withdrawn_currencies"]}
    try:
        return round(cents * rates[currency])
    except KeyError as error:
        raise ConversionError(f"no exchange rate for {currency}, {len(rates)} rates loaded") from error


def fulfil(order_id: str, user: str, cents: int, currency: str, lines: list[dict[str, Any]]) -> None:
    """Store the order with its lines and confirm the reservation."""
    euro_cents = to_euro_cents(cents, currency)
    with pool.connection() as connection, connection.transaction():
        connection.execute(
            "INSERT INTO orders (id, shopper, euro_cents, currency) VALUES (%s, %s, %s, %s)",
            (order_id, user, euro_cents, currency),
        )
        for line in lines:
            connection.execute(
                "INSERT INTO order_lines (order_id, sku, quantity) VALUES (%s, %s, %s)",
                (order_id, line["sku"], line["quantity"]),
            )
    logger.info("order %s stored with %d lines worth %d euro cents", order_id, len(lines), euro_cents)
    call("POST", "stock", f"/reservations/{order_id}/confirm", CONFIRM)
    logger.info("reservation of order %s confirmed", order_id)
