"""Detect: scores, alarms and anomaly events of metric series; forecasts of them.

Enters: blocks of float64, one row per series and one column per time step, NaN = no sample. Leaves: scores of the same
shape from 0 to 1 (high = strange), the band expected, alarms, events of kind "anomaly"; forecasts with intervals.
The one idea: a detector is a frozen dataclass of parameters; what it finds strange is calibrated on each series' own
past, so one threshold serves all, and nothing depends on later samples. Read `detector.py` first, then
`members/seasonal.py`, `watchdog.py` (the default) and `threshold.py` (when is it an alarm). `scan.py`, `insight.py` and
`anomalies.py` turn a metrics array into events that explain themselves; forecasts are in `forecast/`. `level.py` is the
batch tool that the diagnosis finds the window of an incident with.
"""

from workbench.detect.anomalies import Anomalies, explain, find_anomalies
from workbench.detect.detector import Band, Detector, Stream
from workbench.detect.episodes import episodes
from workbench.detect.events import to_events
from workbench.detect.export import PromqlBand, export_rules
from workbench.detect.insight import insight
from workbench.detect.level import LevelShift, expected
from workbench.detect.refractory import Refractory
from workbench.detect.scan import Scan, scan
from workbench.detect.shift import shift
from workbench.detect.surprise import to_score, to_surprise
from workbench.detect.threshold import Alarm, discoveries, expectations
from workbench.detect.watchdog import Watchdog
from workbench.detect.words import quantity

__all__ = [
    "Alarm",
    "Anomalies",
    "Band",
    "Detector",
    "LevelShift",
    "PromqlBand",
    "Refractory",
    "Scan",
    "Stream",
    "Watchdog",
    "discoveries",
    "episodes",
    "expectations",
    "expected",
    "explain",
    "export_rules",
    "find_anomalies",
    "insight",
    "quantity",
    "scan",
    "shift",
    "to_events",
    "to_score",
    "to_surprise",
]
