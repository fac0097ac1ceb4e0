"""Native histograms as remote write spells them, written by protobuf itself."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np

BASE = 1 << 20
STALE = float(np.uint64(0x7FF0000000000002).view(np.float64))


class Sample(NamedTuple):
    count: float
    sum: float
    schema: int
    zero_threshold: float
    zero_count: float
    buckets: dict[int, float]
    """By key."""


def spans(message: Any, kept: dict[int, float], name: str, *, whole: bool) -> None:
    """Lay buckets out as spans of at most two gaps filled with zeros, and differences or counts."""
    indexes = sorted(kept)
    runs: list[list[int]] = []
    for index in indexes:
        if runs and index - runs[-1][-1] <= 2:
            runs[-1] += range(runs[-1][-1] + 1, index + 1)
        else:
            runs.append([index])
    last = 0
    previous = 0
    for run in runs:
        getattr(message, f"{name}_spans").add(offset=run[0] - last, length=len(run))
        last = run[-1] + 1
        for index in run:
            value = kept.get(index, 0)
            if whole:
                getattr(message, f"{name}_deltas").append(int(value) - previous)
                previous = int(value)
            else:
                getattr(message, f"{name}_counts").append(value)


def add(series: Any, at: int, sample: Sample, *, whole: bool) -> None:
    message = series.histograms.add(
        sum=sample.sum, schema=sample.schema, zero_threshold=sample.zero_threshold, timestamp=at
    )
    ending, kind = ("int", int) if whole else ("float", float)
    setattr(message, f"count_{ending}", kind(sample.count))
    setattr(message, f"zero_count_{ending}", kind(sample.zero_count))
    if sample.sum == sample.sum:
        spans(message, {k - BASE: v for k, v in sample.buckets.items() if k > 0}, "positive", whole=whole)
        spans(message, {-k - BASE: v for k, v in sample.buckets.items() if k < 0}, "negative", whole=whole)


def observed(seed: int, n: int, *, whole: bool) -> list[Sample]:
    """A histogram that grows: buckets come up, counts rise, one sample is stale."""
    rng = random.Random(seed)
    buckets: dict[int, float] = {}
    zero, found = 0.0, []
    for i in range(n):
        if i == n // 2:
            found.append(Sample(1, STALE, 0, 0.0, 0, {}))  # a count of 0 would not be sent
            continue
        for _ in range(rng.randint(0, 6)):
            index = rng.randint(-20, 20) + i // 5
            key = BASE + index if rng.random() < 0.7 else -(BASE + index)
            buckets[key] = buckets.get(key, 0) + (rng.randint(1, 900) if whole else rng.random() * 50)
        zero += rng.randint(0, 3)
        count = sum(buckets.values()) + zero
        found.append(Sample(count, rng.normalvariate(0, 1e4), 3, 0.001 if seed % 2 else 2.0**-128, zero, dict(buckets)))
    return found
