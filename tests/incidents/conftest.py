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
    events = build_events(
        {
            "time": [at(200), at(295), at(330)],
            "kind": ["flag", "deploy", "alert"],
            "service": ["shop" + text, "pay" + text, "shop" + text],
            "title": ["Flag wide switched on" + text, "Deployed pay 2.0" + text, "Error budget burns" + text],
        }
    )
    empty = np.empty(0, "datetime64[ns]")
    return Telemetry(
        window=(START, at(600)),
        metrics=build_samples(pd.DataFrame({"metric": ["m"]}), [0], [at(1)], [1.0]),
        logs=build_logs({"time": [at(310)], "severity": [17], "body": ["boom" + text], "service": ["pay"]}),
        spans=requests(),
        profiles=build_profiles(empty, []) if False else _no_profiles(),
        events=events,
    )
