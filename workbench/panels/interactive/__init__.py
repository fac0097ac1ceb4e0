"""Prepared data to live views in JupyterLab.

Enters: the frozen data of one panel. Leaves: HoloViews charts (`charts.py`) or an anywidget with one canvas and its own
module beside it (`views.py`, `flame.js`, `service_map.js`).
The one idea: a live view is a drawing of the same data as the static fragment, and telemetry reaches the browser only
as binary arrays and as text that is painted or set as `textContent`.
"""
