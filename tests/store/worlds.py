"""Small batches for the store's tests: any shape, hostile text among them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.signals import (
    Batch,
    Profiles,
    Samples,
    build_events,
    build_logs,
    build_profiles,
    build_samples,
    build_spans,
)

T0 = np.datetime64("2026-01-01T12:00:00", "ns")
S = np.timedelta64(1, "s")
HOSTILE = [
    "<script>alert(1)</script>",
    "a\x00b",
    "'; DROP TABLE hot; --",
    "\u202egnp.exe",
    "é😀",
    'a,b\n\t"c"',
    "x" * 70_000,
    "",
]


def samples(n: int = 5, t: int = 20, start: int = 0, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    labels = pd.DataFrame({"metric": [f"m{i % 3}" for i in range(n)], "service": [f"s{i}" for i in range(n)]})
    time = np.tile(T0 + (start + np.arange(t)) * 15 * S, n)
    values = np.round(rng.normal(size=n * t).cumsum(), 2)
    return build_samples(labels, np.repeat(np.arange(n), t), time, values, ["gauge"] * n, ["1"] * n)


def logs(n: int = 50, start: int = 0, **attributes: object) -> pd.DataFrame:
    time = T0 + (start + np.arange(n)) * S
    columns = {"time": time, "severity": np.full(n, 9), "body": [f"line {start + i}" for i in range(n)]}
    return build_logs({**columns, "service": [f"s{i % 3}" for i in range(n)], "env": ["prod"] * n, **attributes})


def spans(traces: int = 10, start: int = 0) -> pd.DataFrame:
    n = traces * 4
    row = np.arange(n)
    return build_spans(
        {
            "time": T0 + (start + row) * S, "duration_ns": row * 1000, "trace_id": [f"{start + i // 4:032x}" for i in row],
            "span_id": [f"{i:016x}" for i in row], "parent_span_id": [f"{i - 1:016x}" if i % 4 else "" for i in row],
            "name": [f"op{i % 5}" for i in row], "kind": ["server"] * n, "status": ["ok"] * n,
            "service": [f"s{i % 3}" for i in row], "http.route": [f"/r{i % 2}" for i in row],
            "http.response.status_code": np.where(row % 4 == 0, 500, 200),
        }
    )  # fmt: skip


def events(n: int = 4, start: int = 0) -> pd.DataFrame:
    time = T0 + (start + np.arange(n)) * S
    end = np.where(np.arange(n) % 2, time + 60 * S, np.datetime64("NaT", "ns"))
    return build_events({"time": time, "end": end, "kind": ["deploy"] * n, "title": [f"v{i}" for i in range(n)]})


def profiles(n: int = 30, start: int = 0) -> Profiles:
    stacks = [[(f"f{j}", "x.py", j) for j in range(i % 4 + 1)] + [(f"leaf{i}", "y.py", i)] for i in range(6)]
    columns = {"time": T0 + (start + np.arange(n)) * S, "stack": np.arange(n) % 7, "value": np.arange(n)}
    text = {"sample_type": ["cpu"] * n, "service": [f"s{i % 3}" for i in range(n)], "env": ["prod"] * n}
    return build_profiles({**columns, **text}, stacks, {"cpu": "nanoseconds"}, 10)


def everything(start: int = 0) -> Batch:
    return Batch(
        samples(start=start), logs(start=start), spans(start=start), profiles(start=start), events(start=start)
    )


def flame(shape: Profiles) -> list[tuple[object, ...]]:
    """Samples with their whole stacks spelled out, so that interning does not matter."""
    functions, parent = shape.frames["function"].tolist(), shape.stacks["parent"].tolist()
    frame = shape.stacks["frame"].tolist()

    def stack(node: int) -> tuple[str, ...]:
        return () if node < 0 else (*stack(parent[node]), functions[frame[node]])

    rows = shape.samples[["time", "service", "env", "sample_type", "value"]].itertuples(index=False)
    return sorted((*row, stack(leaf)) for row, leaf in zip(rows, shape.samples["stack"].tolist(), strict=True))


def assert_same_samples(left: Samples, right: Samples) -> None:
    pd.testing.assert_frame_equal(left.labels, right.labels)
    assert left.offsets.tolist() == right.offsets.tolist()
    assert left.time.tolist() == right.time.tolist()
    assert left.value.view(np.uint64).tolist() == right.value.view(np.uint64).tolist()
    assert left.kind.tolist() == right.kind.tolist()
    assert left.unit.tolist() == right.unit.tolist()
