"""A small made-up incident whose every figure is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Telemetry
from workbench.signals import build_events, build_logs, build_profiles, build_samples, build_spans

START = np.datetime64("2026-03-01T02:00:00", "ns")
HOSTILE = "<img src=x onerror=alert(1)>[a](javascript:alert(1))`|*_"


def at(seconds: float) -> np.datetime64:
    return START + np.timedelta64(round(seconds * 1e9), "ns")


def requests() -> pd.DataFrame:
    """One request a second to shop for 600 s: 20 ms; from 300 to 420 s 500 ms, every fourth failed; pay below it."""
    n = 600
    second = np.arange(n)
    bad = (second >= 300) & (second < 420)
    trace = [f"{i:032x}" for i in second]
    root = [f"{i:016x}" for i in second]
    failed = bad & (second % 4 == 0)
    status = np.where(failed, "error", "unset")
    both = {
        "time": np.concatenate([[at(s) for s in second], [at(s + 0.001) for s in second]]),
        "duration_ns": np.concatenate([np.where(bad, 500, 20), np.where(bad, 490, 10)]) * 10**6,
        "trace_id": trace * 2,
        "span_id": root + [f"{i + 10_000:016x}" for i in second],
        "parent_span_id": [""] * n + root,
        "name": ["GET /"] * n + ["POST /pay"] * n,
        "kind": ["server"] * (2 * n),
        "status": np.concatenate([status, status]),
        "service": ["shop"] * n + ["pay"] * n,
        "env": ["prod"] * (2 * n),
    }
    return build_spans(both)


def telemetry(text: str = "") -> Telemetry:
    return Telemetry(
        window=(START, at(600)),
        metrics=build_samples(pd.DataFrame({"metric": ["m"]}), [0], [at(1)], [1.0]),
        logs=build_logs({"time": [at(310)], "severity": [17], "body": ["boom" + text], "service": ["pay"]}),
        spans=requests(),
        profiles=build_profiles(
            {
                "time": [at(310), at(311)],
                "service": ["pay"] * 2,
                "sample_type": ["wall"] * 2,
                "stack": [0, 1],
                "value": [5, 900],
            },
            [[("main", "pay.py", 1), ("authorise", "pay.py", 9)], [("main", "pay.py", 1), ("idle", "pay.py", 2)]],
            {"wall": "nanoseconds"},
        ),
        events=build_events(
            {
                "time": [at(200), at(295), at(330)],
                "kind": ["flag", "deploy", "alert"],
                "service": ["shop" + text, "pay", "shop" + text],
                "title": ["Flag wide switched on" + text, "Deployed pay 2.0" + text, "Error budget burns" + text],
            }
        ),
    )


def make(text: str = "", *, abstained: bool = False) -> Investigation:
    """Return the investigation of the incident; `text` is appended to every text telemetry could have written."""
    data = telemetry(text)
    if abstained:
        nothing = build_events({"time": np.empty(0, "datetime64[ns]")})
        return Investigation(data.window, None, None, True, "Nothing stands out" + text, (), nothing, data, 0.1)
    evidence = (
        Evidence("errors", "pay", "errors", f"30 of 120 calls failed, 0 of 300 before{text}",
                 "bench.spans('service:pay')", 30.0, at(301), 120, "POST /pay"),
        Evidence("waiting", "pay", "errors", "Threads waited", "bench.profiles('service:pay', sample_type='wall')",
                 5.0, at(300), 2, "authorise"),
    )  # fmt: skip
    other = Evidence("latency", "shop", "latency", "shop was slow", "bench.spans('service:shop')", 3.0)
    anomalies = build_events(
        {"time": [at(305), at(306), at(310)], "kind": ["anomaly"] * 3, "service": ["shop", "pay", "pay"],
         "title": ["duration rose" + text, "errors rose" + text, "later"]}
    )  # fmt: skip
    hypotheses = (
        Hypothesis("pay" + text, "POST /pay" + text, "errors", 0.997, evidence),
        Hypothesis("shop", "", "latency", 0.003, (other,)),
    )
    fault = (at(300), at(430))
    return Investigation(
        data.window, (START, at(295)), fault, False, "pay failed" + text, hypotheses, anomalies, data, 0.1
    )


@pytest.fixture(scope="session")
def investigation() -> Investigation:
    return make()


@pytest.fixture(scope="session")
def hostile() -> Investigation:
    return make(HOSTILE)


@pytest.fixture(scope="session")
def quiet() -> Investigation:
    return make(abstained=True)


@pytest.fixture(scope="session")
def make_investigation() -> Callable[..., Investigation]:
    return make
