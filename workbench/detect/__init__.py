"""Detect: scores, episodes and anomaly events of metric series.

Enters: blocks of float64, one row per series and one column per time step, NaN = no sample. Leaves: scores of the same
shape (-log10 of a probability, high = anomalous), the band expected, episodes, and events of kind "anomaly".
The one idea: a detector is a frozen dataclass of parameters; scores are causal (they never depend on later samples) and
calibrated on each series' own past, so one threshold serves all. Read `level.py` first, then
`episodes.py` and `events.py`.
"""

from workbench.detect.episodes import episodes
from workbench.detect.events import to_events
from workbench.detect.export import PromqlBand, export_rules
from workbench.detect.level import LevelShift, expected
from workbench.detect.shift import shift
from workbench.detect.words import quantity

__all__ = [
    "LevelShift",
    "PromqlBand",
    "episodes",
    "expected",
    "export_rules",
    "quantity",
    "shift",
    "to_events",
]
