"""The five shapes that flow through everything, and what their names mean.

Enters: raw columns. Leaves: metrics, samples, logs, spans, profiles, events, and `Batch`, some of each.
The one idea: time is `datetime64[ns]` naive UTC, labels are one index on `series`, rows are frames with fixed required
columns. `SCHEMA.md` beside this file is the written form; read `rows.py` first, then `samples.py`.
"""

from workbench.signals.batch import SIGNALS, Batch, check_batch, concat_batches
from workbench.signals.histograms import Histogram, Histograms, concat_histograms, pack_histograms
from workbench.signals.matchers import Matcher, match
from workbench.signals.metrics import build_metrics, check_metrics, grid, labels_of
from workbench.signals.profiles import Profiles, build_profiles, check_profiles, concat_profiles
from workbench.signals.rows import (
    EVENT_KINDS,
    FAULT_KINDS,
    build_events,
    build_logs,
    build_spans,
    check_events,
    check_logs,
    check_spans,
)
from workbench.signals.samples import Samples, build_samples, check_samples, concat_samples
from workbench.signals.time import TimeLike, duration_ns, parse_time, window

__all__ = [
    "EVENT_KINDS",
    "FAULT_KINDS",
    "SIGNALS",
    "Batch",
    "Histogram",
    "Histograms",
    "Matcher",
    "Profiles",
    "Samples",
    "TimeLike",
    "build_events",
    "build_logs",
    "build_metrics",
    "build_profiles",
    "build_samples",
    "build_spans",
    "check_batch",
    "check_events",
    "check_logs",
    "check_metrics",
    "check_profiles",
    "check_samples",
    "check_spans",
    "concat_batches",
    "concat_histograms",
    "concat_profiles",
    "concat_samples",
    "duration_ns",
    "grid",
    "labels_of",
    "match",
    "pack_histograms",
    "parse_time",
    "window",
]
