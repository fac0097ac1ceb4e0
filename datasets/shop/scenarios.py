"""The incidents the shop can play: which service breaks, and how."""

from __future__ import annotations

from dataclasses import dataclass

#: The kinds of faults, as they are written into a recording's truth.
KINDS = (
    "latency",
    "errors",
    "bad_deploy",
    "memory_leak",
    "cpu_saturation",
    "lock_contention",
    "slow_query",
    "dependency_down",
    "retry_storm",
    "traffic_surge",
)


@dataclass(frozen=True)
class Scenario:
    """One incident: `service` breaks by `kind`; both are None when nothing breaks.

    `seed` is the default seed of its recording.
    """

    name: str
    service: str | None
    kind: str | None
    seed: int


_TABLE: tuple[tuple[str, str | None, str | None, int], ...] = (
    ("payment-latency", "payment", "latency", 101),
    ("catalogue-bad-deploy", "catalogue", "bad_deploy", 102),
    ("cart-memory-leak", "cart", "memory_leak", 103),
    ("stock-cpu-saturation", "stock", "cpu_saturation", 104),
    ("payment-lock-contention", "payment", "lock_contention", 105),
    ("catalogue-slow-query", "catalogue", "slow_query", 106),
    ("stock-down", "stock", "dependency_down", 107),
    ("cart-retry-storm", "cart", "retry_storm", 108),
    ("worker-errors", "worker", "errors", 109),
    ("gateway-traffic-surge", "gateway", "traffic_surge", 110),
    ("quiet", None, None, 111),
    # The same faults in other places; kept apart so that a diagnosis can be scored on incidents it was not built on.
    ("redis-down", "redis", "dependency_down", 201),
    ("stock-slow-query", "stock", "slow_query", 202),
    ("cart-latency", "cart", "latency", 203),
    ("payment-bad-deploy", "payment", "bad_deploy", 204),
    ("catalogue-cpu-saturation", "catalogue", "cpu_saturation", 205),
    ("gateway-errors", "gateway", "errors", 206),
)

#: Every scenario by name.
SCENARIOS = {row[0]: Scenario(*row) for row in _TABLE}


def find_scenario(name: str) -> Scenario:
    """Return the scenario called `name`.

    Raises
    ------
    ValueError
        There is none; the message lists the known names.
    """
    if name not in SCENARIOS:
        raise ValueError(f"no scenario is called {name!r}; the shop knows {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
