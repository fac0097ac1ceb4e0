"""A live Prometheus on loopback with the samples of a small made-up service, and the comparison of its answers with ours.

The samples are what the compliance templates ask for: three instances, scraped every 5 s for three hours, counters with
resets, gauges, histograms, a metric that comes and goes. Values are multiples of 1/8, so that sums of them are exact in
any order.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.benchmarks.serving import Server, free_port
from tests.query.memory import Memory
from workbench.errors import WorkbenchError
from workbench.query.promql import evaluate_value
from workbench.query.promql.values import Scalar, Vector
from workbench.signals import Samples, build_samples
from workbench.signals.names import to_prometheus

START = 1_699_999_200
"""First scrape, seconds; a full two hours, as blocks are cut."""
SPAN = 3 * 3600
MS = 10**6


def demo(seed: int = 7) -> Samples:
    """Return the samples of the service."""
    rng = np.random.default_rng(seed)
    grid = START + np.arange(0, SPAN, 5)
    labels: list[dict[str, str]] = []
    series, time, value = [], [], []

    def add(name: str, values: np.ndarray, keep: np.ndarray | None = None, **extra: str) -> None:
        kept = np.ones(len(grid), bool) if keep is None else keep
        labels.append({"metric": name, "job": "demo", **extra})
        series.append(np.full(int(kept.sum()), len(labels) - 1))
        time.append(grid[kept] * 1000)
        value.append(np.round(values[kept] * 8) / 8)

    def counter(rate: float) -> np.ndarray:
        steps = rng.integers(0, max(int(rate * 16), 2), len(grid)) / 8
        for at in np.sort(rng.integers(100, len(grid), 2)):
            steps[at] = -steps[:at].sum() - steps[steps < 0].sum() * 0
        out = np.empty(len(grid))
        total = 0.0
        for k, step in enumerate(steps):
            total = max(total + step, 0.0) if step >= 0 else 0.0
            out[k] = total
        return out

    for port in (10000, 10001, 10002):
        instance = f"demo.promlabs.com:{port}"
        for kind, level in (("free", 4e9), ("used", 2e9), ("cached", 1e9), ("buffers", 3e8)):
            walk = level + np.cumsum(rng.normal(0, level / 1e3, len(grid)))
            add("demo_memory_usage_bytes", np.abs(walk), instance=instance, type=kind)
        for mode in ("idle", "user", "system"):
            add("demo_cpu_usage_seconds_total", counter(3), instance=instance, mode=mode)
        add("demo_num_cpus", np.full(len(grid), 4.0), instance=instance)
        add("demo_disk_usage_bytes", 1e10 + np.cumsum(rng.integers(0, 9000, len(grid))), instance=instance)
        add("demo_intermittent_metric", np.ones(len(grid)), (grid // 600) % 2 == port % 2, instance=instance)
        add("demo_batch_last_success_timestamp_seconds", (grid - 7) // 300 * 300.0, instance=instance)
        for path in ("/api/foo", "/api/bar"):
            counts = np.cumsum(rng.integers(0, 4, (6, len(grid))), axis=1)
            at = 1200 + port % 7 * 20
            counts[:, at:] -= counts[:, at : at + 1]
            for le, row in zip(("0.05", "0.1", "0.5", "1", "5", "+Inf"), np.cumsum(counts, axis=0), strict=True):
                add("demo_api_request_duration_seconds_bucket", row, instance=instance, path=path, le=le)
            add("demo_api_request_duration_seconds_count", counts.sum(axis=0), instance=instance, path=path)
            add("demo_api_request_duration_seconds_sum", counts.sum(axis=0) / 8, instance=instance, path=path)
    keep = rng.random(len(grid)) < 0.6
    add("demo_gappy", rng.integers(-20, 20, len(grid)).astype(float), keep, instance="demo.promlabs.com:10000")
    add("demo_gappy", np.where(rng.random(len(grid)) < 0.1, np.nan, rng.integers(0, 9, len(grid)) / 8), instance="x")
    return build_samples(
        labels, np.concatenate(series), np.concatenate(time) * MS, np.concatenate(value)
    )  # fmt: skip


def missing() -> str:
    """Return why there can be no live Prometheus here, "" when there can."""
    lacking = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    return f"{lacking[0]} is not installed" if lacking else ""


def write_blocks(samples: Samples, folder: Path) -> None:
    """Write samples as Prometheus blocks, by promtool."""
    text = folder / "samples.txt"
    names = [to_prometheus(str(c)) for c in samples.labels.columns]
    with text.open("w", encoding="utf-8") as out:
        for i, row in enumerate(samples.labels.to_numpy(dtype=object)):
            pairs = {n: v for n, v in zip(names, row, strict=True) if v}
            name = pairs.pop("__name__")
            inner = ",".join(f"{k}={json.dumps(v)}" for k, v in pairs.items())
            own = slice(samples.offsets[i], samples.offsets[i + 1])
            times = samples.time[own].view(np.int64) // MS
            for v, t in zip(samples.value[own].tolist(), times.tolist(), strict=True):
                number = "NaN" if math.isnan(v) else repr(v)
                out.write(f"{name}{{{inner}}} {number} {t // 1000}.{t % 1000:03d}\n")
        out.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    text.unlink()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start a Prometheus over a data folder; stop it at the end."""
    settings = folder.parent / f"{folder.name}.yml"
    settings.write_text("", encoding="utf-8")
    port = free_port()
    command = [
        "prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h",
    ]  # fmt: skip
    server = Server(command, port, "/-/ready", folder.parent / f"{folder.name}.log")
    try:
        yield server
    finally:
        server.stop()


Labels = tuple[tuple[str, str], ...]
Points = dict[Labels, dict[int, float]]


@dataclass
class Asked:
    """One query and the range it is asked over, seconds."""

    expr: str
    start: float = START + 2 * 3600
    end: float = START + 2 * 3600 + 1800
    step: float = 30


@dataclass
class Verdict:
    """What became of one query: `problem` is empty when both agree."""

    asked: Asked
    problem: str = ""
    worst: float = 0.0
    failed: bool = False
    where: list[str] = field(default_factory=list)


def theirs(server: Server, asked: Asked) -> Points | str:
    """Return Prometheus' answer, or the text of its error."""
    status, body = server.ask(
        "GET", "/api/v1/query_range", query=asked.expr, start=asked.start, end=asked.end, step=asked.step
    )
    found = json.loads(body)
    if status != 200:
        return str(found.get("error"))
    return {
        tuple(sorted(row["metric"].items())): {round(t * 1000): float(v) for t, v in row["values"]}
        for row in found["data"]["result"]
    }


def ours(data: Memory, asked: Asked) -> Points | str:
    """Return our answer, or the text of the error."""
    moments = [np.datetime64(round(t * 1000), "ms").astype("datetime64[ns]") for t in (asked.start, asked.end)]
    try:
        got = evaluate_value(data, asked.expr, *moments, np.timedelta64(round(asked.step * 1000), "ms"), semantics="2")
    except WorkbenchError as error:
        return str(error)
    steps = (got.steps // MS).tolist()
    if isinstance(got.value, Scalar):
        return {(): dict(zip(steps, got.value.values.tolist(), strict=True))}
    assert isinstance(got.value, Vector)
    out: Points = {}
    for i in range(got.value.labels.n):
        labels = tuple(sorted((k, str(v[i])) for k, v in got.value.labels.columns.items() if v[i] != ""))
        at = np.flatnonzero(got.value.present[i])
        if len(at):
            out[labels] = {steps[k]: float(got.value.values[i, k]) for k in at}
    return out


def apart(a: float, b: float) -> float:
    """Return the relative difference of two numbers, 0 for two NaN or two equal infinities."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def compare(server: Server, data: Memory, asked: Asked, tolerance: float) -> Verdict:
    """Ask both and say where they differ."""
    want, got = theirs(server, asked), ours(data, asked)
    if isinstance(want, str) or isinstance(got, str):
        if isinstance(want, str) and isinstance(got, str):
            return Verdict(asked, failed=True)
        return Verdict(asked, f"theirs {str(want)[:150]!r}, ours {str(got)[:150]!r}", math.inf)
    verdict = Verdict(asked)
    for labels in want.keys() | got.keys():
        mine, other = got.get(labels, {}), want.get(labels, {})
        for t in mine.keys() | other.keys():
            if t not in mine or t not in other:
                verdict.worst = math.inf
                verdict.where.append(f"{dict(labels)} at {t}: theirs {other.get(t)}, ours {mine.get(t)}")
                continue
            away = apart(mine[t], other[t])
            verdict.worst = max(verdict.worst, away)
            if away > tolerance:
                verdict.where.append(f"{dict(labels)} at {t}: theirs {other[t]!r}, ours {mine[t]!r}")
    if verdict.worst > tolerance:
        verdict.problem = f"{len(verdict.where)} points, worst {verdict.worst:.3g}: {verdict.where[0]}"
    return verdict
