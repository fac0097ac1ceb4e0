"""Score what the workbench concludes against data whose truth is known.

Enters: a folder of labelled cases. Leaves: one row per case, predictions beside truth, and a summary with its interval.
The one idea: predictions are made first, from copies that hold no truth, and can be written to a file so that anyone
can score them. Read `incidents.py` first.
"""

from workbench.evaluate.incidents import Score, predict_incidents, read_truths, score_incidents, wilson

__all__ = ["Score", "predict_incidents", "read_truths", "score_incidents", "wilson"]
