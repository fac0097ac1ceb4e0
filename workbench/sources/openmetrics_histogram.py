"""Whether the samples of an OpenMetrics histogram fit together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise

from workbench.sources.exposition_lines import Line, LineError

__all__ = ["check_histogram"]


def check_histogram(family: str, samples: Sequence[tuple[Line, Decimal | None]]) -> None:
    """Raise `LineError` where a histogram or gauge histogram breaks a rule of OpenMetrics 1.0.

    Of the samples of one label set and time: bounds increase and end with +Inf, counts do not fall, the count equals
    the last bucket, sum and count come together, no sum stands beside negative bounds.
    """
    for _, members in groupby(samples, key=lambda sample: (_labels(sample[0], family), sample[1])):
        _check_one(family, [line for line, _ in members])


def _labels(line: Line, family: str) -> tuple[tuple[str, str], ...]:
    own = "le" if line.name == family + "_bucket" else None
    return tuple(sorted(item for item in line.labels.items() if item[0] != own))


def _check_one(family: str, lines: Sequence[Line]) -> None:
    bounds = [(float(line.labels["le"]), line.value) for line in lines if line.name == family + "_bucket"]
    parts = {line.name[len(family) :]: line.value for line in lines}
    count = parts.get("_count", parts.get("_gcount"))
    total = parts.get("_sum", parts.get("_gsum"))
    if not bounds or bounds[-1][0] != math.inf:
        raise LineError(f"histogram {family[:80]!r} has no bucket +Inf at its end")
    for (low, less), (high, more) in pairwise(bounds):
        if high <= low:
            raise LineError(f"buckets of histogram {family[:80]!r} are not in order")
        if more < less:
            raise LineError(f"bucket counts of histogram {family[:80]!r} fall")
    if count is not None and count != bounds[-1][1]:
        raise LineError(f"the count of histogram {family[:80]!r} is not that of its bucket +Inf")
    if (count is None) != (total is None):
        raise LineError(f"histogram {family[:80]!r} has only one of count and sum")
    negative = bounds[0][0] < 0
    if negative and "_sum" in parts:
        raise LineError(f"histogram {family[:80]!r} has a sum beside negative bounds")
    if not negative and parts.get("_gsum", 0.0) < 0:
        raise LineError(f"gauge histogram {family[:80]!r} has a negative sum without negative bounds")
