"""Charges: a risk score, the acquirer's answer, an entry in the ledger."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from datasets.shop.services.runtime import BackgroundJob, Settings, create_app, open_cache, open_pool, serve, version

logger = logging.getLogger("shop.payment")

settings = Settings(
    acquirer_wait_s=0.02,
    reconciliation_threads=1,
    reconciliation_pause_s=15.0,
    settlement_wait_s=0.002,
)
app = create_app("payment", settings)
pool = open_pool()
counters = open_cache()
MINOR_UNITS = {"EUR": 100, "DKK": 100, "PLN": 100}


class Ledger:
    """Entries of money moved; one lock keeps the running balance and the table in step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._balance = 0

    def post_entry(self, order_id: str, cents: int, currency: str) -> int:
        """Write an entry and return the new balance."""
        with self._lock:
            self._balance += cents
            with pool.connection() as connection:
                connection.execute(
                    "INSERT INTO ledger (order_id, cents, currency) VALUES (%s, %s, %s)", (order_id, cents, currency)
                )
            return self._balance

    def reconcile_ledger(self) -> None:
        """Compare the balance with the table while nobody may write."""
        with self._lock:
            with pool.connection() as connection:
                row = connection.execute("SELECT coalesce(sum(cents), 0)::bigint FROM ledger").fetchone()
            await_settlement_batch()
            difference = self._balance - int(row[0] if row else 0)
        logger.info("ledger reconciled, difference %d cents", difference)


def await_settlement_batch() -> None:
    """Wait for the bank's settlement file to be complete."""
    time.sleep(float(settings["settlement_wait_s"]))


ledger = Ledger()


def score_risk(order_id: str, cents: int) -> float:
    """Return a risk between 0 and 1 from the amount and the number of recent charges."""
    recent = int(str(counters.incr("charges:recent")))
    counters.expire("charges:recent", 60)
    return min(1.0, cents / 5_000_000 + recent / 10_000)


def authorise_with_acquirer(order_id: str, cents: int) -> str:
    """Ask the acquirer, whose answer takes a while."""
    time.sleep(float(settings["acquirer_wait_s"]) * random.uniform(0.7, 1.5))
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{order_id}/{cents}").hex[:12]


def split_instalments(cents: int, currency: str) -> list[int]:
    """Return the amount in three parts, rounded to the currency's smallest coin."""
    unit = MINOR_UNITS[currency]
    part = cents // 3 // unit * unit
    return [part, part, cents - 2 * part]


@app.post("/charges")
def charge() -> ResponseReturnValue:
    """Charge an order."""
    body = request.get_json()
    order_id, cents, currency = body["order_id"], body["cents"], body["currency"]
    risk = score_risk(order_id, cents)
    if risk > 0.95:
        logger.warning("order %s needs a manual check: risk %.2f for %d cents", order_id, risk, cents)
    code = authorise_with_acquirer(order_id, cents)
    logger.info("acquirer authorised order %s with code %s, risk %.3f", order_id, code, risk)
    if version() >= (3, 2, 0):
        logger.info("order %s can be paid in parts %s", order_id, split_instalments(cents, currency))
    balance = ledger.post_entry(order_id, cents, currency)
    logger.info("charged %d cents %s for order %s, ledger balance %d", cents, currency, order_id, balance)
    return jsonify(charge_id=code), 201


def main() -> None:
    """Run the service."""
    BackgroundJob("reconciliation", settings, ledger.reconcile_ledger)
    serve(app)
