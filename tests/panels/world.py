# ruff: noqa: E501, B023, PERF401
"""A small seeded incident: six services, a database, a queue; `pay` slows down and fails after a deploy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Telemetry
from workbench.signals import build_events, build_logs, build_profiles, build_samples, build_spans

START = np.datetime64("2025-03-01T12:00:00", "ns")
END = np.datetime64("2025-03-01T12:15:00", "ns")
FAULT = (np.datetime64("2025-03-01T12:08:20", "ns"), np.datetime64("2025-03-01T12:13:00", "ns"))
BASELINE = (START, np.datetime64("2025-03-01T12:08:00", "ns"))
SERVICES = ("gateway", "checkout", "cart", "pay", "stock", "mail")
Rename = Callable[[str], str]


def at(seconds: float) -> np.datetime64:
    return START + np.timedelta64(int(seconds * 1e9), "ns")


def plain(text: str) -> str:
    return text


def spans(rng: np.random.Generator, name: Rename = plain, n: int = 1500) -> pd.DataFrame:
    """Traces gateway -> checkout -> (cart, stock -> db, pay -> bank), checkout -> orders (queue) -> mail."""
    rows: list[dict[str, object]] = []
    begin = np.sort(rng.uniform(0, 890, n))
    for i, t in enumerate(begin):
        bad = 500 <= t < 780
        trace = f"{i:032x}"
        slow = rng.gamma(4, 55) if bad else rng.gamma(4, 9)
        failed = bad and rng.random() < 0.18
        count = 0

        def add(
            parent: str, service: str, span: str, kind: str, offset: float, ms: float, error: bool = False, **more: str
        ) -> str:
            nonlocal count
            count += 1
            me = f"{i:08x}{count:08x}"
            rows.append(
                {
                    "time": at(t + offset / 1e3), "duration_ns": int(ms * 1e6), "trace_id": trace, "span_id": me,
                    "parent_span_id": parent, "name": name(span), "kind": kind, "status": "error" if error else "ok",
                    "service": name(service), "env": "prod", **more,
                }
            )  # fmt: skip
            return me

        rest = rng.gamma(4, 3)
        root = add("", "gateway", "POST /order", "server", 0, 30 + slow + rest, failed)
        call = add(root, "gateway", "POST", "client", 1, 26 + slow + rest, failed)
        check = add(call, "checkout", "POST /checkout", "server", 2, 22 + slow + rest, failed)
        cart = add(check, "checkout", "GET", "client", 3, 6)
        add(cart, "cart", "GET /cart", "server", 3.5, 5)
        stock = add(check, "checkout", "PUT", "client", 10, 6 + rest)
        held = add(stock, "stock", "PUT /stock", "server", 10.5, 5 + rest)
        add(
            held,
            "stock",
            "UPDATE stock",
            "client",
            11,
            3 + rest,
            **{"db.system.name": "postgresql", "db.namespace": name("shop")},
        )
        pay = add(check, "checkout", "POST", "client", 15 + rest, 4 + slow, failed)
        paid = add(pay, "pay", "POST /pay", "server", 15.5 + rest, 3 + slow, failed)
        add(
            paid, "pay", "POST", "client", 16 + rest, 2 + 0.8 * slow, failed, **{"server.address": name("bank.example")}
        )
        if i % 3 == 0 and not failed:
            sent = add(
                check,
                "checkout",
                "orders publish",
                "producer",
                20 + rest,
                1,
                **{"messaging.system": "nats", "messaging.destination.name": name("orders")},
            )
            add(
                sent,
                "mail",
                "orders process",
                "consumer",
                30 + rest,
                12,
                **{"messaging.system": "nats", "messaging.destination.name": name("orders")},
            )
    return build_spans(pd.DataFrame(rows))


def logs(rng: np.random.Generator, name: Rename = plain) -> pd.DataFrame:
    rows = []
    for t in np.sort(rng.uniform(0, 900, 2200)):
        bad = 500 <= t < 780
        service = SERVICES[int(rng.integers(6))]
        rows.append((t, 9, f"request {rng.integers(1e6)} served in {rng.integers(5, 90)} ms", service))
        if bad and rng.random() < 0.25:
            rows.append(
                (t, 17, f"card declined by bank.example after {rng.integers(900, 4000)} ms: upstream timed out", "pay")
            )
            rows.append(
                (t, 13, f"payment attempt {rng.integers(1, 4)} failed, retrying order {rng.integers(1e6)}", "checkout")
            )
        if rng.random() < 0.05:
            rows.append((t, 5, f"cache refreshed, {rng.integers(100)} entries dropped", "stock"))
        if rng.random() < 0.01 and not bad:
            rows.append((t, 9, "heartbeat from worker ok", "mail"))
    time, severity, body, service = zip(*rows, strict=True)
    return build_logs(
        {
            "time": [at(t) for t in time], "severity": severity, "body": [name(b) for b in body],
            "service": [name(s) for s in service], "env": ["prod"] * len(rows),
        }
    )  # fmt: skip


def metrics(rng: np.random.Generator, name: Rename = plain):
    labels, series, time, value, kinds, units = [], [], [], [], [], []
    stamps = np.arange(0, 900, 10.0)
    bad = (stamps >= 500) & (stamps < 780)

    def put(label: dict[str, str], values: np.ndarray, kind: str, unit: str) -> None:
        series.extend([len(labels)] * len(stamps))
        labels.append({k: name(v) for k, v in label.items()})
        time.extend(at(s) for s in stamps)
        value.extend(values.tolist())
        kinds.append(kind)
        units.append(unit)

    for service in SERVICES:
        used = 120e6 + 2e6 * rng.standard_normal(90) + (np.cumsum(bad) * 6e6 if service == "pay" else 0)
        put({"metric": "process.memory.usage", "service": service, "env": "prod"}, used, "gauge", "By")
    for state, load in (("idle", 12 - 9 * bad), ("used", 4 + 12.0 * bad)):
        put(
            {"metric": "db.client.connection.count", "service": "pay", "state": state, "env": "prod"},
            load + rng.random(90),
            "gauge",
            "{connection}",
        )
    count = np.cumsum(20 + rng.poisson(5, 90))
    total = np.cumsum(np.where(bad, 5.0, 0.8) * 20 * (1 + 0.1 * rng.random(90)))
    for part, values in (("_count", count), ("_sum", total)):
        put(
            {"metric": "http.client.request.duration" + part, "service": "pay", "env": "prod"},
            values.astype(float),
            "histogram",
            "s",
        )
    put(
        {"metric": "process.cpu.time", "service": "pay", "env": "prod"},
        np.cumsum(1 + 3.0 * bad + 0.1 * rng.random(90)),
        "counter",
        "s",
    )
    return build_samples(labels, series, np.array(time), value, kinds, units)


def profiles(rng: np.random.Generator, name: Rename = plain):
    trunk = [
        ("<module>", "/app/pay/__main__.py", 1),
        ("run", "/usr/lib/uvicorn/server.py", 60),
        ("handle", "/app/pay/http.py", 88),
    ]
    leaves = {
        "charge": [("charge", "/app/pay/charge.py", 20), ("sign", "/app/pay/crypto.py", 14), ("sha256", "<built-in>", 0)],
        "wait": [("charge", "/app/pay/charge.py", 22), ("acquire", "/usr/lib/python3.11/threading.py", 310)],
        "retry": [("charge", "/app/pay/charge.py", 25), ("retry", "/app/pay/retry.py", 9), ("post", "/usr/lib/httpx/_client.py", 1150), ("send", "/usr/lib/httpx/_transports.py", 230), ("recv", "<built-in>", 0)],
        "json": [("render", "/app/pay/http.py", 120), ("dumps", "/usr/lib/python3.11/json/__init__.py", 183)],
        "old": [("render", "/app/pay/http.py", 121), ("compress", "/app/pay/gzip_.py", 7)],
        "gc": [("collect", "<built-in>", 0)],
    }  # fmt: skip
    stacks = [[(name(f), name(file), line) for f, file, line in trunk + leaf] for leaf in leaves.values()]
    rows = []
    for t in np.arange(0, 900, 2.0):
        weights = np.array([5, 9, 30, 3, 0, 1]) if 500 <= t < 780 else np.array([14, 2, 6, 8, 4, 1])
        for stack in rng.choice(6, 4, p=weights / weights.sum()):
            rows.append((at(t), int(stack)))
    time, stack = zip(*rows, strict=True)
    n = len(rows)
    return build_profiles(
        {
            "time": list(time), "service": [name("pay")] * n, "env": ["prod"] * n, "sample_type": ["cpu"] * n,
            "stack": list(stack), "value": [10_000_000] * n,
        },
        stacks, {"cpu": "nanoseconds"}, 10_000_000,
    )  # fmt: skip


def events(name: Rename = plain) -> pd.DataFrame:
    rows = [
        (505, None, "deploy", "pay", "pay 1.8.3 rolled out", 9), (60, None, "deploy", "mail", "mail 0.4.1 rolled out", 9),
        (180, 260, "scale", "stock", "2 to 3 replicas", 9), (410, None, "flag", "checkout", "new-basket on for 10 %", 9),
        (520, 790, "alert", "gateway", "Order latency above 500 ms", 13), (560, 790, "alert", "checkout", "5xx share above 5 %", 17),
        (300, None, "config", "", "log level set to info everywhere", 9), (640, None, "note", "", "on-call joins", 9),
    ]  # fmt: skip
    none = np.datetime64("NaT", "ns")
    return build_events(
        {
            "time": [at(r[0]) for r in rows], "end": [none if r[1] is None else at(r[1]) for r in rows],
            "kind": [r[2] for r in rows], "service": [name(r[3]) if r[3] else "" for r in rows],
            "env": ["prod"] * len(rows), "title": [name(r[4]) for r in rows], "severity": [r[5] for r in rows],
        }
    )  # fmt: skip


def anomalies(name: Rename = plain) -> pd.DataFrame:
    rows = [
        (502, 782, "pay", "latency p95 rose from 70 ms to 480 ms", 'latency{service="pay"}', 19.5),
        (510, 790, "pay", "db.client.connection.count rose from 4 to 16", 'db.client.connection.count{service="pay",state="used"}', 14.0),
        (530, 770, "pay", "process.memory.usage rose from 114 MiB to 200 MiB", 'process.memory.usage{service="pay"}', 9.0),
        (505, 785, "checkout", "latency p95 rose from 110 ms to 520 ms", 'latency{service="checkout"}', 15.0),
        (505, 785, "gateway", "latency p95 rose from 130 ms to 560 ms", 'latency{service="gateway"}', 12.0),
        (200, 215, "stock", "process.cpu.time rose from 1 to 1.4", 'process.cpu.time{service="stock"}', 4.2),
    ]  # fmt: skip
    n = len(rows)
    return build_events(
        {
            "time": [at(r[0]) for r in rows], "end": [at(r[1]) for r in rows], "kind": ["anomaly"] * n,
            "service": [name(r[2]) for r in rows], "env": ["prod"] * n, "title": [name(r[3]) for r in rows],
            "severity": [13] * n, "score": [r[5] for r in rows], "detector": ["level"] * n, "series": [name(r[4]) for r in rows],
        }
    )  # fmt: skip


def hypotheses(name: Rename = plain) -> tuple[Hypothesis, ...]:
    def say(
        check: str, service: str, kind: str, statement: str, query: str, strength: float, onset: float, rows: int
    ) -> Evidence:
        return Evidence(name(check), name(service), kind, name(statement), name(query), strength, at(onset), rows, "")

    pay = (
        say("self_time", "pay", "dependency_down", "Self time of POST /pay rose from 36 ms to 220 ms (median), 6.1 times, while its callers only waited.", 'bench.spans("service:pay")', 31.0, 501, 2990),
        say("errors", "pay", "dependency_down", "18 % of calls to bank.example failed, none before.", 'bench.spans("service:pay status:error")', 24.0, 503, 88),
        say("new_templates", "pay", "dependency_down", "A new error line: card declined by bank.example after <*> ms: upstream timed out (412 times).", "bench.logs(\"service:pay status:error\")", 18.5, 504, 412),
        say("metrics", "pay", "dependency_down", "db.client.connection.count in state used rose from 4 to 16.", "bench.metrics('db.client.connection.count{service=\"pay\"}')", 11.0, 510, 180),
        say("metrics", "pay", "dependency_down", "http.client.request.duration rose from 0.8 s to 5 s.", "bench.metrics('http.client.request.duration')", 9.0, 512, 90),
    )  # fmt: skip
    bad = (
        say(
            "deploys",
            "pay",
            "bad_deploy",
            "pay 1.8.3 was rolled out 5 s before the first slow request.",
            'bench.events("kind:deploy")',
            8.0,
            505,
            1,
        ),
    )
    shop = (
        say(
            "self_time",
            "checkout",
            "retry_storm",
            "Retries of checkout rose from 0 to 1.4 per order.",
            'bench.logs("service:checkout")',
            6.0,
            520,
            300,
        ),
    )
    return (
        Hypothesis(name("pay"), name("POST /pay"), "dependency_down", 0.81, pay),
        Hypothesis(name("pay"), name("1.8.3"), "bad_deploy", 0.11, bad),
        Hypothesis(name("checkout"), "", "retry_storm", 0.05, shop),
    )


def investigation(name: Rename = plain, seed: int = 7) -> Investigation:
    rng = np.random.default_rng(seed)
    telemetry = Telemetry(
        (START, END), metrics(rng, name), logs(rng, name), spans(rng, name), profiles(rng, name), events(name)
    )
    return Investigation(
        (START, END), BASELINE, FAULT, False,
        name("pay is the likely cause (81 %): its calls to bank.example became 6.1 times slower and 18 % of them fail."),
        hypotheses(name), anomalies(name), telemetry, 2.31,
    )  # fmt: skip


def quiet(summary: str = "Nothing differs from normal by more than chance would do in this window.") -> Investigation:
    """An investigation that abstains, without any telemetry."""
    telemetry = Telemetry(
        (START, END), build_samples([], [], np.empty(0, "datetime64[ns]"), []), build_logs({"time": []}),
        build_spans({"time": []}), build_profiles({"time": [], "stack": [], "value": []}, []), build_events({"time": []}),
    )  # fmt: skip
    return Investigation((START, END), None, None, True, summary, (), build_events({"time": []}), telemetry, 0.4)
