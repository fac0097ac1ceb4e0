"""What a test script has loaded, as Prometheus' storage would give it back.

The storage decides about counter-reset hints: a histogram that begins a chunk knows of nothing, or of the reset that
made the chunk begin; one inside a chunk knows that there was none. Classic histograms may be loaded as native ones, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.conformance.promqltest_series import Described, Labels, Value
from workbench.query.promql.histogram_math import resets
from workbench.signals import Histogram, Matcher, Samples, build_samples, concat_samples, match, pack_histograms
from workbench.signals.histograms import CUSTOM, GAUGE, NOT_RESET, RESET, UNKNOWN
from workbench.signals.names import from_prometheus
from workbench.signals.samples import is_stale

Row = tuple[Labels, list[Value], list[int | None]]


class Memory:
    """A selector over what the script has loaded."""

    def __init__(self) -> None:
        self.samples = concat_samples([])
        self.native: set[str] = set()

    def load(self, step: int, rows: Sequence[Row], nhcb: bool) -> None:
        rows = [*rows, *(converted(rows) if nhcb else [])]
        labels, series, time, value, held, starts = [], [], [], [], [], []
        histograms: list[Histogram] = []
        for i, (names, values, begun) in enumerate(rows):
            named = dict(names)
            labels.append({from_prometheus(k): v for k, v in named.items()} | {"metric": named.get("__name__", "")})
            if any(isinstance(v, Described) for v in values):
                self.native.add(named.get("__name__", ""))
            for k, v in enumerate(hinted(values)):
                if v is None:
                    continue
                series.append(i)
                time.append(k * step)
                value.append(v if isinstance(v, float) else 0.0)
                held.append(-1 if isinstance(v, float) else len(histograms))
                if not isinstance(v, float):
                    histograms.append(v)
                begin = begun[k] if k < len(begun) else None
                starts.append(np.iinfo(np.int64).min if begin is None else k * step + begin)
        if labels:
            new = build_samples(
                labels, np.array(series, np.int64), np.array(time, "datetime64[ns]"), value,
                row=held, histograms=pack_histograms(histograms), start=np.array(starts, np.int64).view("datetime64[ns]"),
            )  # fmt: skip
            self.keep(new)

    def keep(self, new: Samples) -> None:
        """Add samples to what is there."""
        self.samples = concat_samples([self.samples, new])

    def select(
        self, matchers: Sequence[Matcher], start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Samples:
        found = self.samples.take(match(self.samples.labels, matchers))
        return found if start is None or end is None else found.between(start, end)


def hinted(values: Sequence[Value]) -> list[float | Histogram | None]:
    """Return the values with the hints that storage gives histograms."""
    out: list[float | Histogram | None] = []
    before: Histogram | None = None
    for value in values:
        if isinstance(value, Described):
            one = value.histogram
            out.append(replace(one, hint=_hint(before, one)))
            before = one
        else:
            out.append(value)
            if value is not None:
                before = None
    return out


def _hint(before: Histogram | None, now: Histogram) -> int:
    if now.hint in (GAUGE, RESET):
        return now.hint
    if before is None or before.hint == GAUGE:
        return UNKNOWN
    if now.count < before.count:
        return RESET
    if (now.schema, now.zero_threshold, now.bounds) != (before.schema, before.zero_threshold, before.bounds):
        return UNKNOWN
    pool = pack_histograms([replace(before, hint=UNKNOWN), replace(now, hint=UNKNOWN)])
    return RESET if resets(pool, np.array([1]), np.array([0]))[0] else NOT_RESET


def converted(rows: Sequence[Row]) -> list[Row]:
    """Return native histograms with custom buckets made of the classic ones among the rows."""
    found: dict[Labels, dict[int, dict[str, object]]] = {}
    for names, values, _ in rows:
        named = dict(names)
        split = re.fullmatch(r"(.*)_(bucket|count|sum)", named.get("__name__", ""))
        if split is None or (split[2] == "bucket" and "le" not in named):
            continue
        le = _number(named.pop("le", "")) if split[2] == "bucket" else 0.0
        if le is None:
            continue
        base = tuple(sorted((named | {"__name__": split[1]}).items()))
        for k, value in enumerate(values):
            if isinstance(value, float) and not is_stale(np.array([value]))[0]:
                one = found.setdefault(base, {}).setdefault(k, {"buckets": {}})
                if split[2] == "bucket":
                    one["buckets"][le] = value  # type: ignore[index]
                else:
                    one[split[2]] = value
    out: list[Row] = []
    for labels, by_time in found.items():
        last = max(by_time)
        out.append((labels, [_native(by_time[k]) if k in by_time else None for k in range(last + 1)], []))
    return out


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _native(one: dict[str, object]) -> Value:
    buckets: dict[float, float] = dict(one["buckets"])  # type: ignore[call-overload]
    count = one.get("count", buckets.get(math.inf, max(buckets.values(), default=0.0)))
    buckets.setdefault(math.inf, count)  # type: ignore[arg-type]
    bounds = sorted(buckets)
    totals = [buckets[b] for b in bounds]
    counts = {i: b - a for i, (a, b) in enumerate(zip([0.0, *totals], totals, strict=False)) if b != a}
    return Described(
        Histogram(
            float(count),
            float(one.get("sum", 0.0)),
            CUSTOM,
            positive=counts,
            bounds=tuple(bounds[:-1]),  # type: ignore[arg-type]
        ),
        False,
    )
