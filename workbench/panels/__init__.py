"""Pictures of shapes and of investigations.

Enters: shapes, or an `Investigation`. Leaves: a `Figure`, which shows itself as text in a terminal, as a static
fragment of markup everywhere, and as a live view in JupyterLab.
The one idea: each panel's pure `prepare` turns shapes into frozen plain data, and text, markup and live view are three
drawings of that data. Nothing from telemetry is written but through `escape.py` and `markup.py`.
Read `figure.py` first, then `timeline.py`.
"""

from workbench.panels.figure import Drawing, Figure, Panel, figure, live

__all__ = ["Drawing", "Figure", "Panel", "figure", "live"]
