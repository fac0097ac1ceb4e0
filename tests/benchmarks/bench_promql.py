"""Measure PromQL beside Prometheus on the same samples, in one run; see `--help`.

Every figure is CPU time on one core: of this process for ours, from decoded samples and from the compressed store; of
the server (GOMAXPROCS=1) for Prometheus, from its own blocks. The best of a few counts. Answers are compared, too.
Nothing here fails because of time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import measure
from tests.benchmarks.report import Target, table
from tests.benchmarks.serving import Server
from tests.query import promql_live
from workbench.query.promql import evaluate_value
from workbench.query.promql.values import Vector
from workbench.signals import Batch, Samples, build_samples, match

START = 1_699_999_200 // 86_400 * 86_400 + 86_400
"""A full day, seconds."""
S = 10**9

QUERIES: dict[str, tuple[str, float | None, float | None]] = {
    "rate [5m], summed": ("sum by (job) (rate(x_total[5m]))", 0.05, 0.33),
    "rate [1h], summed": ("sum by (job) (rate(x_total[1h]))", 0.036, 0.17),
    "topk": ("sum(topk(5, rate(x_total[5m])))", 1.0, None),
    "histogram_quantile": ("histogram_quantile(0.9, sum by (le, job) (rate(h_bucket[5m])))", 1.0, None),
    "max_over_time [5m]": ("sum(max_over_time(x_total[5m]))", 1.0, None),
    "max_over_time [1h]": ("sum(max_over_time(x_total[1h]))", 1.0, None),
    "quantile_over_time": ("sum(quantile_over_time(0.9, x_total[5m]))", 1.0, None),
    "stddev_over_time": ("sum(stddev_over_time(x_total[5m]))", 1.0, None),
    "avg_over_time": ("sum(avg_over_time(x_total[5m]))", 1.0, None),
    "binary join": ("sum(rate(x_total[5m]) / on (instance) group_left () rate(x_total[10m]))", 1.0, None),
    "selector": ("sum by (job) (x_total)", 1.0, None),
    "subquery": ("sum(max_over_time(rate(x_total[5m])[30m:1m]))", 1.0, None),
}
"""Query, and the most of Prometheus' CPU it may take from decoded samples and from the store."""


class Memory:
    """Selects from decoded samples; what was selected before is kept, as decoding is not what is measured."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._kept: dict[Any, Samples] = {}

    def select(self, matchers: Any, start: Any = None, end: Any = None) -> Samples:
        """Return the samples; `start` and `end` are only a bound, which windows keep to by themselves."""
        key = tuple(matchers)
        if key not in self._kept:
            self._kept[key] = self.samples.take(match(self.samples.labels, matchers))
        return self._kept[key]


def made(series: int, seed: int = 1) -> Samples:
    """Return counters and classic histograms over a day at 15 s: jitter on half, resets, gaps."""
    rng = np.random.default_rng(seed)
    width = 5760
    grid = (START * 1000 + np.arange(width) * 15_000)[None, :]
    hosts = max(series // 20, 1)
    n = series + 8 * hosts
    times = np.repeat(grid, n, axis=0)
    times[: series // 2] += rng.integers(0, 40, (series // 2, width))
    rates = rng.integers(0, 30, (series, width)).astype(float)
    values = np.cumsum(rates, axis=1)
    for i in range(series):
        for at in np.sort(rng.integers(1, width, 2)):
            values[i, at:] -= values[i, at]
    counts = np.cumsum(np.cumsum(rng.integers(0, 4, (hosts, 8, width)), axis=2), axis=1).reshape(-1, width)
    keep = np.ones((n, width), bool)
    for i in range(series):
        at = int(rng.integers(0, width - 40))
        keep[i, at : at + 20] = i % 3 != 0
    labels = [{"metric": "x_total", "job": f"job{i % 10}", "instance": f"host{i}"} for i in range(series)]
    bounds = ("0.1", "0.2", "0.5", "1", "2", "5", "10", "+Inf")
    labels += [
        {"metric": "h_bucket", "job": f"job{i % 10}", "instance": f"host{i}", "le": le}
        for i in range(hosts)
        for le in bounds
    ]
    every = np.concatenate([values, counts])
    rows = np.repeat(np.arange(n), width).reshape(n, width)
    return build_samples(labels, rows[keep], times[keep] * 10**6, every[keep])


def ours(selector: Any, expr: str, asked: argparse.Namespace) -> Any:
    """Return our answer over the day."""
    end = START + 86_400 - asked.step
    first, last = (np.datetime64(t * S + S // 2, "ns") for t in (START, end))
    return evaluate_value(selector, expr, first, last, np.timedelta64(asked.step, "s"), semantics="2")


def theirs(server: Server, expr: str, asked: argparse.Namespace) -> bytes:
    """Return Prometheus' answer over the day."""
    end = START + 86_400 - asked.step
    given = {"query": expr, "start": START + 0.5, "end": end + 0.5, "step": asked.step}
    status, body = server.ask("GET", "/api/v1/query_range", **given)
    if status != 200:
        raise RuntimeError(f"Prometheus refused {expr}: {body[:300]!r}")
    return body


def difference(got: Any, body: bytes) -> float:
    """Return the largest relative difference of two answers, infinite where points are missing."""
    if not isinstance(got.value, Vector):
        return math.inf
    mine = {}
    steps = got.steps // 10**6
    for i in range(got.value.labels.n):
        labels = tuple(sorted((k, str(v[i])) for k, v in got.value.labels.columns.items() if v[i] != ""))
        at = np.flatnonzero(got.value.present[i])
        mine[labels] = dict(zip(steps[at].tolist(), got.value.values[i, at].tolist(), strict=True))
    worst = 0.0
    rows = json.loads(body)["data"]["result"]
    if len(rows) != sum(1 for points in mine.values() if points):
        return math.inf
    for row in rows:
        points = mine.get(tuple(sorted(row["metric"].items())), {})
        if len(points) != len(row["values"]):
            return math.inf
        for t, text in row["values"]:
            worst = max(worst, promql_live.apart(points.get(round(t * 1000), math.inf), float(text)))
    return worst


@contextmanager
def stored(samples: Samples, folder: Path) -> Iterator[Any]:
    """Write the samples to a store of ours and open it."""
    from workbench.store import Store

    with Store.open(folder) as store:
        store.write(Batch(metrics=samples))
        store.seal()
        store.compact(everything=True)
        yield store


def figures(asked: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Measure every query in every way."""
    samples = made(asked.series)
    memory = Memory(samples)
    print(f"{len(samples):,} series, {samples.n_samples:,} samples; step {asked.step} s", flush=True)
    out = []
    with ExitStack() as stack:
        store = stack.enter_context(stored(samples, work / "store")) if asked.store else None
        server = None
        if not promql_live.missing():
            blocks = work / "prometheus"
            blocks.mkdir()
            promql_live.write_blocks(samples, blocks)
            server = stack.enter_context(promql_live.serving(blocks))
        for name, (expr, _, _) in QUERIES.items():
            if asked.only and asked.only not in name:
                continue
            row: dict[str, Any] = {"query": name}
            here = measure.Meter()

            def run(selector: Any, expr: str = expr) -> Callable[[], Any]:
                return lambda: ours(selector, expr, asked)

            ours(memory, expr, asked)  # compiled loops are loaded, labels are coded
            row["decoded"], answer = here.best(run(memory), asked.best)
            if store is not None:
                row["store"], _ = here.best(run(store), asked.best)
            if server is not None:

                def ask(server: Server = server, expr: str = expr) -> bytes:
                    return theirs(server, expr, asked)

                took = []
                for _ in range(asked.best):
                    began = measure.clock_of(server.pid)
                    body = ask()
                    time.sleep(0.05)  # what its collector still does belongs to the query
                    took.append(measure.clock_of(server.pid) - began)
                row["prometheus"], row["difference"] = min(took), difference(answer, body)
            out.append(row)
            print(f"  {name}: " + ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "query"), flush=True)
    return out


def report(rows: list[dict[str, Any]]) -> str:
    """Return the figures, and the lines that are to be met."""
    body, targets = [], []
    for row in rows:
        peer = row.get("prometheus")
        ratios = [row[k] / peer if peer and k in row else None for k in ("decoded", "store")]
        cells = [row["query"], *(None if k not in row else row[k] * 1e3 for k in ("decoded", "store", "prometheus"))]
        body.append([*cells, *ratios, row.get("difference")])
        _, *limits = QUERIES[row["query"]]
        for way, ratio, limit in zip(("decoded", "store"), ratios, limits, strict=True):
            if limit is not None:
                targets.append(Target(f"{row['query']}, {way}", ratio, limit, why="no Prometheus or no store here"))
    head = ["query", "decoded ms", "store ms", "Prometheus ms", "decoded / P", "store / P", "rel. difference"]
    return "\n".join([table(head, body), "", "of Prometheus' CPU:", *(t.line() for t in targets)])


def main(given: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="counters; histograms are made for a twentieth")
    parser.add_argument("--step", type=int, default=60, help="step, seconds")
    parser.add_argument("--best", type=int, default=3, help="repetitions, of which the fastest counts")
    parser.add_argument("--only", default="", help="only queries with this in their name")
    parser.add_argument("--no-store", dest="store", action="store_false", help="leave the compressed store out")
    parser.add_argument("--core", type=int, help="core to run on (the last allowed one otherwise)")
    parser.add_argument("--json", type=Path, help="file for all figures")
    asked = parser.parse_args(given)
    os.environ.update(dict.fromkeys(measure.THREADS, "1"))
    measure.pin(asked.core)
    with tempfile.TemporaryDirectory() as folder:
        rows = figures(asked, Path(folder))
    print(report(rows))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": measure.machine(), "queries": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
