"""Samples from the future: a clock that runs ahead would hide every later sample of its series.

The store itself takes any instant from 1970 to 2261, for recordings and simulations have clocks of their own. Who takes
samples as they happen asks for a limit.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import numpy as np

from workbench.signals import Batch

__all__ = ["TOO_FAR", "without_future"]

TOO_FAR = "sample further in the future than allowed"
"""The reason under which such samples are counted in `Batch.skips`."""


def without_future(batch: Batch, limit_ns: int, now: np.datetime64 | None = None) -> Batch:
    """Return a batch without the samples that are further ahead than a limit, counted in its skips.

    Parameters
    ----------
    batch : Batch
        Not changed; returned as it is when all of it is kept.
    limit_ns : int
        Nanoseconds ahead of `now` that are still taken.
    now : datetime64, optional
        The clock by default.
    """
    if batch.metrics is None:
        return batch
    current = time.time_ns() if now is None else int(now.astype("datetime64[ns]").astype(np.int64))
    latest = np.datetime64(min(current + limit_ns, 2**63 - 2), "ns")
    ahead = int((batch.metrics.time > latest).sum())
    if not ahead:
        return batch
    kept = batch.metrics.between(np.datetime64(0, "ns"), latest + np.timedelta64(1, "ns"))
    return replace(batch, metrics=kept, skips=batch.skips + Counter({TOO_FAR: ahead}))
