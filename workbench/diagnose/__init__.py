"""From shapes to ranked hypotheses: what broke, and what says so.

Enters: `Telemetry`, the shapes of one window. Leaves: an `Investigation`: the fault window, hypotheses with evidence,
each naming the query that shows its rows, or a plain abstention. The one idea: damage is divided among services without
remainder (added time, failures where they began), mechanisms explain it, and both are weighed in decibans against the
fault-free part of the same telemetry. Read `investigate.py` first, then `scene.py` and `checks/`.
"""

from workbench.diagnose.checks.messages import template_table
from workbench.diagnose.investigate import investigate
from workbench.diagnose.investigation import Evidence, Hypothesis, Investigation, Telemetry, Window
from workbench.diagnose.scene import Scene, build_facts
from workbench.diagnose.telemetry import load_telemetry

__all__ = [
    "Evidence",
    "Hypothesis",
    "Investigation",
    "Scene",
    "Telemetry",
    "Window",
    "build_facts",
    "investigate",
    "load_telemetry",
    "template_table",
]
