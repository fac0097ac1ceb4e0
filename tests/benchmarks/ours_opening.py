"""A store of very many series and segment files: how long a fresh process takes to open it and to find series by tag."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import Meter

PODS_PER_NODE = 100


def _labels(first: int, n: int) -> Any:
    """Return the labels of series `first` to `first + n`: pods of a large cluster, ten metrics of each."""
    import pandas as pd

    number = np.arange(first, first + n)
    pod = number // 10
    columns = {
        "metric": np.char.add("container_metric_", (number % 10).astype("U")),
        "namespace": np.char.add("team-", (pod // 1000).astype("U")),
        "node": np.char.add("node-", (pod // PODS_PER_NODE).astype("U")),
        "pod": np.char.add("pod-", pod.astype("U")),
        "zone": np.char.add("zone-", (pod // PODS_PER_NODE % 3).astype("U")),
    }
    return pd.DataFrame({name: values.astype(object) for name, values in columns.items()}).astype("str")


def build_large(folder: str, series: int, files: int) -> dict[str, Any]:
    """Fill a store with `files` segments that together bring `series` series; return counts and CPU seconds."""
    from workbench.signals import Batch, Samples
    from workbench.store import Store

    meter, each = Meter(), -(-series // files)
    began = meter.now()
    with Store.open(folder) as store:
        for i in range(files):
            first = i * each
            n = min(each, series - first)
            stamp = np.datetime64("2026-01-01T00:00:01", "ns") + np.timedelta64(i * 600, "s")
            kind, unit = np.full(n, "gauge", object), np.full(n, "", object)
            moments, values = np.full(n, stamp), np.arange(first, first + n, dtype=float)
            samples = Samples(_labels(first, n), np.arange(n + 1), moments, values, kind, unit)
            store.write(Batch(metrics=samples))
            store.seal()
    spent = meter.now() - began
    return {"cpu": spent, "segments": sum(1 for _ in Path(folder).rglob("*-chunks.parquet"))}


def open_large(folder: str, series: int) -> dict[str, Any]:
    """Return milliseconds, CPU and wall, of opening and of tag queries, the first and later ones; and what was found.

    This process has loaded the libraries but not opened any store before.
    """
    import workbench.store
    from workbench.signals import Matcher

    meter, out = Meter(), {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began, clock = meter.now(), time.perf_counter()
        answer = work()
        out[name] = {"cpu": (meter.now() - began) * 1e3, "wall": (time.perf_counter() - clock) * 1e3}
        return answer

    node, pod = f"node-{series // 10 // PODS_PER_NODE // 2}", f"pod-{series // 20}"
    asked = {
        "one node": [Matcher("node", "=", node)],
        "one pod, one metric": [Matcher("pod", "=", pod), Matcher("metric", "=", "container_metric_3")],
        "pattern": [Matcher("pod", "=~", "pod-1[0-9]?0"), Matcher("metric", "=~", ".*_(1|2)")],
        "negation": [Matcher("node", "=", node), Matcher("metric", "!=", "container_metric_3")],
    }
    store = timed("open", lambda: workbench.store.Store.open(folder))
    found = {}
    for repeat in ("first", "again", "again"):
        for name, matchers in asked.items():
            found[name] = len(timed(f"{name}, {repeat}", lambda given=matchers: store.series(given)))
    timed("one node's samples", lambda: store.select(asked["one node"]))
    store.close()
    return {"times": out, "found": found}
