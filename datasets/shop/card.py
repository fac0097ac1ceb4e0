"""The card of a recording: a page for people, never read by software."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from datasets.shop.counts import count
from datasets.shop.events import timestamp
from datasets.shop.faults import SURGE
from datasets.shop.plan import Outcome, Plan
from datasets.shop.scenarios import Scenario
from datasets.shop.supervisor import EXCLUDED_METRICS, VERSIONS

_PACKAGES = ("opentelemetry-sdk", "opentelemetry-distro", "flask", "waitress", "requests", "psycopg", "redis", "celery")

_WHAT = {
    None: "Nothing breaks. Alarms raised here are false alarms.",
    "latency": "A step inside the service takes about 0.4 s longer; nothing fails.",
    "errors": "The service fails for shoppers of two markets, about 45 % of the work.",
    "bad_deploy": "A new version fails on data the old one handled; it is rolled back at the end.",
    "memory_leak": "The service keeps every state of every cart, and searches through them.",
    "cpu_saturation": "Background threads run without a pause and compete for the interpreter lock.",
    "lock_contention": "A background job holds a lock nearly all the time that requests need.",
    "slow_query": "An index of the table the service reads is gone, so the database scans the table.",
    "dependency_down": "The process is killed and started again at the end.",
    "retry_storm": "A flag gives the client of the stock a timeout shorter than the answer takes, and ten attempts.",
    "traffic_surge": f"Shoppers come {SURGE:g} times as often.",
}

_QUIRKS = """\
- Message bodies are stored as they came over HTTP; the exporters sent them uncompressed.
- Spans are exported about a second after they end, so the first messages hold a few that began before the window.
- The worker's Redis client is not instrumented (polling the queue would make a span every second); trace context still
  reaches the worker in the message headers.
- Health checks and the settings page are excluded from traces and HTTP metrics. PostgreSQL and Redis have no telemetry
  of their own; they are seen through their clients (`db.system.name`).
- File paths are shortened inside the processes (`shop/cart.py`, `site-packages/...`). Services are reached by name.
- In profiles `wall` counts every thread, the idle ones too; `cpu` is the thread's own clock. The sampler leaves itself
  out. Its label `thread` is the thread's name.
- A leaf frame in the file `<native>` names the C function a frame was calling (`time.sleep`, `self._lock.__enter__`).
- A deploy starts the new process beside the old one, which is stopped two seconds after traffic moved: for that time
  two `service.instance.id` report.
- `system.cpu.utilization` and `system.memory.utilization` are of the whole machine, which also did other work.
"""


def write_card(folder: Path, scenario: Scenario, plan: Plan, outcome: Outcome, compressed: int) -> None:
    """Write README.md beside the streams of a recording."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    answers = ", ".join(f"{status}: {number}" for status, number in sorted(outcome.statuses.items()))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    raised = "raised (nice -10, their scheduling groups too)" if outcome.raised_priority else "normal"
    fault = "none"
    if outcome.fault_start and outcome.fault_end:
        fault = f"{timestamp(outcome.fault_start)} to {timestamp(outcome.fault_end)}"
    lines = [
        f"# {scenario.name}",
        "",
        _WHAT[scenario.kind],
        "",
        f"- Service: {scenario.service or 'none'}; kind: {scenario.kind or 'none'}; fault: {fault}",
        f"- Recorded: {timestamp(outcome.start)} to {timestamp(outcome.end)}, after {plan.warm_up_s:g} s of warm-up",
        f"- Load: seed {plan.seed}, {plan.rate:g} requests/s from outside (open loop); answers: {answers}",
        f"- Services: {', '.join(f'{name} {version}' for name, version in VERSIONS.items())}; PostgreSQL and Redis",
        f"- Python {platform.python_version()}, {', '.join(versions)}",
        "- Instrumentation: opentelemetry-instrument, no telemetry code in the services; all traces sampled; metrics"
        f" every 5 s; left out: {EXCLUDED_METRICS.replace(',', ', ')}",
        "- Profiles: 100 Hz in process, one pprof message per service and 10 s",
        f"- Priority of the shop's processes: {raised}; the machine had two cores and other work",
        f"- Requests that arrived gzipped and were unpacked: {compressed}",
        "",
        "| holds | number |",
        "| --- | --- |",
        *(f"| {name} | {number} |" for name, number in count(folder).items()),
        "",
        "| file | bytes |",
        "| --- | --- |",
        *(f"| {name} | {size} |" for name, size in sizes.items()),
        "",
        "Streams are zstd; inside, each message follows its length as a protobuf varint. `truth.json` names the cause;"
        " `events.json` lists the changes made, innocent ones too. Nothing was edited after recording.",
        "",
        _QUIRKS,
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
