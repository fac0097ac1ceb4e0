"""Native histograms of a block: counted. Here they would become histogram columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.sources.tsdb.chunks import Found

__all__ = ["UNSTORED", "count_histograms"]

UNSTORED = "native histogram sample, which is not stored yet"
"""The reason under which they are counted."""


def count_histograms(found: Found, which: npt.NDArray[np.bool_]) -> int:
    """Return how many samples some sound chunks of histograms hold."""
    at = found.begin[which]
    return int((found.data[at].astype(np.int64) << 8 | found.data[at + 1]).sum())
