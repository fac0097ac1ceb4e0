"""Shoppers: seeded journeys through the shop, started at a given pace whether or not earlier ones have finished."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests

#: Mean number of requests in one journey when nothing fails; turns requests per second into journeys per second.
REQUESTS_PER_JOURNEY = 4.3
PRODUCTS = 20_000
CATEGORIES = 40
#: Locale and currency of a shopper, and their share.
MARKETS = [("de-DE", "EUR"), ("sv-SE", "SEK"), ("nb-NO", "NOK"), ("da-DK", "DKK"), ("pl-PL", "PLN")]
MARKET_SHARES = [30, 25, 20, 15, 10]


@dataclass(frozen=True)
class _Shopper:
    name: str
    locale: str
    currency: str


class Load:
    """Open-loop load on the gateway.

    Parameters
    ----------
    gateway_port
        Asked before every request, because a deploy moves the gateway to another port.
    rate
        Requests per second, on average.
    seed
        The same seed makes the same journeys at the same distances.
    """

    def __init__(self, gateway_port: Callable[[], int], rate: float, seed: int) -> None:
        self._gateway_port = gateway_port
        self._rate = rate
        self._seed = seed
        self.multiplier = 1.0
        self.statuses: Counter[str] = Counter()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(96, thread_name_prefix="shopper")
        self._thread = threading.Thread(target=self._start_journeys, name="load", daemon=True)

    def start(self) -> None:
        """Begin to send shoppers."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more shoppers and drop those on their way."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_journeys(self) -> None:
        pace = random.Random(self._seed)
        due = time.monotonic()
        number = 0
        while not self._stop.is_set():
            due += pace.expovariate(1.0) / (self._rate / REQUESTS_PER_JOURNEY * self.multiplier)
            self._stop.wait(max(0.0, due - time.monotonic()))
            if not self._stop.is_set():
                self._pool.submit(self._journey, number)
            number += 1

    def _request(self, method: str, path: str, shopper: _Shopper, body: dict[str, Any] | None = None) -> object:
        """Return the JSON answer, or None when the request failed."""
        if self._stop.is_set():
            return None
        url = f"http://127.0.0.1:{self._gateway_port()}{path}"
        headers = {"Host": "shop.example", "X-Locale": shopper.locale}
        try:
            response = requests.request(method, url, json=body, headers=headers, timeout=10)
        except requests.RequestException as error:
            self.statuses[type(error).__name__] += 1
            return None
        self.statuses[str(response.status_code)] += 1
        return response.json() if response.ok else None

    def _journey(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        locale, currency = rng.choices(MARKETS, MARKET_SHARES)[0]
        shopper = _Shopper(f"user-{rng.randrange(600):04d}", locale, currency)
        for _ in range(rng.choice((1, 1, 2))):
            self._request("GET", f"/browse?category={rng.randrange(CATEGORIES)}", shopper)
            self._stop.wait(rng.uniform(0.2, 0.8))
        added = 0
        for _ in range(rng.choice((1, 1, 2))):
            # A few products draw most of the visits.
            product_id = 1 + int(PRODUCTS * rng.random() ** 3)
            page = self._request("GET", f"/product/{product_id}", shopper)
            self._stop.wait(rng.uniform(0.2, 0.8))
            if isinstance(page, dict) and rng.random() < 0.75:
                line: dict[str, Any] = {
                    "sku": page["sku"],
                    "quantity": rng.randint(1, 3),
                    "price_cents": page["price_cents"],
                }
                added += self._request("POST", f"/cart/{shopper.name}/items", shopper, line) is not None
                self._stop.wait(rng.uniform(0.2, 0.6))
        if added and rng.random() < 0.8:
            self._request("POST", f"/checkout/{shopper.name}", shopper, {"currency": currency})
