"""Where there is telemetry at all: a window asked for may be wider than what was recorded, and hold holes.

A hole is not normal time, so each stretch of unbroken telemetry is looked at for itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.diagnose.investigation import Telemetry, Window
from workbench.signals import build_spans

__all__ = ["cut", "stretches"]

_LEAST_GAP_NS = 30 * 10**9
_USUAL_GAPS = 20.0
_MOST = 12


def stretches(telemetry: Telemetry) -> list[Window]:
    """Return the windows of unbroken telemetry, those with most rows first, at most twelve.

    A gap is a hole when it lasts 30 seconds and 20 times what usually passes between instants with telemetry (the 99th
    percentile). Spans, logs and samples count; events and profiles do not, for they may lie far from everything else.

    Returns
    -------
    list of (datetime64[ns], datetime64[ns])
        Half-open, inside the telemetry's window; [] when there is no telemetry.
    """
    parts = [telemetry.spans["time"].to_numpy(), telemetry.logs["time"].to_numpy(), telemetry.metrics.time]
    stamps = np.sort(np.concatenate([np.asarray(part, "datetime64[ns]") for part in parts]).view(np.int64))
    stamps = stamps[(stamps >= telemetry.window[0].view(np.int64)) & (stamps < telemetry.window[1].view(np.int64))]
    if not len(stamps):
        return []
    gaps = np.diff(stamps)
    usual = float(np.percentile(gaps[gaps > 0], 99)) if (gaps > 0).any() else 0.0
    holes = np.flatnonzero(gaps > max(_LEAST_GAP_NS, _USUAL_GAPS * usual))
    first, last = np.append(0, holes + 1), np.append(holes, len(stamps) - 1)
    order = np.argsort(first - last, kind="stable")[:_MOST]
    return [(np.datetime64(int(stamps[first[i]]), "ns"), np.datetime64(int(stamps[last[i]]) + 1, "ns")) for i in order]


def cut(telemetry: Telemetry, window: Window) -> Telemetry:
    """Return what lies in a window; spans are linked anew. Profiles that begin just before it are kept."""
    if window == telemetry.window:
        return telemetry

    def inside(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["time"].between(*window, inclusive="left")].reset_index(drop=True)

    begun = telemetry.profiles.samples["time"].between(window[0] - np.timedelta64(10, "s"), window[1], inclusive="left")
    spans = inside(telemetry.spans)
    return Telemetry(
        window=window,
        metrics=telemetry.metrics.between(*window),
        logs=inside(telemetry.logs),
        spans=build_spans({str(name): column for name, column in spans.items()}),
        profiles=telemetry.profiles.select(begun),
        events=inside(telemetry.events),
    )
