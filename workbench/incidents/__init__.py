"""An incident as people talk about it: what it cost, what happened when, and the postmortem that says so.

Enters: an `Investigation`. Leaves: `Impact` (requests that failed or were slow), a timeline frame, a `Postmortem` whose
every statement carries the query it rests on, and the raw rows behind one piece of evidence.
The one idea: a sentence without a query is a draft for people, and is marked as one. Read `postmortem.py` first.
"""

from workbench.incidents.document import Postmortem, Section, Statement
from workbench.incidents.impact import Impact, Period, entry_spans, impact
from workbench.incidents.postmortem import postmortem
from workbench.incidents.rows import EvidenceRows, evidence_rows
from workbench.incidents.timeline import timeline

__all__ = [
    "EvidenceRows",
    "Impact",
    "Period",
    "Postmortem",
    "Section",
    "Statement",
    "entry_spans",
    "evidence_rows",
    "impact",
    "postmortem",
    "timeline",
]
