"""The anomaly explorer: three controls, and below them the static picture, made anew when one of them moves.

Names from telemetry are options of a drop-down, which front ends set as text, and stand in the picture escaped.
"""

from __future__ import annotations

from typing import Any

import ipywidgets

from workbench.detect import Anomalies
from workbench.errors import InvalidInput
from workbench.panels.escape import clean, clip
from workbench.panels.explorer import ExplorerData, prepare
from workbench.panels.static import explorer as static

__all__ = ["AnomalyExplorer"]

_ALL = "all"


class AnomalyExplorer(ipywidgets.VBox):  # type: ignore[misc]
    """Choose service, metric and sensitivity; see pages per week, a list, and the series that paged most.

    Attributes
    ----------
    data : ExplorerData
        What is shown now.
    service, metric : ipywidgets.Dropdown
    threshold : ipywidgets.FloatSlider
    picture : ipywidgets.HTML
    """

    def __init__(self, data: ExplorerData, **options: Any) -> None:
        if data.source is None:
            raise InvalidInput("this data has no anomalies behind it to ask again: make it with prepare.")
        self.data = data
        self._source: Anomalies = data.source
        self.service = ipywidgets.Dropdown(
            options=_options(data.services), value=_index(data.services, data.service), description="service"
        )
        self.metric = ipywidgets.Dropdown(
            options=_options(data.metrics), value=_index(data.metrics, data.metric), description="metric"
        )
        self.threshold = ipywidgets.FloatSlider(
            value=data.threshold, min=0.02, max=1.0, step=0.01, description="threshold", readout_format=".2f"
        )
        self.picture = ipywidgets.HTML(value=static.html(data))
        self._busy = False
        self._offered = data.metrics
        self.service.observe(self._service_changed, "value")
        self.metric.observe(self._changed, "value")
        self.threshold.observe(self._changed, "value")
        controls = ipywidgets.HBox([self.service, self.metric, self.threshold])
        super().__init__([controls, self.picture], **options)

    def _service_changed(self, change: Any) -> None:
        """Offer the metrics of another service, and keep the one chosen where it has it."""
        chosen = self.data.metric
        found = prepare(self._source, service=self._name(self.service, self.data.services))
        self._busy = True
        self.metric.options = _options(found.metrics)
        self.metric.value = _index(found.metrics, chosen)
        self._busy = False
        self._offered = found.metrics
        self._changed(change)

    def _changed(self, change: Any) -> None:
        """Apply the alarm again."""
        if self._busy:
            return
        self.data = prepare(
            self._source,
            service=self._name(self.service, self.data.services),
            metric=self._name(self.metric, self._offered),
            threshold=float(self.threshold.value),
        )
        self.picture.value = static.html(self.data)

    @staticmethod
    def _name(control: Any, names: tuple[str, ...]) -> str | None:
        """Return the name chosen, None for all: options carry numbers, so that two names that look alike stay two."""
        return None if control.value < 0 else names[control.value]


def _options(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(_ALL, -1), *((clip(clean(name), 80) or "(no name)", number) for number, name in enumerate(names))]


def _index(names: tuple[str, ...], chosen: str | None) -> int:
    return names.index(chosen) if chosen in names else -1
