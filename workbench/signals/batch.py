"""What a source yields and the store takes: some of each shape, and what had to be left out, counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workbench.signals.profiles import Profiles, check_profiles, concat_profiles
from workbench.signals.rows import build_events, build_logs, build_spans, check_events, check_logs, check_spans
from workbench.signals.samples import METRIC_KINDS, Samples, check_samples, concat_samples
from workbench.signals.tables import Table, Texts, table_of
from workbench.signals.time import MAX_NS, MIN_NS

__all__ = ["SIGNALS", "Batch", "check_batch", "concat_batches"]

SIGNALS = ("metrics", "logs", "spans", "profiles", "events")
"""The five signals, by the name their shape has in `Batch`, in the store and on the command line."""

_BUILD = {"logs": build_logs, "spans": build_spans, "events": build_events}


@dataclass
class Batch:
    """Some of each shape; `None` where there is none.

    Attributes
    ----------
    metrics : Samples or None
    logs, spans, events : DataFrame or None
    profiles : Profiles or None
    skips : Counter of str
        Rows, samples or messages left out: reason -> count.
    """

    metrics: Samples | None = None
    logs: pd.DataFrame | None = None
    spans: pd.DataFrame | None = None
    profiles: Profiles | None = None
    events: pd.DataFrame | None = None
    skips: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, int]:
        """Return how many samples, log records, spans, profile samples and events there are, by signal."""
        metrics = self.metrics.n_samples if self.metrics is not None else 0
        rows = {s: len(getattr(self, s)) if getattr(self, s) is not None else 0 for s in SIGNALS[1:]}
        return {"metrics": metrics, **rows}

    def empty(self) -> bool:
        """Return whether the batch holds no data at all (it may still hold skips)."""
        return not any(self.counts().values())


def check_batch(batch: Batch) -> Batch:
    """Return the batch unchanged if every shape in it is well formed, else raise `ShapeError`.

    Labels that were found distinct once are not compared with each other again, as from one scrape of a target to the
    next.
    """
    if batch.metrics is not None:
        table = table_of(batch.metrics.labels)
        if table is None or not table.sound or not _surely_sound(batch.metrics, table):
            check_samples(batch.metrics)
            if table is not None:
                table.sound, table.kinds = True, Texts(batch.metrics.kind)
    if batch.profiles is not None:
        check_profiles(batch.profiles)
    for frame, check in ((batch.logs, check_logs), (batch.spans, check_spans), (batch.events, check_events)):
        if frame is not None:
            check(frame)
    return batch


_TYPES = (np.dtype(np.int64), np.dtype(np.float64), np.dtype("M8[ns]"))
_KINDS = frozenset(METRIC_KINDS)


def _surely_sound(samples: Samples, table: Table) -> bool:
    """Return whether cheap tests show that `check_samples` would pass, given that it passes these labels; False says nothing."""
    n, m, offsets, time = len(samples.labels), samples.value.size, samples.offsets, samples.time
    if (offsets.dtype, samples.value.dtype, time.dtype) != _TYPES or samples.kind.dtype != np.object_:
        return False
    if not (offsets.shape == (n + 1,) and samples.value.shape == time.shape == (m,)):
        return False
    if samples.kind.shape != (n,) or samples.unit.shape != (n,) or table.kinds is None:
        return False
    if not table.kinds.are(samples.kind) and not _KINDS.issuperset(samples.kind.tolist()):
        return False
    counts = offsets[1:] - offsets[:-1]
    if offsets[0] != 0 or offsets[-1] != m or counts.min() < 0:
        return False
    stamps = time.view(np.int64)
    if m and not (int(stamps.min()) >= MIN_NS and int(stamps.max()) < MAX_NS):
        return False
    if m == n and counts.max() == 1:
        return True
    rising = stamps[1:] > stamps[:-1]
    rising[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < m)] - 1] = True
    return bool(rising.all())


def concat_batches(batches: Sequence[Batch]) -> Batch:
    """Return all batches as one; spans of one trace that came in different batches are linked to their parents anew."""
    skips: Counter[str] = Counter()
    for batch in batches:
        skips.update(batch.skips)
    out = Batch(skips=skips)
    metrics = [b.metrics for b in batches if b.metrics is not None]
    if metrics:
        out.metrics = concat_samples(metrics)
    profiles = [b.profiles for b in batches if b.profiles is not None]
    if profiles:
        out.profiles = concat_profiles(profiles)
    for signal, build in _BUILD.items():
        frames = [getattr(b, signal) for b in batches if getattr(b, signal) is not None]
        if frames:
            setattr(out, signal, build(dict(pd.concat(frames, ignore_index=True).items())))
    return out
