"""The anomaly explorer as a widget: choose service, metric and threshold, see what would have paged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.panels.explorer import ExplorerData

__all__ = ["explorer"]


def explorer(data: ExplorerData) -> Any:
    """Return the widget; empty data give their sentence."""
    if data.source is None or data.note:
        from IPython.display import HTML

        from workbench.panels.static import explorer as static

        return HTML(static.html(data))  # type: ignore[no-untyped-call]
    from workbench.panels.interactive.explorer import AnomalyExplorer

    return AnomalyExplorer(data)
