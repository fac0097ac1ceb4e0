"""Figures as people read them, and the query that shows the rows behind a finding."""

from __future__ import annotations

import numpy as np

from workbench.diagnose.scene import Scene

__all__ = ["duration", "quoted", "search", "share"]


def duration(ns: float) -> str:
    """Return nanoseconds with three significant digits and the unit that suits them."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns" if np.isfinite(ns) else "unknown"


def share(part: float, whole: float) -> str:
    """Return "12 of 40 (30 %)"."""
    percent = 100 * part / whole if whole else 0.0
    return f"{part:.0f} of {whole:.0f} ({percent:.3g} %)"


def quoted(value: str) -> str:
    """Return a value as a quoted term of the search language."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def search(scene: Scene, signal: str, query: str, lead_s: int = 0) -> str:
    """Return the call that shows rows of a signal over the fault window, begun `lead_s` seconds earlier."""
    return f"bench.{signal}({query!r}, {scene.window_text(lead_s)})"
