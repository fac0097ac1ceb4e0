"""Named points at which a fault test ends the process, as a power cut or the kernel's out-of-memory killer would."""

from __future__ import annotations

import os
import signal
from collections import Counter

__all__ = ["POINTS", "reach"]

POINTS = (
    "append.prepared", "append.committed",
    "segment.temporary", "segment.renamed",
    "seal.written", "seal.committed",
    "compact.written", "compact.committed",
    "rollup.written", "rollup.committed",
    "tier.copied", "tier.committed", "tier.deleted",
    "delete.committed", "delete.file",
    "vacuum.started", "vacuum.done",
)  # fmt: skip
"""Every point, in the order of a store's life; `operation.what has just been done`."""

_VARIABLE = "WORKBENCH_CRASH_AT"
_WANTED = os.environ.get(_VARIABLE, "")
_reached: Counter[str] = Counter()


def reach(point: str) -> None:
    """Kill the process (SIGKILL) when `$WORKBENCH_CRASH_AT` is this point, or `point:n` and this is the n-th time."""
    if not _WANTED:
        return
    name, _, nth = _WANTED.partition(":")
    if name == point:
        _reached[point] += 1
        if _reached[point] >= int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
