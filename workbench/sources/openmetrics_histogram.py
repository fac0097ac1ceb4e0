"""Whether the samples of an OpenMetrics histogram fit together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise

from workbench.sources.exposition_lines import Line

__all__ = ["check_histogram"]


def check_histogram(family: str, samples: Sequence[tuple[Line, Decimal | None]]) -> str | None:
    """Return the rule of OpenMetrics 1.0 that a histogram or gauge histogram breaks, if any.

    Of the samples of one label set and time: bounds increase and end with +Inf, counts do not fall, the count equals
    the last bucket, sum and count come together, no sum stands beside negative bounds.
    """
    for _, members in groupby(samples, key=lambda sample: (_labels(sample[0], family), sample[1])):
        broken = _check_one(family, [line for line, _ in members])
        if broken is not None:
            return broken
    return None


def _labels(line: Line, family: str) -> tuple[tuple[str, str], ...]:
    own = "le" if line.name == family + "_bucket" else None
    return tuple(sorted(item for item in line.labels.items() if item[0] != own))


def _check_one(family: str, lines: Sequence[Line]) -> str | None:
    try:
        bounds = [(float(line.labels["le"]), line.value) for line in lines if line.name == family + "_bucket"]
    except (KeyError, ValueError):
        return "a bucket needs a label le that is a number or +Inf"
    parts = {line.name[len(family) :]: line.value for line in lines}
    if set(parts) == {"_created"}:
        return None
    count = parts.get("_count", parts.get("_gcount"))
    total = parts.get("_sum", parts.get("_gsum"))
    if not bounds or bounds[-1][0] != math.inf:
        return "a histogram must end with a bucket +Inf"
    negative = bounds[0][0] < 0
    rules = {
        "buckets of a histogram must be in order": any(high[0] <= low[0] for low, high in pairwise(bounds)),
        "bucket counts of a histogram must not fall": any(high[1] < low[1] for low, high in pairwise(bounds)),
        "a histogram's count must be that of its bucket +Inf": count is not None and count != bounds[-1][1],
        "a histogram must have both count and sum or neither": (count is None) != (total is None),
        "a histogram must not have a sum beside negative bounds": negative and "_sum" in parts,
        "a gauge histogram's sum is negative without negative bounds": not negative and parts.get("_gsum", 0.0) < 0,
    }
    return next((rule for rule, broken in rules.items() if broken), None)
