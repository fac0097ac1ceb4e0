"""Series of one file: every label set once, and samples made of rows of that table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import Samples, build_samples
from workbench.signals.time import MAX_NS
from workbench.sources.attributes import OVERFLOW
from workbench.sources.source import ReadOptions
from workbench.sources.values import json_text

__all__ = ["MAX_SERIES", "SeriesTable", "bound_text"]

MAX_SERIES = 1_000_000
"""Most series of one file: a file that makes up a new series for every sample is cut there."""


def bound_text(value: float) -> str:
    """Return a bucket bound or quantile as Prometheus 3 writes it: `1.0`, `0.005`, `1e+06`, `+Inf`.

    References
    ----------
    OpenMetrics 1.0, "Numbers"; the shortest decimal that reads back as the same float.
    """
    if value != value:
        return "NaN"
    if value in (np.inf, -np.inf):
        return "+Inf" if value > 0 else "-Inf"
    shortest = repr(float(value))
    mantissa, _, power = shortest.partition("e")
    digits = mantissa.replace(".", "").replace("-", "").strip("0") or "0"
    exponent = int(f"{value:.16e}".partition("e")[2]) if value else 0
    if power:
        exponent = int(power)
    if -4 <= exponent < 6 or value == 0:
        return shortest if not power else f"{value:f}".rstrip("0")
    sign = "-" if value < 0 else ""
    body = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{body}e{exponent:+03d}"


class SeriesTable:
    """Label sets of one file, each with kind and unit; at most `MAX_SERIES` of them."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._rows: dict[tuple[tuple[str, str], ...], int] = {}
        self._labels: list[Mapping[str, str]] = []
        self._kind: list[str] = []
        self._unit: list[str] = []

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self._labels)

    def row(self, labels: Mapping[str, str], kind: str = "unknown", unit: str = "") -> int:
        """Return the row of a label set, adding it if it is new; -1 when the table is full."""
        key = tuple(sorted(item for item in labels.items() if item[1]))
        found = self._rows.get(key)
        if found is not None:
            return found
        if len(self._labels) >= MAX_SERIES:
            return -1
        cap = self._options.max_text_chars
        self._rows[key] = len(self._labels)
        self._labels.append({name: value[:cap] for name, value in key})
        self._kind.append(kind)
        self._unit.append(unit)
        return self._rows[key]

    def samples(
        self, series: npt.NDArray[np.int64], time: npt.NDArray[Any], value: npt.NDArray[np.float64], skips: Counter[str]
    ) -> Samples | None:
        """Return samples of rows of this table, those that cannot be kept counted in `skips`.

        Parameters
        ----------
        series : ndarray of int64, shape (m,)
            Rows as `row` gave them; -1 is left out.
        time : ndarray of uint64 or int64, shape (m,)
            Nanoseconds since 1970; a uint64 of 0 stands for no time at all.
        value : ndarray of float64, shape (m,)
        """
        full = series < 0
        timeless = (time == 0) & ~full if time.dtype == np.uint64 else np.zeros(len(time), bool)
        outside = ((time >= MAX_NS) | (time < 0)) & ~full
        for reason, mask in (
            ("sample of a series beyond the most that one file may have", full),
            ("sample without a time", timeless),
            ("sample outside 1970-2261", outside),
        ):
            if mask.any():
                skips[reason] += int(mask.sum())
        keep = ~(full | timeless | outside)
        series, time, value = series[keep], time[keep].astype(np.int64), value[keep]
        if not len(series):
            return None
        used, rows = np.unique(series, return_inverse=True)
        labels = self._frame(used)
        kinds, units = [self._kind[i] for i in used.tolist()], [self._unit[i] for i in used.tolist()]
        samples = build_samples(labels, rows, time, value, kinds, units)
        if samples.n_samples < len(value):
            skips["sample replaced by a later one of the same series and instant"] += len(value) - samples.n_samples
        return samples

    def _frame(self, used: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return labels of some rows, at most `intake.max_columns` columns; rarer labels as JSON in one more."""
        chosen = [self._labels[i] for i in used.tolist()]
        names = Counter(name for labels in chosen for name in labels)
        limit = self._options.max_columns
        if len(names) <= limit:
            return pd.DataFrame({n: [labels.get(n, "") for labels in chosen] for n in names})
        kept = ["metric", *[name for name, _ in names.most_common() if name != "metric"][: limit - 1]]
        frame = pd.DataFrame({n: [labels.get(n, "") for labels in chosen] for n in kept})
        own = set(kept)
        rest = [{n: v for n, v in labels.items() if n not in own} for labels in chosen]
        frame[OVERFLOW] = [json_text(labels) if labels else "" for labels in rest]
        return frame
