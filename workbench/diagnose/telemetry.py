"""Read the shapes of one window out of a store."""

from __future__ import annotations

from workbench.diagnose.investigation import Telemetry, Window
from workbench.store import Store

__all__ = ["load_telemetry"]


def load_telemetry(store: Store, window: Window) -> Telemetry:
    """Return everything a store holds of a half-open window, all five signals.

    Parameters
    ----------
    store : Store
    window : (datetime64[ns], datetime64[ns])
    """
    start, end = window
    return Telemetry(
        window=window,
        metrics=store.select((), start, end),
        logs=store.rows("logs", start, end),
        spans=store.rows("spans", start, end),
        profiles=store.profiles(start, end),
        events=store.rows("events", start, end),
    )
