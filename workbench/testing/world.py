"""A seeded incident: a shop of three services, ten minutes, the last of which slow down in `stock`.

Small enough for a unit test (about 3,000 spans), whole enough for an investigation: all five signals agree on
what broke.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.diagnose import Scene, Telemetry, Window, build_facts
from workbench.signals import (
    Profiles,
    Samples,
    build_events,
    build_logs,
    build_profiles,
    build_samples,
    build_spans,
)

__all__ = ["FAULT", "HOSTILE", "WINDOW", "empty_world", "fault_scene", "incident_world", "quiet_scene"]

_START = np.datetime64("2024-05-01T12:00:00", "ns")


def _minute(minutes: float) -> np.datetime64:
    return _START + np.timedelta64(round(minutes * 60), "s")


WINDOW: Window = (_START, _minute(10))
"""What the telemetry covers."""

FAULT: Window = (_minute(6), _minute(9))
"""When `stock` is slow."""

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\"'</script><script>alert(1)</script>"
"""Text that telemetry may carry and no page or terminal may obey."""

SERVICES = ("gateway", "cart", "stock")


def incident_world(seed: int = 0, *, hostile: bool = False) -> Telemetry:
    """Return the telemetry of the incident.

    Parameters
    ----------
    seed : int, optional
    hostile : bool, optional
        Whether log bodies, operation names, functions and event titles carry `HOSTILE`.
    """
    generator = np.random.default_rng(seed)
    spice = f" {HOSTILE}" if hostile else ""
    spans = _spans(generator, spice)
    return Telemetry(
        window=WINDOW,
        metrics=_metrics(generator, spans),
        logs=_logs(spans, spice),
        spans=spans,
        profiles=_profiles(generator, spice),
        events=build_events(
            {
                "time": [_minute(3), _minute(7)],
                "kind": ["deploy", "alert"],
                "service": ["cart", "gateway"],
                "env": "shop",
                "title": [f"deploy 1.2.4{spice}", f"latency above 500 ms{spice}"],
                "severity": [9, 17],
            }
        ),
    )


def empty_world() -> Telemetry:
    """Return telemetry of the same window without a single row."""
    none = np.empty(0, "datetime64[ns]")
    return Telemetry(
        window=WINDOW,
        metrics=build_samples(pd.DataFrame({"metric": []}), [], none, []),
        logs=build_logs({"time": none}),
        spans=build_spans({"time": none}),
        profiles=build_profiles({"time": none, "stack": [], "value": []}, []),
        events=build_events({"time": none}),
    )


def fault_scene(seed: int = 0) -> Scene:
    """Return the incident with its true windows, as checks read it."""
    return _scene(incident_world(seed))


def quiet_scene() -> Scene:
    """Return a scene without any telemetry."""
    return _scene(empty_world())


def _scene(telemetry: Telemetry) -> Scene:
    return Scene(telemetry, build_facts(telemetry.spans), (_START, _minute(5.5)), FAULT)


def _spans(generator: np.random.Generator, spice: str) -> pd.DataFrame:
    """Return one trace per second and a bit: gateway calls cart, cart calls stock, five spans each."""
    n = 700
    begin = np.sort(generator.integers(0, 600 * 10**9, n))
    slow = (begin >= 360 * 10**9) & (begin < 540 * 10**9)
    work = (
        generator.gamma(9.0, 2e6, (3, n)) + np.where(slow, [[0], [0], [1]], 0) * generator.gamma(9.0, 6e7, n)
    ).astype(np.int64)
    failed = generator.random(n) < 0.005
    stock = work[2]
    call_stock = stock + 2 * 10**6
    cart = call_stock + work[1]
    call_cart = cart + 2 * 10**6
    gateway = call_cart + work[0]
    layers = (
        ("gateway", "server", f"GET /cart{spice}", gateway, 0, ""),
        ("gateway", "client", "GET", call_cart, 10**6, "cart"),
        ("cart", "server", "GET /items", cart, 2 * 10**6, ""),
        ("cart", "client", "GET", call_stock, 3 * 10**6, "stock"),
        ("stock", "server", "GET /stock", stock, 4 * 10**6, ""),
    )
    trace = [f"{i:032x}" for i in range(1, n + 1)]
    frames = []
    for depth, (service, kind, name, duration, offset, peer) in enumerate(layers):
        frames.append(
            pd.DataFrame(
                {
                    "time": _START + (begin + offset).astype("timedelta64[ns]"),
                    "duration_ns": duration,
                    "trace_id": trace,
                    "span_id": [f"{i * 8 + depth:016x}" for i in range(1, n + 1)],
                    "parent_span_id": [f"{i * 8 + depth - 1:016x}" if depth else "" for i in range(1, n + 1)],
                    "name": name,
                    "kind": kind,
                    "status": np.where(failed & (depth == 4), "error", "unset"),
                    "service": service,
                    "env": "shop",
                    "http.request.method": "GET",
                    "server.address": peer or None,
                }
            )
        )
    table = pd.concat(frames, ignore_index=True)
    return build_spans({name: table[name] for name in table.columns})


def _logs(spans: pd.DataFrame, spice: str) -> pd.DataFrame:
    served = spans[spans["kind"] == "server"]
    took = served["duration_ns"] // 10**6
    slow = (took > 250) & (served["service"] == "stock")
    calm = "handled " + served["name"] + " in " + took.astype("str") + " ms"
    return build_logs(
        {
            "time": served["time"] + pd.to_timedelta(served["duration_ns"], unit="ns"),
            "severity": np.where(slow, 13, 9),
            "body": calm.where(~slow, "waited " + took.astype("str") + " ms for a row lock on item" + spice),
            "service": served["service"],
            "env": served["env"],
            "trace_id": served["trace_id"],
            "span_id": served["span_id"],
        }
    )


def _metrics(generator: np.random.Generator, spans: pd.DataFrame) -> Samples:
    """Return CPU gauges and request counters of every service, one sample per 5 s."""
    edges = np.arange(0, 605, 5) * 10**9
    times = _START + edges.astype("timedelta64[ns]")
    labels, values = [], []
    for service in SERVICES:
        served = spans[(spans["service"] == service) & (spans["kind"] == "server")]
        since = np.sort((served["time"].to_numpy() - _START).astype(np.int64))
        labels.append({"metric": "http.server.request.duration_count", "service": service, "env": "shop"})
        values.append(np.searchsorted(since, edges, side="right").astype(np.float64))
        labels.append({"metric": "process.cpu.utilization", "service": service, "env": "shop"})
        values.append(np.round(generator.normal(0.2, 0.02, len(edges)), 3))
    row = np.repeat(np.arange(len(labels)), len(edges))
    kinds = ["histogram", "gauge"] * len(SERVICES)
    return build_samples(labels, row, np.tile(times, len(labels)), np.concatenate(values), kinds, ["", "1"] * 3)


def _profiles(generator: np.random.Generator, spice: str) -> Profiles:
    stacks = [
        (("main", "app.py", 1), ("handle", "app.py", 20)),
        (("main", "app.py", 1), ("handle", "app.py", 20), (f"encode{spice}", "json.py", 7)),
        (("main", "app.py", 1), ("wait_for_lock", "locks.py", 9)),
    ]
    seconds = np.tile(np.arange(0, 600, 2), len(SERVICES))
    service = np.repeat(SERVICES, 300)
    locked = (service == "stock") & (seconds >= 360) & (seconds < 540)
    return build_profiles(
        {
            "time": _START + seconds.astype("timedelta64[s]"),
            "service": service,
            "env": "shop",
            "sample_type": "wall",
            "stack": np.where(locked, 2, generator.integers(0, 2, len(seconds))),
            "value": np.full(len(seconds), 10**7),
        },
        stacks,
        {"wall": "nanoseconds"},
        10**7,
    )
