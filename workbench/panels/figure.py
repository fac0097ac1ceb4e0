"""A figure: data made ready for one picture, and the ways to show it.

The data come from a panel's pure `prepare`; text, static markup and live object are three drawings of the same data, so
what a terminal prints, a mail shows and JupyterLab animates cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from workbench import registry

__all__ = ["Drawing", "Figure", "Panel", "figure", "live"]

_switch = {"live": False}


def live(enabled: bool | None = None) -> bool:
    """Switch live display in notebooks on or off, or ask; off until the notebook extension turns it on.

    Off, a figure displays as text and static markup only, which every viewer shows. `Figure.live()` works either way.
    """
    if enabled is not None:
        _switch["live"] = bool(enabled)
    return _switch["live"]


@dataclass(frozen=True)
class Drawing:
    """How one panel's data become something to look at.

    Attributes
    ----------
    text : callable
        Data to plain text for a terminal.
    html : callable
        Data to a complete, static, script-free fragment of markup.
    live : callable
        Data to an anywidget or a HoloViews object.
    """

    text: Callable[[Any], str]
    html: Callable[[Any], str]
    live: Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Figure:
    """One picture.

    Attributes
    ----------
    panel : str
        Name of the panel that made it.
    data : object
        What it shows: a frozen dataclass of plain data, from the panel's `prepare`.
    drawing : Drawing
    """

    panel: str
    data: Any
    drawing: Drawing

    def text(self) -> str:
        """Return the figure as plain text for a terminal; no control characters from telemetry survive."""
        return self.drawing.text(self.data)

    def html(self) -> str:
        """Return the figure as a static fragment: inline SVG, own styles, escaped text, no script, nothing external."""
        return self.drawing.html(self.data)

    def live(self) -> Any:
        """Return the figure as a live object: an anywidget (flame, service map) or a HoloViews object (charts)."""
        return self.drawing.live(self.data)

    def __repr__(self) -> str:
        """Return the plain text."""
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return text and static markup always, a live view beside them when live display is on."""
        bundle: dict[str, Any] = {"text/plain": self.text(), "text/html": self.html()}
        metadata: dict[str, Any] = {"workbench": {"panel": self.panel}}
        if live():
            from workbench.panels.interactive.display import add_live

            add_live(self, bundle, metadata)
        return bundle, metadata


class Panel(Protocol):
    """What a panel is: registered in `workbench.panels`, made without arguments, without state."""

    name: ClassVar[str]
    drawing: ClassVar[Drawing]

    def prepare(self, *inputs: Any, **options: Any) -> Any:
        """Return the data of a picture of the given shapes; pure."""
        ...

    def figure(self, *inputs: Any, **options: Any) -> Figure:
        """Return the picture of this kind that tells most about one investigation, or `prepare`'s picture of shapes."""
        ...


def figure(name: str, *inputs: Any, **options: Any) -> Figure:
    """Return a figure of shapes, or of an investigation.

    Parameters
    ----------
    name : str
        A registered panel: timeline, metric, service_map, flame, templates, hypotheses, forecast, capacity, anomalies,
        anomaly_explorer or a plug-in's.
    *inputs, **options
        One investigation, or what the panel's `prepare` takes.

    Raises
    ------
    NotFound
        If no such panel is registered.
    """
    made: Figure = registry.load("workbench.panels", name)().figure(*inputs, **options)
    return made
