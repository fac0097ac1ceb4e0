"""How each scenario breaks the running shop, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from datasets.shop.events import EventLog
from datasets.shop.load import Load
from datasets.shop.scenarios import Scenario
from datasets.shop.supervisor import VERSIONS, Shop

#: (service, kind) -> settings that break the service, settings that mend it.
_SETTINGS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("payment", "latency"): ({"acquirer_wait_s": 0.45}, {"acquirer_wait_s": 0.02}),
    ("cart", "latency"): ({"saved_items_wait_s": 0.42}, {"saved_items_wait_s": 0.004}),
    ("worker", "errors"): ({"withdrawn_currencies": ["SEK", "NOK"]}, {"withdrawn_currencies": []}),
    ("gateway", "errors"): ({"withdrawn_locales": ["sv-SE", "nb-NO"]}, {"withdrawn_locales": []}),
    ("cart", "memory_leak"): (
        {"history_limit": 1_000_000, "history_detail": 6000},
        {"history_limit": 20, "history_detail": 1},
    ),
    ("stock", "cpu_saturation"): (
        {"planner_threads": 4, "planner_pause_s": 0.0},
        {"planner_threads": 1, "planner_pause_s": 20.0},
    ),
    ("catalogue", "cpu_saturation"): (
        {"recommendations_threads": 4, "recommendations_pause_s": 0.0},
        {"recommendations_threads": 1, "recommendations_pause_s": 20.0},
    ),
    ("payment", "lock_contention"): (
        # A second thread, because the first may be in the middle of its long pause.
        {"reconciliation_threads": 2, "reconciliation_pause_s": 0.06, "settlement_wait_s": 0.5},
        {"reconciliation_threads": 1, "reconciliation_pause_s": 15.0, "settlement_wait_s": 0.002},
    ),
    ("cart", "retry_storm"): (
        {"stock_timeout_s": 0.02, "stock_attempts": 10, "stock_backoff_s": 0.0},
        {"stock_timeout_s": 1.5, "stock_attempts": 2, "stock_backoff_s": 0.1},
    ),
}
#: Service -> statement that makes its queries slow, statement that mends them.
_STATEMENTS = {
    "catalogue": ("DROP INDEX reviews_product", "CREATE INDEX reviews_product ON reviews (product_id)"),
    "stock": ("DROP INDEX stock_lots_sku", "CREATE INDEX stock_lots_sku ON stock_lots (sku)"),
}
#: Service -> the version whose new code path fails for a share of requests.
_BAD_VERSIONS = {"catalogue": "2.5.0", "payment": "3.2.0"}
SURGE = 6.0


class Fault:
    """The fault of one scenario in one running shop; `begin` and `end` return when it took hold and let go."""

    def __init__(self, scenario: Scenario, shop: Shop, load: Load, events: EventLog) -> None:
        self._service = scenario.service or ""
        self._kind = scenario.kind or ""
        self._shop = shop
        self._load = load
        self._events = events

    def begin(self) -> datetime:
        """Break the shop."""
        return self._action(breaking=True)()

    def end(self) -> datetime:
        """Mend the shop."""
        return self._action(breaking=False)()

    def _action(self, breaking: bool) -> Callable[[], datetime]:
        special: dict[str, Callable[[bool], datetime]] = {
            "bad_deploy": self._deploy,
            "slow_query": self._change_index,
            "dependency_down": self._crash,
            "traffic_surge": self._surge,
        }
        change = special.get(self._kind, self._change_settings)
        return lambda: change(breaking)

    def _change_settings(self, breaking: bool) -> datetime:
        broken, mended = _SETTINGS[self._service, self._kind]
        now = datetime.now(UTC)
        if self._kind == "retry_storm":
            self._events.flag(now, self._service, "stock-fast-fail", on=breaking)
        self._shop.change_settings(self._service, broken if breaking else mended)
        return now if breaking else datetime.now(UTC)

    def _deploy(self, breaking: bool) -> datetime:
        version = _BAD_VERSIONS[self._service] if breaking else VERSIONS[self._service]
        moved = self._shop.deploy(self._service, version)
        self._events.deploy(moved, self._service, version)
        return moved

    def _change_index(self, breaking: bool) -> datetime:
        now = datetime.now(UTC)
        self._shop.postgres.execute(_STATEMENTS[self._service][0 if breaking else 1])
        return now if breaking else datetime.now(UTC)

    def _crash(self, breaking: bool) -> datetime:
        now = datetime.now(UTC)
        if breaking:
            self._shop.kill(self._service)
            return now
        self._shop.restart(self._service)
        return datetime.now(UTC)

    def _surge(self, breaking: bool) -> datetime:
        self._load.multiplier = SURGE if breaking else 1.0
        return datetime.now(UTC)
