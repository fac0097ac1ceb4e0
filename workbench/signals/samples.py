"""Samples: metrics as they were sampled, ragged, exactly.

One `Samples` holds many series: `labels` has one row per series, series `i` owns the slice
`offsets[i]:offsets[i + 1]` of `time` and `value`. Times are each series' own; stale markers and other NaN payloads
survive, because values are never computed with here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import ShapeError
from workbench.signals.histograms import Histograms, check_histograms, concat_histograms
from workbench.signals.time import MAX_NS, MIN_NS

__all__ = ["METRIC_KINDS", "STALE_NAN", "Samples", "build_samples", "check_samples", "concat_samples", "is_stale"]

METRIC_KINDS = ("gauge", "counter", "histogram", "summary", "unknown")
"""What a series may be; a `histogram` series is one of its cumulative `_bucket`, `_count`, `_sum` parts."""

STALE_NAN = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
"""Prometheus' stale marker: the NaN with payload 2."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Ragged samples of n series and m samples.

    Attributes
    ----------
    labels : DataFrame of str, shape (n, k)
        One column per label name (`metric` is the metric's name), one row per series; an absent label is "".
    offsets : ndarray of int64, shape (n + 1,)
        Series i owns samples `offsets[i]` to `offsets[i + 1]`.
    time : ndarray of datetime64[ns], shape (m,)
        Strictly increasing within a series.
    value : ndarray of float64, shape (m,)
    kind : ndarray of str objects, shape (n,)
        One of `METRIC_KINDS` per series.
    unit : ndarray of str objects, shape (n,)
        UCUM unit as the source gave it, or "".
    row : ndarray of int64, shape (m,), optional
        Row of `histograms` of a sample that is a native histogram, else -1 (its `value` is then what counts; that of a
        histogram is 0). Absent when no sample is a histogram.
    histograms : Histograms, optional
    start : ndarray of datetime64[ns], shape (m,), optional
        When the counter of a sample began; NaT where not known.
    """

    labels: pd.DataFrame
    offsets: npt.NDArray[np.int64]
    time: npt.NDArray[np.datetime64]
    value: npt.NDArray[np.float64]
    kind: npt.NDArray[np.object_]
    unit: npt.NDArray[np.object_]
    row: npt.NDArray[np.int64] | None = None
    histograms: Histograms | None = None
    start: npt.NDArray[np.datetime64] | None = None

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.labels)

    @property
    def n_samples(self) -> int:
        """Number of samples of all series."""
        return len(self.value)

    def series_of_sample(self) -> npt.NDArray[np.int64]:
        """Return the series row of every sample, int64 of shape (m,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Samples:
        """Return the series at `rows` (integers or a mask), in that order."""
        index = np.arange(len(self))[rows]
        counts = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], counts)
        labels = self.labels.iloc[index].reset_index(drop=True)
        return replace(self._at(at), labels=labels, offsets=offsets, kind=self.kind[index], unit=self.unit[index])

    def _at(self, at: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Samples:
        """Return the columns of the samples at `at`; the caller sets what belongs to series."""
        rows = None if self.row is None else self.row[at]
        start = None if self.start is None else self.start[at]
        return replace(self, time=self.time[at], value=self.value[at], row=rows, start=start)

    def between(self, start: np.datetime64, end: np.datetime64) -> Samples:
        """Return the samples in `[start, end)`; series left without any sample are dropped."""
        keep = (self.time >= start) & (self.time < end)
        cumulative = np.concatenate([[0], np.cumsum(keep)])
        offsets = cumulative[self.offsets].astype(np.int64)
        return replace(self._at(keep), offsets=offsets).take(np.diff(offsets) > 0)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per sample: `time`, `value`, one column per label (labels `time`, `value` get a `_`).

        Where there are native histograms a column `histogram` holds them, None beside numbers; their `value` is NaN.
        """
        rows = self.series_of_sample()
        frame = pd.DataFrame({"time": self.time, "value": self.value})
        if self.row is not None and self.histograms is not None and (self.row >= 0).any():
            at = np.flatnonzero(self.row >= 0)
            held = np.full(len(frame), None, object)
            held[at] = [self.histograms.unpack(row) for row in self.row[at].tolist()]
            frame["value"] = np.where(self.row >= 0, np.nan, self.value)
            frame["histogram"] = pd.Series(held, dtype=object)
        labels = self.labels.rename(columns=lambda name: name + "_" if name.rstrip("_") in frame.columns else name)
        return pd.concat([frame, labels.iloc[rows].reset_index(drop=True)], axis=1)


def build_samples(
    labels: pd.DataFrame | Sequence[Mapping[str, str]],
    series: npt.ArrayLike,
    time: npt.ArrayLike,
    value: npt.ArrayLike,
    kind: Sequence[str] | None = None,
    unit: Sequence[str] | None = None,
    *,
    row: npt.ArrayLike | None = None,
    histograms: Histograms | None = None,
    start: npt.ArrayLike | None = None,
) -> Samples:
    """Return `Samples` from flat columns in any order.

    Parameters
    ----------
    labels : DataFrame or sequence of mappings, n series
        Rows with equal labels are one series and are merged.
    series : array of int, shape (m,)
        Row of `labels` that each sample belongs to.
    time : array of datetime64 or int64 ns, shape (m,)
    value : array of float64, shape (m,)
    kind, unit : sequence of str, shape (n,), optional
        "unknown" and "" by default.
    row, histograms, start : optional
        As in `Samples`; a number and a histogram at one instant are two samples of which the last given is kept.

    Returns
    -------
    Samples
        Sorted by time within a series; of several samples of one series at one instant the last given is kept.

    Raises
    ------
    ShapeError
        If the columns differ in length, or a sample belongs to no row of `labels`.
    """
    frame = labels if isinstance(labels, pd.DataFrame) else pd.DataFrame(list(labels))
    frame = frame.astype("object").fillna("").astype("str")
    frame = frame[sorted(frame.columns)].reset_index(drop=True)
    n = len(frame)
    kinds = np.array(["unknown"] * n if kind is None else list(kind), dtype=object)
    units = np.array([""] * n if unit is None else list(unit), dtype=object)
    which = np.asarray(series, np.int64)
    rows = None if row is None else np.asarray(row, np.int64)
    starts = None if start is None else np.asarray(start).astype("datetime64[ns]")
    instants = np.asarray(time).astype("datetime64[ns]")
    numbers = np.asarray(value, np.float64)
    if not len(which) == len(instants) == len(numbers) or not n == len(kinds) == len(units):
        raise ShapeError(
            f"samples need as many series, times and values (got {len(which)}, {len(instants)}, {len(numbers)}), and"
            f" as many labels, kinds and units (got {n}, {len(kinds)}, {len(units)})."
        )
    if len(which) and not 0 <= which.min() <= which.max() < n:
        raise ShapeError(f"samples belong to series {which.min()} to {which.max()}; {n} label sets were given.")
    if n:
        columns = list(frame.columns)
        group = frame.groupby(columns, sort=False).ngroup().to_numpy() if columns else np.zeros(n, np.int64)
        first = np.unique(group, return_index=True)[1]
        frame, kinds, units = frame.iloc[first].reset_index(drop=True), kinds[first], units[first]
        which = group[which].astype(np.int64)
    order = np.lexsort((instants, which))
    which, instants = which[order], instants[order]
    last = np.ones(len(which), bool)
    last[:-1] = (which[1:] != which[:-1]) | (instants[1:] != instants[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(which[last], minlength=len(frame)))]).astype(np.int64)
    kept = order[last]
    return Samples(
        frame, offsets, instants[last], numbers[kept], kinds, units, None if rows is None else rows[kept], histograms,
        None if starts is None else starts[kept],
    )  # fmt: skip


def concat_samples(parts: Sequence[Samples]) -> Samples:
    """Return all parts as one; equal label sets become one series, and of equal instants the later part wins."""
    kept = [part for part in parts if len(part)]
    if not kept:
        return build_samples(pd.DataFrame({"metric": []}), [], np.empty(0, "datetime64[ns]"), [])
    if len(kept) == 1:
        return kept[0]
    shift = np.cumsum([0, *(len(part) for part in kept[:-1])])
    return build_samples(
        pd.concat([part.labels for part in kept], ignore_index=True),
        np.concatenate([part.series_of_sample() + s for part, s in zip(kept, shift, strict=True)]),
        np.concatenate([part.time for part in kept]),
        np.concatenate([part.value for part in kept]),
        np.concatenate([part.kind for part in kept]).tolist(),
        np.concatenate([part.unit for part in kept]).tolist(),
        **_joined(kept),
    )


def _joined(parts: Sequence[Samples]) -> dict[str, Any]:
    """Return the optional columns of several parts; a part that lacks one gets what stands for nothing."""
    out: dict[str, Any] = {}
    pools = [part.histograms for part in parts if part.histograms is not None]
    if pools:
        out["histograms"] = concat_histograms(pools)
        rows, shift = [], 0
        for part in parts:
            own = np.full(part.n_samples, -1, np.int64) if part.row is None else part.row
            rows.append(np.where(own >= 0, own + shift, -1))
            shift += 0 if part.histograms is None else len(part.histograms)
        out["row"] = np.concatenate(rows)
    if any(part.start is not None for part in parts):
        never = [np.full(part.n_samples, "NaT", "datetime64[ns]") for part in parts]
        out["start"] = np.concatenate([n if p.start is None else p.start for p, n in zip(parts, never, strict=True)])
    return out


def is_stale(value: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return where values are Prometheus' stale marker, bit for bit."""
    stale: npt.NDArray[np.bool_] = np.ascontiguousarray(value).view(np.uint64) == np.uint64(0x7FF0000000000002)
    return stale


def check_samples(samples: Samples) -> Samples:
    """Return the samples unchanged if they are well formed, else raise `ShapeError` that names the first offence."""
    n, m = len(samples.labels), len(samples.value)
    if "metric" not in samples.labels.columns:
        raise ShapeError(
            f"samples lack the label 'metric'; labels are {list(samples.labels.columns)}: use build_samples."
        )
    if samples.offsets.shape != (n + 1,) or samples.offsets[0] != 0 or samples.offsets[-1] != m:
        raise ShapeError(
            f"samples have {n} series and {m} samples, but offsets do not run from 0 to {m} in {n + 1} steps."
        )
    if (np.diff(samples.offsets) < 0).any():
        raise ShapeError("samples have decreasing offsets: use build_samples.")
    if (
        samples.time.dtype != np.dtype("datetime64[ns]")
        or samples.time.shape != (m,)
        or samples.value.dtype != np.float64
    ):
        raise ShapeError("samples need time as datetime64[ns] and value as float64, of one length: use build_samples.")
    _check_optional(samples)
    if len(samples.kind) != n or len(samples.unit) != n:
        raise ShapeError(f"samples need one kind and one unit for each of the {n} series.")
    unknown = sorted(set(samples.kind.tolist()) - set(METRIC_KINDS))
    if unknown:
        raise ShapeError(f"samples hold the kind {unknown[0]!r}; allowed are {', '.join(METRIC_KINDS)}.")
    if samples.labels.duplicated().any():
        twice = samples.labels[samples.labels.duplicated()].iloc[0].to_dict()
        raise ShapeError(f"samples hold two series with the labels {twice}: use build_samples or concat_samples.")
    stamps = samples.time.view(np.int64)
    outside = int(((stamps < MIN_NS) | (stamps >= MAX_NS)).sum())
    if outside:
        raise ShapeError(f"samples hold {outside} instants outside 1970-2261 or missing: drop or repair them.")
    inner = np.ones(max(m - 1, 0), bool)
    inner[samples.offsets[1:-1][(samples.offsets[1:-1] > 0) & (samples.offsets[1:-1] < m)] - 1] = False
    if m and (np.diff(stamps)[inner] <= 0).any():
        raise ShapeError("samples are not strictly increasing in time within a series: use build_samples.")
    return samples


def _check_optional(samples: Samples) -> None:
    m, k = samples.n_samples, 0 if samples.histograms is None else len(samples.histograms)
    if samples.row is not None and (
        samples.row.shape != (m,)
        or samples.row.dtype != np.int64
        or (m and not -1 <= samples.row.min() <= samples.row.max() < k)
    ):
        raise ShapeError(f"samples need one row of the {k} histograms, int64, or -1 for each of the {m} samples.")
    if samples.histograms is not None:
        check_histograms(samples.histograms)
    if samples.start is not None and (samples.start.shape != (m,) or samples.start.dtype != np.dtype("datetime64[ns]")):
        raise ShapeError(f"samples need one start, datetime64[ns], for each of the {m} samples.")
