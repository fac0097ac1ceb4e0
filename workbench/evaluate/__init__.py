"""Score what the workbench concludes against data whose truth is known.

Enters: a folder of labelled cases: recorded incidents, or series with labelled windows. Leaves: predictions beside
truth, one line per case or detector, and a summary. The one idea: predictions are made first, without the truth, and
can be written to files so that anyone can score them; and what was tuned on labels is told apart from what was not.
Read `incidents.py` first for diagnosis, `labelled.py` and then `nab.py` for detectors; `scoreboard.py` puts it together.
"""

from workbench.evaluate.detection import Events, count_events, mean_vus_pr, window_table
from workbench.evaluate.example import write_example
from workbench.evaluate.incidents import Score, predict_incidents, read_truths, score_incidents, wilson
from workbench.evaluate.injected import Curves, detection_curves
from workbench.evaluate.labelled import LabelledSeries, LabelledSet
from workbench.evaluate.leave_out import LeftOut, leave_out
from workbench.evaluate.nab import PROFILES, best, score_at
from workbench.evaluate.nab_layout import find_nab, load_nab
from workbench.evaluate.predictions import write_predictions
from workbench.evaluate.running import Ran, detectors, grid_scores, run
from workbench.evaluate.scoreboard import Scoreboard, learn_thresholds, score_detectors
from workbench.evaluate.series import load_labelled, load_series
from workbench.evaluate.static_rule import static_scores
from workbench.evaluate.vus import vus_pr

__all__ = [
    "PROFILES",
    "Curves",
    "Events",
    "LabelledSeries",
    "LabelledSet",
    "LeftOut",
    "Ran",
    "Score",
    "Scoreboard",
    "best",
    "count_events",
    "detection_curves",
    "detectors",
    "find_nab",
    "grid_scores",
    "learn_thresholds",
    "leave_out",
    "load_labelled",
    "load_nab",
    "load_series",
    "mean_vus_pr",
    "predict_incidents",
    "read_truths",
    "run",
    "score_at",
    "score_detectors",
    "score_incidents",
    "static_scores",
    "vus_pr",
    "wilson",
    "window_table",
    "write_example",
    "write_predictions",
]
