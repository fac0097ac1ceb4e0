"""A selector over samples in memory, and samples made from plain lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.signals import Matcher, Samples, build_samples, match

SECOND = 10**9


class Memory:
    """Selects from samples it was given."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def select(
        self, matchers: Sequence[Matcher], start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Samples:
        found = self.samples.take(match(self.samples.labels, matchers))
        return found if start is None or end is None else found.between(start, end)


def memory(series: Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]) -> Memory:
    """Return a selector over (labels, [(seconds, value), ...])."""
    points = [(i, round(t * SECOND), v) for i, (_, samples) in enumerate(series) for t, v in samples]
    rows, times, values = zip(*points, strict=True) if points else ((), (), ())
    labels = [{"metric": "", **names} for names, _ in series] or [{"metric": ""}]
    return Memory(build_samples(labels, np.array(rows, np.int64), np.array(times, "datetime64[ns]"), list(values)))


def at(seconds: float) -> np.datetime64:
    """Return an instant, seconds after 1970."""
    return np.datetime64(round(seconds * SECOND), "ns")


def seconds(length: float) -> np.timedelta64:
    """Return a duration."""
    return np.timedelta64(round(length * SECOND), "ns")
