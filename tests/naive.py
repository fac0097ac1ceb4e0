"""Slow, obvious twins of every fast path, compared with it by property tests. One section per room."""

from __future__ import annotations

import cmath
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

# --- signals ---------------------------------------------------------------------------------------------------------


def link_parents(trace: Sequence[str], span: Sequence[str], parent: Sequence[str]) -> list[int]:
    """Row of the first span of the same trace with the wanted id; -1 for none, itself, or a chain that never ends."""
    first: dict[tuple[str, str], int] = {}
    for row, key in enumerate(zip(trace, span, strict=True)):
        first.setdefault(key, row)
    found = [first.get((t, p), -1) if p else -1 for t, p in zip(trace, parent, strict=True)]
    found = [-1 if f == row else f for row, f in enumerate(found)]

    def ends(row: int) -> bool:
        for _ in range(len(found)):
            if row == -1:
                return True
            row = found[row]
        return row == -1

    return [f if ends(row) else -1 for row, f in enumerate(found)]


def grid(series: Sequence[Sequence[tuple[int, float, bool]]], steps: Sequence[int], lookback: int) -> list[list[float]]:
    """Newest (time, value, stale) of (t - lookback, t] at each step; nothing where that is a stale marker."""
    out = []
    for samples in series:
        row = []
        for step in steps:
            near = [sample for sample in samples if step - lookback < sample[0] <= step]
            newest = max(near, default=(0, 0.0, True))
            row.append(float("nan") if newest[2] else newest[1])
        out.append(row)
    return out


def build_samples(rows: Sequence[tuple[str, int, float]]) -> dict[str, dict[int, float]]:
    """Label -> time -> value; of equal instants the last given stays."""
    out: dict[str, dict[int, float]] = {}
    for label, time, value in rows:
        out.setdefault(label, {})[time] = value
    return out


def add_by_labels(
    left: Mapping[tuple[str, str], float], right: Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """Sum of what both have, by whole label set."""
    return {key: value + right[key] for key, value in left.items() if key in right}


# --- diagnose ---------------------------------------------------------------------------------------------------------


def heaviest_run(gains: list[float]) -> tuple[int, int] | None:
    """Return the first and last index of the contiguous run with the largest positive sum, by trying all of them."""
    runs = [(sum(gains[a : b + 1]), a, b) for a in range(len(gains)) for b in range(a, len(gains))]
    weight, begin, end = max(runs, key=lambda run: run[0])
    return (begin, end) if weight > 0 else None


# --- incidents --------------------------------------------------------------------------------------------------------


def entry_spans(kinds: Sequence[str], parents: Sequence[int]) -> list[bool]:
    """Server spans without a server or consumer span above them; roots where there is no server span at all."""

    def above(row: int) -> list[str]:
        return [kinds[parents[row]], *above(parents[row])] if parents[row] >= 0 else []

    found = [kind == "server" and not {"server", "consumer"} & set(above(i)) for i, kind in enumerate(kinds)]
    return found if any(found) else [parent < 0 for parent in parents]


def count_impact(
    rows: Sequence[tuple[int, int, str, bool]], during: tuple[int, int], limits: dict[str, float]
) -> tuple[int, int, int, int]:
    """Requests, failed, slow and affected ones of `during`; rows are (time, duration, operation, failed)."""
    inside = [row for row in rows if during[0] <= row[0] < during[1]]
    failed = sum(row[3] for row in inside)
    slow = sum(row[1] > limits[row[2]] for row in inside)
    return len(inside), failed, slow, sum(row[3] or row[1] > limits[row[2]] for row in inside)


# --- store -----------------------------------------------------------------------------------------------------------


def stored_samples(writes: Sequence[Sequence[tuple[str, int, int]]], start: int, end: int) -> dict[str, dict[int, int]]:
    """Label -> time -> bits of the value, of (label, time, bits) in [start, end); a later write wins."""
    out: dict[str, dict[int, int]] = {}
    for write in writes:
        for label, time, bits in write:
            if start <= time < end:
                out.setdefault(label, {})[time] = bits
    return out


def hot_samples(writes: Sequence[tuple[int, Sequence[tuple[int, int, int]]]]) -> list[tuple[int, int, int, int]]:
    """(series, time, bits, rank) in order, of (rank, [(series, time, bits)]); the largest rank wins an instant."""
    out: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, rows in sorted(writes, key=lambda write: write[0]):
        for series, time, bits in rows:
            out[series, time] = (bits, rank)
    return sorted((series, time, bits, rank) for (series, time), (bits, rank) in out.items())


def chunk_stats(time: Sequence[int], value: Sequence[float]) -> dict[str, float]:
    """What a chunk's row says, sample by sample."""
    real = [(t, v) for t, v in zip(time, value, strict=True) if v == v]
    nan = float("nan")
    out = {"t_min": time[0], "t_max": time[-1], "count": len(time), "t_first": -1, "t_last": -1}
    out |= dict.fromkeys(("sum", "min", "max", "first", "last", "increase"), nan)
    if real:
        numbers = [v for _, v in real]
        gain = sum(b if b < a else b - a for a, b in pairwise(numbers))
        out |= {"t_first": real[0][0], "t_last": real[-1][0], "first": numbers[0], "last": numbers[-1]}
        out |= {"sum": sum(numbers), "min": min(numbers), "max": max(numbers), "increase": gain}
    return out


def canonical_labels(labels: Mapping[str, str]) -> str:
    """One JSON object, names sorted, empty labels left out."""
    import json

    return json.dumps({name: labels[name] for name in sorted(labels) if labels[name]}, separators=(",", ":"))


def register_series(known: list[list[Any]], rows: Sequence[tuple[Mapping[str, str], str, str]]) -> list[int]:
    """Number of each (labels, kind, unit); `known` holds [labels, kind, unit] by number - 1 and is added to."""
    out = []
    for labels, kind, unit in rows:
        held = {name: value for name, value in labels.items() if value}
        place = next((i for i, row in enumerate(known) if row[0] == held), len(known))
        if place == len(known):
            known.append([held, "unknown", ""])
        row = known[place]
        row[1], row[2] = kind if kind != "unknown" else row[1], unit or row[2]
        out.append(place + 1)
    return out


def match_series(known: Sequence[Sequence[Any]], conditions: Sequence[tuple[str, str, str]]) -> list[int]:
    """Numbers of the series that satisfy every (name, operator, value)."""

    def holds(labels: Mapping[str, str], name: str, op: str, value: str) -> bool:
        text = labels.get(name, "")
        hit = re.fullmatch(value, text, re.DOTALL) is not None if "~" in op else text == value
        return hit != (op[0] == "!")

    return [i for i, row in enumerate(known, 1) if all(holds(row[0], *c) for c in conditions)]


# --- query -----------------------------------------------------------------------------------------------------------

_BLANK = "\t\n\f\r "
_SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}


def _lower(text: str) -> str:
    return "".join(c.lower()[0] for c in text)


def _fits(parts: Sequence[object], text: str, blank: str) -> bool:
    """Whether the whole text fits a pattern whose wildcards stand for characters not in `blank`."""
    if not parts:
        return not text
    first, rest = parts[0], parts[1:]
    if isinstance(first, str):
        return text.startswith(first) and _fits(rest, text[len(first) :], blank)
    if getattr(first, "value", "") == "?":
        return bool(text) and text[0] not in blank and _fits(rest, text[1:], blank)
    reach = next((i for i, c in enumerate(text) if c in blank), len(text))
    return any(_fits(rest, text[i:], blank) for i in range(reach + 1))


def _contains(parts: Sequence[object], text: str) -> bool:
    text, parts = _lower(text), [_lower(p) if isinstance(p, str) else p for p in parts]
    if all(isinstance(p, str) for p in parts):
        phrase = "".join(str(p) for p in parts)
        return re.sub(f"[{_BLANK}]+", " ", phrase) in re.sub(f"[{_BLANK}]+", " ", text)
    return any(_fits(parts, text[i:j], _BLANK) for i in range(len(text) + 1) for j in range(i, len(text) + 1))


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(text: str, unit: bool) -> float | None:
    factor = {"s": 1e9, "ms": 1e6, "": 1}
    found = re.fullmatch(r"([+-]?\d+(?:\.\d*)?)(ms|s|)", text, re.ASCII)
    return float(found[1]) * factor[found[2]] if found and (unit or not found[2]) else None


def _level(text: str) -> tuple[int, int] | None:
    if text.isascii() and text.isdigit():
        return int(text), int(text)
    low = _SEVERITIES.get(text.lower())
    return None if low is None else (low, low + 3)


def _within(value: object, ends: object, column: str) -> bool:
    """Whether one value lies in a search Range."""
    if isinstance(value, bool):
        return False
    low, high = ends.low, ends.high  # type: ignore[attr-defined]
    if column == "severity":
        levels = [None if e is None else _level(e) for e in (low, high)]
        if not value or (low is not None and levels[0] is None) or (high is not None and levels[1] is None):
            return False
        above = levels[0] is None or (value >= levels[0][0] if ends.include_low else value > levels[0][1])
        return above and (levels[1] is None or (value <= levels[1][1] if ends.include_high else value < levels[1][0]))
    numbers = [None if e is None else _number(e, column.endswith("_ns")) for e in (low, high)]
    if any(n is not None for n in numbers) or not isinstance(value, str):
        value = _number(value, False) if isinstance(value, str) else value
        if value is None or any(e is not None and n is None for e, n in zip((low, high), numbers, strict=True)):
            return False
        low, high = numbers
    above = low is None or (value >= low if ends.include_low else value > low)
    return above and (high is None or (value <= high if ends.include_high else value < high))


def search(node: object, row: Mapping[str, object], texts: Sequence[str]) -> bool:
    """Whether one row (column -> value, None where missing; `texts` names the text columns) matches a search node."""
    kind = type(node).__name__
    if kind == "Everything":
        return True
    if kind == "Not":
        return not search(node.part, row, texts)
    if kind in ("And", "Or"):
        return (all if kind == "And" else any)(search(part, row, texts) for part in node.parts)
    if kind == "Text":
        columns = texts if node.everywhere else [c for c in ("body", "name", "title") if c in row]
        return any(row[c] is not None and _contains(node.pattern.parts, _spelled(row[c])) for c in columns)
    column = node.field.name
    if not (node.field.attribute and column in row):
        special = {"status": "severity", "duration": "duration_ns"}.get(column, column)
        column = special if special in row else {"service.name": "service"}.get(column, column)
    value = row.get(column)
    if value is None:
        return False
    if kind == "Exists":
        return value != "" if isinstance(value, str) else column != "severity" or value != 0
    if kind == "Compare":
        low, high = (None, node.value) if "<" in node.op else (node.value, None)
        ends = SimpleNamespace(low=low, high=high, include_low="=" in node.op, include_high="=" in node.op)
        return _within(value, ends, column)
    if kind == "Range":
        return _within(value, node, column)
    literal = node.pattern.literal
    if column == "severity":
        names = [name for name, low in _SEVERITIES.items() if low <= value < low + 4]
        if literal is None:
            return any(_fits(node.pattern.parts, name, "") for name in names)
        level = _level(literal)
        return bool(value) and level is not None and level[0] <= value <= level[1]
    if literal is None or isinstance(value, str):
        return _fits(node.pattern.parts, _spelled(value), "")
    if isinstance(value, bool):
        return literal.lower() == _spelled(value)
    return _number(literal, column.endswith("_ns")) == value


def window(samples: Sequence[tuple[int, float]], begin: int, end: int) -> list[tuple[int, float]]:
    """Samples of (begin, end], in order."""
    return [(t, v) for t, v in samples if begin < t <= end]


def extrapolated(samples: Sequence[tuple[int, float]], begin: int, end: int, *, counter: bool) -> float | None:
    """What `increase` (counter) or `delta` gives for the samples of (begin, end], times in ns; None for too few."""
    inside = window(samples, begin, end)
    if len(inside) < 2:
        return None
    (first, start), (last, final) = inside[0], inside[-1]
    change = final - start
    if counter:
        change += sum(a for (_, a), (_, b) in pairwise(inside) if b < a)
    sampled = (last - first) / 1e9
    average = sampled / (len(inside) - 1)
    before, after = (first - begin) / 1e9, (end - last) / 1e9
    if before >= average * 1.1:
        before = average / 2
    if counter and change > 0 and start >= 0:
        before = min(before, sampled * (start / change))
    if after >= average * 1.1:
        after = average / 2
    return change * ((sampled + before + after) / sampled)


def over_time(name: str, samples: Sequence[tuple[int, float]], begin: int, end: int) -> float | None:
    """What a PromQL function of the samples of (begin, end] gives; None for nothing."""
    inside = window(samples, begin, end)
    values = [v for _, v in inside]
    steps = list(pairwise(values))
    if not values:
        return None
    if name in ("deriv", "idelta", "irate"):
        if len(values) < 2:
            return None
        if name == "deriv":
            return _slope(inside)
        change = values[-1] - values[-2]
        if name == "idelta":
            return change
        return (values[-1] if change < 0 else change) / ((inside[-1][0] - inside[-2][0]) / 1e9)
    answers = {
        "sum_over_time": lambda: math.fsum(values),
        "avg_over_time": lambda: math.fsum(values) / len(values),
        "min_over_time": lambda: min(values),
        "max_over_time": lambda: max(values),
        "count_over_time": lambda: float(len(values)),
        "last_over_time": lambda: values[-1],
        "present_over_time": lambda: 1.0,
        "stddev_over_time": lambda: statistics.pstdev(values),
        "changes": lambda: float(sum(a != b for a, b in steps)),
        "resets": lambda: float(sum(b < a for a, b in steps)),
    }
    return answers[name]()


def _slope(points: Sequence[tuple[int, float]]) -> float:
    if len({v for _, v in points}) == 1:
        return 0.0
    return statistics.linear_regression([(t - points[0][0]) / 1e9 for t, _ in points], [v for _, v in points]).slope


def aggregation(op: str, values: Sequence[float]) -> float:
    """What a PromQL aggregation gives for the values of one group."""
    answers = {
        "sum": lambda: math.fsum(values),
        "avg": lambda: math.fsum(values) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "count": lambda: float(len(values)),
        "stddev": lambda: statistics.pstdev(values),
    }
    return answers[op]()


def bucket_quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Quantile of one classic histogram of (upper bound, cumulative count), bounds rising, the last one +Inf."""
    total = buckets[-1][1]
    if len(buckets) < 2 or total == 0:
        return math.nan
    lower, below = 0.0, 0.0
    for i, (upper, count) in enumerate(buckets):
        if count >= q * total:
            if math.isinf(upper):
                return lower
            if i == 0 and upper <= 0:
                return upper
            return lower + (upper - lower) * ((q * total - below) / (count - below)) if count > below else math.nan
        lower, below = upper, count
    return lower


# --- detect ----------------------------------------------------------------------------------------------------------


def ranked_quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile by linear interpolation between ranks; NaN is smaller than every number."""
    ranked = sorted(values, key=lambda v: (not math.isnan(v), 0.0 if math.isnan(v) else v))
    rank = q * (len(ranked) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ranked) - 1)
    weight = rank - below
    return ranked[below] * (1 - weight) + ranked[above] * weight


def moved_level(window: Sequence[float]) -> list[float]:
    """Median deviations from the median, at most 8 of either sign; 0 for what is missing."""
    known = [v for v in window if math.isfinite(v)]
    if not known:
        return [0.0] * len(window)
    center = statistics.median(known)
    away = [v - center for v in known]
    spread = statistics.median(map(abs, away))
    if spread == 0:
        spread = statistics.median([abs(v) for v in away if v] or [0.0])
    if spread == 0:
        return [0.0] * len(window)
    return [max(-8.0, min(8.0, (v - center) / spread)) if math.isfinite(v) else 0.0 for v in window]


def moved_along(
    residual: Sequence[Sequence[float]], row: int, column: int, lags: int, reach: int
) -> dict[int, tuple[float, int]]:
    """For each other row: the strongest correlation with `row` around a column, and the smallest lag that has it."""
    t = len(residual[0])
    first, last = max(0, column - reach), min(t, column + reach + 1)
    own = moved_level(residual[row][first:last])
    found = {}
    for other in range(len(residual)):
        best = (0.0, 0)
        for lag in sorted(range(-lags, lags + 1), key=abs):
            if other == row or first + lag < 0 or last + lag > t:
                continue
            theirs = moved_level(residual[other][first + lag : last + lag])
            x, y = ([v - sum(side) / len(side) for v in side] for side in (own, theirs))
            size = math.sqrt(sum(v * v for v in x) * sum(v * v for v in y))
            r = sum(a * b for a, b in zip(x, y, strict=True)) / size if size else 0.0
            if abs(r) > abs(best[0]) + 1e-9:
                best = (r, lag)
        found[other] = best
    return found


def signature_distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Euclidean distance of two sets of named numbers; one that is not there is 0."""
    return math.sqrt(sum((one.get(name, 0.0) - other.get(name, 0.0)) ** 2 for name in {*one, *other}))


def outside(values: Sequence[float], low: Sequence[float], high: Sequence[float]) -> int:
    """How many samples lie outside a band."""
    return sum(v < a or v > b for v, a, b in zip(values, low, high, strict=True))


def heap_top(column: Sequence[tuple[int, float]], k: int) -> set[int]:
    """The rows Prometheus' topk keeps: a heap of k, its least in front, replaced only by what is larger."""

    def less(a: tuple[int, float], b: tuple[int, float]) -> bool:
        return math.isnan(a[1]) or a[1] < b[1]

    heap: list[tuple[int, float]] = []
    for item in column:
        if len(heap) < k:
            heap.append(item)
            at = len(heap) - 1
            while at and less(heap[at], heap[(at - 1) // 2]):
                heap[at], heap[(at - 1) // 2] = heap[(at - 1) // 2], heap[at]
                at = (at - 1) // 2
        elif k and (heap[0][1] < item[1] or (math.isnan(heap[0][1]) and not math.isnan(item[1]))):
            heap[0] = item
            at = 0
            while (down := 2 * at + 1) < k:
                if down + 1 < k and less(heap[down + 1], heap[down]):
                    down += 1
                if not less(heap[down], heap[at]):
                    break
                heap[at], heap[down] = heap[down], heap[at]
                at = down
    return {row for row, _ in heap}


def exponential_bound(index: int, schema: int) -> float:
    """Upper bound of a bucket of positive values."""
    return float(2.0 ** (index / 2**schema))


def widened(h: Any, threshold: float) -> tuple[float, float]:
    """Zero threshold and zero count of a histogram whose zero bucket is to reach at least to `threshold`."""
    if threshold == h.zero_threshold:
        return threshold, h.zero_count
    while True:
        cut = [
            exponential_bound(i, h.schema)
            for side in (h.positive, h.negative)
            for i, n in side.items()
            if n and exponential_bound(i - 1, h.schema) < threshold < exponential_bound(i, h.schema)
        ]
        if not cut:
            break
        threshold = max(cut)
    inside = [
        n for side in (h.positive, h.negative) for i, n in side.items() if exponential_bound(i, h.schema) <= threshold
    ]
    return threshold, h.zero_count + sum(inside)


def add_histograms(a: Any, b: Any, weight: float) -> Any:
    """An exponential histogram plus a weight times another, bucket by bucket."""
    threshold = max(a.zero_threshold, b.zero_threshold)
    while True:
        wider = max(widened(a, threshold)[0], widened(b, threshold)[0])
        if wider == threshold:
            break
        threshold = wider
    schema = min(a.schema, b.schema)
    sides = []
    for name in ("positive", "negative"):
        out: dict[int, float] = {}
        for h, w in ((a, 1.0), (b, weight)):
            for i, n in getattr(h, name).items():
                if h.zero_threshold < threshold and exponential_bound(i, h.schema) <= threshold:
                    continue
                at = math.ceil(i / 2 ** (h.schema - schema))
                out[at] = out.get(at, 0.0) + w * n
        sides.append({i: n for i, n in out.items() if n})
    zero = widened(a, threshold)[1] + weight * widened(b, threshold)[1]
    return SimpleNamespace(
        schema=schema, zero_threshold=threshold, zero_count=zero, count=a.count + weight * b.count,
        sum=a.sum + weight * b.sum, positive=sides[0], negative=sides[1],
    )  # fmt: skip


def histogram_reset(before: Any, now: Any) -> bool:
    """Whether a counter of exponential histograms was reset in between, as far as counts tell."""
    if now.count < before.count or now.schema > before.schema or now.zero_threshold < before.zero_threshold:
        return True
    change = add_histograms(now, before, -1.0)
    if change.zero_threshold != now.zero_threshold or change.zero_count < 0:
        return True
    return any(n < 0 for side in (change.positive, change.negative) for n in side.values())


def histogram_buckets(h: Any) -> list[tuple[float, float, float]]:
    """Lower bound, upper bound and count of the populated buckets, from the lowest up."""
    bound = exponential_bound
    out = [(-bound(i, h.schema), -bound(i - 1, h.schema), n) for i, n in sorted(h.negative.items(), reverse=True) if n]
    if h.zero_count > 0:
        low = 0.0 if h.positive and not h.negative else -h.zero_threshold
        high = 0.0 if h.negative and not h.positive else h.zero_threshold
        out.append((low, high, h.zero_count))
    return out + [(bound(i - 1, h.schema), bound(i, h.schema), n) for i, n in sorted(h.positive.items()) if n]


def native_quantile(h: Any, q: float) -> float:
    """The q-quantile of an exponential histogram without observations of NaN."""
    if not h.count:
        return math.nan
    buckets = histogram_buckets(h)
    upward = q < 0.5
    rank, seen = (q if upward else 1 - q) * h.count, 0.0
    for bucket in buckets if upward else buckets[::-1]:
        low, high, n = bucket
        seen += n
        if seen >= rank:
            break
    seen = min(seen, h.count)
    share = (rank - (seen - n) if upward else seen - rank) / n
    if low <= 0 <= high:
        return low + (high - low) * share
    if low > 0:
        return low * (high / low) ** share
    return high * (low / high) ** (1 - share)


def finite_median(values: Sequence[float]) -> float:
    kept = [v for v in values if math.isfinite(v)]
    return statistics.median(kept) if kept else math.nan


def linear_quantile(values: Sequence[float], q: float) -> float:
    kept = sorted(v for v in values if math.isfinite(v))
    if not kept:
        return math.nan
    position = (len(kept) - 1) * q
    low, high = math.floor(position), math.ceil(position)
    return kept[low] * (1 - (position - low)) + kept[high] * (position - low)


def seasonal_median(values: Sequence[float], at: int, period: int, cycles: int = 5) -> float:
    """The median of one series at the same phase, one step more and less, in the cycles before column `at`."""
    seen = [at - period * k + j for k in range(1, cycles + 1) for j in (-1, 0, 1)]
    return finite_median([values[i] for i in seen if i >= 0])


def level_scores(values: Sequence[float], window: int, warmup: int, recent: int, memory: int, hold: int) -> list[float]:
    """Scores of one series without season, sample by sample, as LevelShift with a floor of 5 % defines them."""
    base, distance, scores = list(values), [math.nan] * len(values), [math.nan] * len(values)
    knee, tail, held, due, block_end, center, scale = 1.5, 0.5, 0, 0, warmup, math.nan, math.nan
    for i in range(warmup, len(values)):
        if i == block_end:
            past = [v for v in base[max(0, i - window) : i] if math.isfinite(v)]
            center = finite_median(past) if len(past) >= warmup else math.nan
            block_end = i + max(1, min(i, window) // 10)
            if past:
                middle = finite_median(past)
                spread = (linear_quantile(past, 0.9) - linear_quantile(past, 0.1)) / 2.5631
                steps = [b - a for a, b in pairwise(sorted(past)) if b - a > 1e-6 * abs(middle)]
                quantum = min(steps) if steps and spread > 0 else 0.0
                mad = 1.4826 * finite_median([abs(v - middle) for v in past])
                scale = max(mad, spread, quantum, 0.05 * abs(middle), 1e-12)
            if i >= due:
                known = [d for d in distance[max(0, i - memory) : i] if math.isfinite(d)]
                weight = len(known) / (len(known) + 10)
                knee = weight * (linear_quantile(known, 0.9) if known else 0) + (1 - weight) * 1.5
                excess = [d - knee for d in known if d > knee]
                tail = (sum(excess) + 5) / (len(excess) + 10)
                due = i + min(i, memory) // 20
        size = math.nan
        if math.isfinite(values[i]) and math.isfinite(center):
            size = abs(finite_median(values[max(0, i - recent + 1) : i + 1]) - center) / scale
            scores[i] = min(50.0, 1 + (size - knee) / (tail * math.log(10)) if size > knee else size / knee)
            distance[i] = min(size, knee + 2 * tail * math.log(10))
        if math.isfinite(scores[i]):
            held = held + 1 if scores[i] > 3 else 0
            if scores[i] > 3 and held <= hold:
                base[i] = math.nan
                if held > 1:
                    distance[i] = math.nan
    return scores


def forecast_clock(t: int, step: float) -> tuple[float, float, int, list[int]]:
    """Steps per day, per week, per block, and the origins of the default forecaster, the end of the history last."""
    day, week = 86400 / step, 7 * 86400 / step
    block = (max(1, round(day)) if day < t else t) if t >= 2 * day else max(1, t // 8)
    blocks = t // block
    first = max(1, min(2 * round(week / block), blocks // 2))
    return day, week, block, [t - b * block for b in range(min(28, max(0, blocks - first)), -1, -1)]


def forecast_profile(values: Sequence[float], origin: int, period: float, cycles: int) -> list[float]:
    """Median of each phase of a cycle that begins at the origin, over the cycles before it."""
    out = []
    for phase in range(max(1, round(period))):
        at = [origin + phase - round(k * period) for k in range(1, cycles + 1)]
        out.append(finite_median([values[i] for i in at if i >= 0]))
    return out


def forecast_experts(values: Sequence[float], origin: int, horizon: int, step: float) -> list[list[float]]:
    """What the eight experts say at one origin; those that the history is too short for say what their fallback does."""
    t = len(values)
    day, week, block, _ = forecast_clock(t, step)
    count = t // block
    start = t - count * block
    medians = [finite_median(values[start + b * block : start + (b + 1) * block]) for b in range(count)]
    for b in range(count):
        before = medians[b - 1] if b else finite_median(values[:start])
        medians[b] = before if math.isnan(medians[b]) else medians[b]
    now = (origin - start) // block - 1
    level = medians[now]
    lag = max(1, min(28, count) // 2)
    if lag >= week / block >= 1:
        lag = int(lag // (week / block) * (week / block))
    change = [
        (medians[b] - medians[b - lag]) / lag for b in range(now, max(now - max(1, 28 - lag), -1), -1) if b >= lag
    ]
    slope = finite_median(change)
    slope = 0.0 if math.isnan(slope) else slope / block

    def phase(h: int, period: float) -> int:
        return min(round(h - math.floor(h / period) * period), max(0, round(period) - 1))

    def off(profile: Sequence[float], tilt: float) -> float:
        newest = [(i, origin + i) for i in range(-block, 0)]
        found = finite_median([values[at] - profile[i % len(profile)] - tilt * i for i, at in newest if at >= 0])
        return level + tilt * (block + 1) / 2 - finite_median(profile) if math.isnan(found) else found

    def extended(profile: Sequence[float], period: float) -> tuple[list[float], list[float]]:
        flat = [p - slope * j for j, p in enumerate(profile)]
        here, raised = off(profile, 0.0), off(flat, slope)
        steps = range(horizon)
        return [profile[phase(h, period)] + here for h in steps], [
            flat[phase(h, period)] + raised + slope * h for h in steps
        ]

    trend = [level + slope * ((block - 1) / 2 + 1 + h) for h in range(horizon)]
    out = [[level] * horizon for _ in range(6)] + [trend, trend]
    if not (day >= 2 and t >= 2 * day):
        return out
    daily = [level if math.isnan(p) else p for p in forecast_profile(values, origin, day, 7)]
    plain = [daily[phase(h, day)] for h in range(horizon)]
    raised, tilted = extended(daily, day)
    out = [plain, plain, raised, plain, raised, out[5], tilted, tilted]
    if not (week >= 2 and t >= 2 * week):
        return out
    weekly = forecast_profile(values, origin, week, 4)
    weekly = [daily[phase(j, day)] if math.isnan(p) else p for j, p in enumerate(weekly)]
    last = [w if math.isnan(p) else p for p, w in zip(forecast_profile(values, origin, week, 1), weekly, strict=True)]
    out[0], out[1] = ([p[phase(h, week)] for h in range(horizon)] for p in (last, weekly))
    out[2], out[6] = extended(weekly, week)
    return out


def forecast_default(
    values: Sequence[float], horizon: int, step: float, level: float
) -> tuple[list[float], list[float]]:
    """Point and half width of the default forecast of one series."""
    t = len(values)
    day, week, block, origins = forecast_clock(t, step)
    said = [forecast_experts(values, o, horizon, step) for o in origins]

    def residual(expert: Sequence[float], o: int, h: int) -> float:
        return values[o + h] - expert[h] if o + h < t else math.nan

    error = []
    for e in range(8):
        sizes = [abs(residual(s[e], o, h)) for s, o in zip(said[:-1], origins, strict=False) for h in range(horizon)]
        sizes = [s for s in sizes if math.isfinite(s)]
        error.append(sum(sizes) / max(1, len(sizes)))
    weekly, daily = week >= 2 and t >= 2 * week, day >= 2 and t >= 2 * day
    usable = [weekly, weekly, weekly, daily, daily, True, weekly, daily]
    error = [e if u else math.inf for e, u in zip(error, usable, strict=True)]
    best = min(error[:6])
    error[6:] = [e if e < 0.9 * best else math.inf for e in error[6:]]
    least = min(error)
    weight = [0.0 if e == math.inf else 1.0 if e == least else (least / e) ** 8 for e in error]
    weight = [w / sum(weight) for w in weight]

    def blend(parts: Sequence[Sequence[float]], h: int) -> float:
        return sum(w * p[h] for w, p in zip(weight, parts, strict=True))

    point = [blend(said[-1], h) for h in range(horizon)]
    half, known, size = [], (math.nan, 1), max(1, min(horizon, round(day)))
    for begin in range(0, horizon, size):
        end, pool = min(begin + size, horizon), []
        for parts, o in zip(said[:-1], origins, strict=False):
            age = 0.5 ** ((t - o) / max(day, block) / 14)
            pool += [(abs(residual([blend(parts, h)], o + h, 0)), age) for h in range(begin, end)]
        width = heavy_quantile(pool, level)
        known = known if math.isnan(width) else (width, end)
        for h in range(begin, end):
            grown = known[0] * math.sqrt(max(h + 1, known[1]) / known[1])
            half.append(grown if math.isnan(width) else width)
    return point, half


def heavy_quantile(pool: Sequence[tuple[float, float]], level: float) -> float:
    """Smallest value with `level` of the weight at or below it, a weight of 1 lying above all; else the largest."""
    kept = sorted(pair for pair in pool if math.isfinite(pair[0]))
    total, mass = sum(w for _, w in kept) + 1.0, 0.0
    for value, weight in kept:
        mass += weight
        if mass >= level * total:
            return value
    return kept[-1][0] if kept else math.nan


def first_crossing(path: Sequence[float], limit: float, above: bool) -> float:
    """First step at which a path reaches a limit; infinite for never."""
    return next((float(i) for i, v in enumerate(path) if (v >= limit if above else v <= limit)), math.inf)


def theil_sen(values: Sequence[float]) -> float:
    """Median of the slopes of all pairs."""
    pairs = [(b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if j > i]
    return finite_median(pairs)


def line_error(values: Sequence[float]) -> float:
    """Sum of squares that the best straight line leaves."""
    known = [(float(i), v) for i, v in enumerate(values) if math.isfinite(v)]
    if len(known) < 2:
        return 0.0
    x, y = statistics.fmean(i for i, _ in known), statistics.fmean(v for _, v in known)
    wide = sum((i - x) ** 2 for i, _ in known)
    steep = sum((i - x) * (v - y) for i, v in known) / wide if wide else 0.0
    return sum((v - y - steep * (i - x)) ** 2 for i, v in known)


def broken_line(values: Sequence[float], low: int, high: int) -> list[int]:
    """Where a series breaks within [low, high), by cutting it at the best place as long as that is worth it."""
    if high - low < 14:
        return []
    known = [math.isfinite(v) for v in values]
    places = [c for c in range(low + 7, high - 6) if sum(known[low:c]) >= 7 and sum(known[c:high]) >= 7]
    count = max(2, sum(known[low:high]))
    whole = line_error(values[low:high])
    costs = [(line_error(values[low:c]) + line_error(values[c:high]), c) for c in places]
    if not costs:
        return []
    cost, at = min(costs)
    floor = count * 1e-14
    gain = count * math.log(max(whole, floor) / max(cost, floor))
    if gain <= 6 * math.log(count) or whole - cost <= 1e-9 * count:
        return []
    return sorted([*broken_line(values, low, at), at, *broken_line(values, at, high)])


def level_episodes(
    scores: Sequence[float], threshold: float, close: float, open_after: int, close_after: int, refractory: int
) -> list[tuple[int, int]]:
    """Half-open columns of the episodes of one series, by walking along it with a switch."""
    found: list[list[int]] = []
    active = False
    for i in range(len(scores)):
        ahead = scores[i : i + open_after]
        behind = scores[i : i + close_after]
        opens = len(ahead) == open_after and all(s >= threshold for s in ahead)
        closes = len(behind) == close_after and not any(s >= close for s in behind)
        if active and closes:
            active = False
        elif not active and opens:
            active = True
            found.append([i, i])
        if active:
            found[-1][1] = i + 1
    joined: list[list[int]] = []
    for start, end in found:
        if joined and refractory and start - joined[-1][1] <= refractory:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    return [(start, end) for start, end in joined]


def surprises(
    strange: Sequence[float],
    least: float,
    quantile: float,
    most: float,
    shape: float,
    weight: float,
    share: float,
    memory: float,
    highest: float,
) -> list[float]:
    """-log10 p of each strangeness by those before it, kept as counts of eighths of an octave (320, moving up)."""
    begins = lambda k: unit * 2.0 ** ((k - 1) / 8 - 16.0 - 0.043)  # noqa: E731
    unit = top = total = 0.0
    lowest = 0  # all at or below it is one, and no surprise
    counts: dict[int, float] = {}
    out = []
    for v in strange:
        if math.isnan(v):
            out.append(math.nan)
            continue
        unit = unit or v
        at = max(math.floor((math.log2(v / unit) + 0.043 + 16.0) * 8) + 1, lowest) if v > 0 else lowest
        while at > lowest + 320:
            lowest += 8
        lower = sum(counts.pop(k) for k in list(counts) if k <= lowest)
        counts[lowest] = lower
        score = 0.0
        if total >= least and at > lowest:
            above = lambda first, held=counts: sum(count for k, count in held.items() if k >= first)  # noqa: E731
            room = min((1 - quantile) * total, most)
            first = min(k for k in range(lowest + 1, lowest + 322) if above(k) <= room)
            low = begins(first)
            if low < share * top:
                low = share * top
                kept = math.floor((math.log2(low / unit) + 0.043 + 16.0) * 8) + 2
                first = max(first, min(max(kept, lowest + 1), lowest + 321))
            step = math.log(2) / 8
            logs = sum(
                count * max(math.log(begins(k)) + step / 2 - math.log(low), step / 4)
                for k, count in counts.items()
                if k >= first
            )
            mean = (logs + shape * weight) / (above(first) + weight)
            score = -math.log10((above(first) + 1) / (total + 1)) + math.log(max(v / low, 1.0)) / mean / math.log(10)
            if v <= low:
                score = -math.log10((counts.get(at, 0.0) / 2 + above(at + 1) + 1) / (total + 1))
        out.append(min(max(score, 0.0), highest))
        counts[at] = counts.get(at, 0.0) + 1
        total += 1
        top = max(top, v)
        if total >= memory:
            counts = {k: count / 2 for k, count in counts.items()}
            total, top = total / 2, top / 2
    return out


def _beyond_rounding(v: float, size: float) -> float:
    return v if v > 1e-9 * abs(size) else 0.0


def held(values: Sequence[float]) -> list[float]:
    """Values with each gap repeating the one before it; NaN before the first."""
    out: list[float] = []
    for x in values:
        out.append(out[-1] if math.isnan(x) and out else x)
    return out


def seasonal_distances(
    values: Sequence[float], per: int, slots: int, rate: float, favour: Sequence[float], lately: float, long: float
) -> tuple[list[float], list[float], list[float]]:
    """(expected, distance, burst): by the level, the last hours, days or the week, whichever erred least so far."""
    samples: list[float] = []
    by_slot: dict[int, list[float]] = {}
    error = [0.0] * 4
    offs: list[float] = []
    bursts: list[float] = []
    expected, distance = [], []
    for t, x in enumerate(values):
        if math.isnan(x):
            for out in (expected, distance, bursts):
                out.append(math.nan)
            continue

        def around(back: int, times: int, reach: int, slot: int = t // per) -> float:
            places = [slot - k * back + e for k in range(1, times + 1) for e in range(-reach, reach + 1)]
            means = [sum(by_slot[p]) / len(by_slot[p]) for p in places if p in by_slot]
            return statistics.median(means) if len(means) >= 3 else math.nan

        hour = slots // 24
        guess = [
            statistics.median(samples[-15:]) if samples else math.nan,
            around(hour, 5, 1) if hour >= 6 else math.nan,
            around(slots, 5, 1) if slots > 1 else math.nan,
            around(7 * slots, 1, 2) if slots > 2 else math.nan,
        ]
        known = [k for k in range(4) if not math.isnan(guess[k])]
        best = known[0] if known else -1
        for k in known:
            if error[k] * favour[k] < error[best] * favour[best] * (1 - 1e-9):
                best = k
        expected.append(guess[best] if known else math.nan)
        distance.append(_beyond_rounding(abs(x - guess[best]), x) if known else math.nan)
        if known:
            offs.append(x - guess[best])
            v = jump_fit(offs, lately, long, 1e-9 * max(abs(x), abs(offs[-1])))
            bursts.append(v if math.isnan(v) else _beyond_rounding(v, x))
        else:
            bursts.append(math.nan)
        for k in known:
            error[k] += rate * (abs(x - guess[k]) - error[k])
        samples.append(x)
        by_slot.setdefault(t // per, []).append(x)
    return expected, distance, bursts


def jump_fit(offs: Sequence[float], lately: float, long: float, tiny: float) -> float:
    """How well the last three residuals fit a jump, each freed of what the one before foretold; from the beginning."""
    if len(offs) < 5:
        return math.nan
    level = lag = power = 0.0
    for end in range(4, len(offs)):
        rate = 1.0 / (end - 3)
        level += max(lately, rate) * (offs[end - 4] - level)
        y = [off - level for off in offs[end - 4 : end + 1]]
        phi = min(max(lag / power, 0.0), 0.95) if power > tiny**2 else 0.0
        fresh = [y[k] - phi * y[k - 1] for k in (2, 3, 4)]
        shape = (1.0, 1 - phi, 1 - phi)
        fit = abs(sum(a * b for a, b in zip(shape, fresh, strict=True))) / math.hypot(*shape)
        lag += max(long, rate) * (y[1] * y[0] - lag)
        power += max(long, rate) * (y[0] * y[0] - power)
    return fit


def outside_range(values: Sequence[float], per: int, blocks: int, reach: int, days: int) -> list[float]:
    """How far each value is outside all values of the same blocks (and `reach` on either side) of the days before."""
    out = []
    for t, x in enumerate(values):
        near = {t // per - day * blocks + e for day in range(1, days + 1) for e in range(-reach, reach + 1)}
        past = [y for s, y in enumerate(values[:t]) if s // per in near and not math.isnan(y)]
        beyond = max(x - max(past), min(past) - x, 0.0) if past and not math.isnan(x) else math.nan
        out.append(beyond if math.isnan(beyond) else _beyond_rounding(beyond, x))
    return out


def shift_and_spread(values: Sequence[float], short: int, long: int, lags: int) -> tuple[list[float], list[float]]:
    """Distance of the medians of the last `short` samples and the `long` before; size of the last `lags` jumps."""
    shift, spread = [math.nan] * len(values), [math.nan] * len(values)
    samples: list[float] = []
    for t, x in enumerate(values):
        if math.isnan(x):
            continue
        samples.append(x)
        before = samples[:-short][-long:]
        if len(before) > 5:
            shift[t] = _beyond_rounding(abs(statistics.median(samples[-short:]) - statistics.median(before)), x)
        if len(samples) > lags:
            jumps = [b - a for a, b in pairwise(samples[-lags - 1 :])]
            spread[t] = _beyond_rounding(math.sqrt(sum(d * d for d in jumps) / lags), x)
    return shift, spread


def nearest_stretches(values: Sequence[float], m: int, history: int, *, normal: bool) -> list[float]:
    """Distance of each last `m` samples from the nearest `m` of the last `history` that share none with them."""
    first = next((t for t, x in enumerate(values) if not math.isnan(x)), len(values))
    filled = held(values)[first:]
    out = [math.nan] * len(values)

    def form(window: list[float]) -> list[float]:
        mean = sum(window) / m
        size = math.sqrt(sum((x - mean) ** 2 for x in window) / m)
        flat = size <= 1e-9 * max(map(abs, window))
        return [0.0 if flat else (x - mean) / size for x in window]

    for t in range(2 * m - 1, len(filled)):
        if math.isnan(values[first + t]):
            continue
        low = max(0, t + 1 - history)
        ways = [filled[e - m + 1 : e + 1] for e in range(low + m - 1, t - m + 1)]
        newest = filled[t - m + 1 : t + 1]
        if normal:
            newest, ways = form(newest), [form(way) for way in ways]
        if ways:
            v = min(math.dist(newest, way) for way in ways)
            out[first + t] = v if v > (1e-3 if normal else 1e-9 * abs(filled[t])) else 0.0
    return out


def agile_distances(values: Sequence[float], span: float) -> list[float]:
    """Distance from the weighted mean of the samples before: weights 1 / span, plain mean at first."""
    out, level, seen = [], 0.0, 0
    for x in values:
        out.append(_beyond_rounding(abs(x - level), x) if seen and not math.isnan(x) else math.nan)
        if not math.isnan(x):
            seen += 1
            rate = max(1 / span, 1 / seen)
            level = (1 - rate) * level + rate * x
    return out


def saliencies(values: Sequence[float], length: int, ahead: int, near: int) -> list[float]:
    """The newest place of the spectral residual's map, over the mean of those before it; plain transforms there and back."""
    out = [math.nan] * len(values)
    filled = held(values)
    real = length - ahead
    for t, x in enumerate(values):
        window = filled[t - real + 1 : t + 1] if t >= real - 1 else []
        if not window or math.isnan(window[0]) or math.isnan(x):
            continue
        slope = sum((window[-1] - window[-1 - k]) / k for k in range(1, ahead + 1)) / ahead
        longer = window + [window[-ahead] + slope * ahead] * ahead
        mean = sum(window) / real
        wave = [[cmath.exp(2j * math.pi * k * f / length) for k in range(length)] for f in range(length)]
        spectrum = [
            sum((y - mean) * w.conjugate() for y, w in zip(longer, wave[f], strict=True)) for f in range(length)
        ]
        top = max(map(abs, spectrum[1:]))
        out[t] = 0.0
        if top <= 1e-9 * length * max(map(abs, window)):
            continue
        logs = [math.log(max(abs(s), 1e-6 * top)) for s in spectrum[: length // 2 + 1]]
        usual = [0.0] * length
        for f in range(1, length // 2 + 1):
            around = logs[max(f - 1, 1) : f + 2]
            usual[f] = usual[-f] = math.exp(sum(around) / len(around))
        flat = [spectrum[f] / usual[f] if f else 0.0 for f in range(length)]
        places = [abs(sum(s * wave[f][k] for f, s in enumerate(flat))) for k in range(real - 1 - near, real)]
        out[t] = places[-1] / (sum(places[:-1]) / near)
    return out


def unexplained(windows: Any, newest: Any, share: float) -> float:
    """Length of what principal components leave of a window, of each the root of cut / (variance + cut)."""
    import numpy as np

    away = windows - windows.mean(axis=0)
    variance, vectors = np.linalg.eigh(away.T @ away)
    cut = share * variance.mean()
    kept = cut / (np.maximum(variance, 0) + cut) if cut > 0 else np.ones(len(variance))
    along = vectors.T @ (newest - windows.mean(axis=0))
    return math.sqrt(float((kept * along**2).sum()))


def apart(past: Any, newest: Any, components: int) -> list[float]:
    """What the leading components of an entity's past (metrics, ticks) leave of each of its newest values."""
    import numpy as np

    rows = []
    for metric, x in zip(past.tolist(), newest.tolist(), strict=True):
        seen = [y for y in metric if not math.isnan(y)]
        if len(seen) < 16:  # takes no part
            rows.append(([0.0] * len(metric), math.nan))
            continue
        center = statistics.median(seen)
        scale = 1.4826 * statistics.median(abs(y - center) for y in seen)
        rows.append(
            (
                [0.0 if math.isnan(y) else min(max((y - center) / scale, -6.0), 6.0) for y in metric],
                (x - center) / scale,
            )
        )
    z, known = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    now = np.nan_to_num(known)
    vectors, sizes, _ = np.linalg.svd(z, full_matrices=False)
    left = now.copy()
    for k in range(min(components, len(z) // 2)):
        counts = 1 - (sizes[min(components, len(z) // 2)] / sizes[k]) ** 2
        left -= counts * vectors[:, k] * (vectors[:, k] @ now)
    return np.where(np.isnan(known), np.nan, np.abs(left)).tolist()  # type: ignore[no-any-return]


# --- traces ----------------------------------------------------------------------------------------------------------


def span_depth(parent: Sequence[int], row: int) -> int:
    return 0 if parent[row] < 0 else 1 + span_depth(parent, parent[row])


def span_self_time(start: Sequence[int], duration: Sequence[int], parent: Sequence[int], row: int) -> int:
    """Nanoseconds of a span during which no child runs, counted one by one."""
    inside = set(range(start[row], start[row] + duration[row]))
    for child in range(len(parent)):
        if parent[child] == row:
            inside -= set(range(start[child], start[child] + duration[child]))
    return len(inside)


def call_pairs(parent: Sequence[int], kind: Sequence[str], service: Sequence[str]) -> list[tuple[int, int]]:
    """(client row or -1, server row) of every call that reached a recorded span, by walking up from each span."""
    pairs = []
    for row in range(len(parent)):
        if parent[row] < 0:
            continue
        above = parent[row]
        while kind[above] in ("internal", "unspecified") and parent[above] >= 0:
            above = parent[above]
        client = above if kind[above] in ("client", "producer") else -1
        crosses = service[row] != service[parent[row]]
        served = kind[row] in ("server", "consumer")
        if crosses or (served and client >= 0 and service[row] == service[client]):
            pairs.append((client, row))
    return pairs


def red_cell(
    rows: Sequence[tuple[str, int, int, bool]], group: str, start: int, end: int
) -> tuple[int, int, float, float]:
    """(calls, errors, p50, p95) of the rows (group, start, duration, failed) of one group that start in [start, end)."""
    chosen = [(d, failed) for g, t, d, failed in rows if g == group and start <= t < end]
    durations = [float(d) for d, _ in chosen]
    return len(chosen), sum(f for _, f in chosen), linear_quantile(durations, 0.5), linear_quantile(durations, 0.95)


# --- profiles --------------------------------------------------------------------------------------------------------


def flame_totals(samples: Sequence[tuple[Sequence[str], int]]) -> dict[tuple[str, ...], tuple[int, int]]:
    """(self, total) of every call path of samples (functions from root to leaf, value)."""
    nodes: dict[tuple[str, ...], tuple[int, int]] = {}
    for stack, value in samples:
        for depth in range(1, len(stack) + 1):
            own, total = nodes.get(tuple(stack[:depth]), (0, 0))
            nodes[tuple(stack[:depth])] = own + (value if depth == len(stack) else 0), total + value
    return nodes


def function_totals(samples: Sequence[tuple[Sequence[str], int]]) -> dict[str, tuple[int, int]]:
    """(self, total) of every function; one that calls itself counts once per sample."""
    table: dict[str, tuple[int, int]] = {}
    for stack, value in samples:
        for function in set(stack):
            own, total = table.get(function, (0, 0))
            table[function] = own + (value if stack[-1] == function else 0), total + value
    return table


# --- sources ---------------------------------------------------------------------------------------------------------


def otlp_value(value: Any) -> Any:
    """An OTLP AnyValue as plain Python."""
    which = value.WhichOneof("value")
    if which == "array_value":
        return [otlp_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: otlp_value(item.value) for item in value.kvlist_value.values}
    return None if which is None else getattr(value, which)


def otlp_spans(request: Any) -> list[dict[str, Any]]:
    """Every span of a decoded request as one flat dictionary, attributes of the resource below its own."""
    rows = []
    for block in request.resource_spans:
        shared = {item.key: otlp_value(item.value) for item in block.resource.attributes}
        for scope in block.scope_spans:
            for span in scope.spans:
                own = {item.key: otlp_value(item.value) for item in span.attributes}
                rows.append(
                    {
                        "time": span.start_time_unix_nano,
                        "duration_ns": span.end_time_unix_nano - span.start_time_unix_nano,
                        "trace_id": span.trace_id.hex(),
                        "span_id": span.span_id.hex(),
                        "parent_span_id": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": ["unspecified", "internal", "server", "client", "producer", "consumer"][span.kind],
                        "status": ["unset", "ok", "error"][span.status.code],
                        "attributes": {k: v for k, v in {**shared, **own}.items() if v is not None},
                    }
                )
    return rows


def otlp_points(request: Any) -> dict[tuple[tuple[str, str], ...], dict[int, float]]:
    """Labels -> time -> value of every number, histogram and summary point, buckets cumulated."""
    out: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}

    def put(name: str, labels: dict[str, str], time: int, value: float) -> None:
        key = tuple(sorted({**labels, "metric": name}.items()))
        out.setdefault(key, {})[time] = float(value)

    short = {"service.name": "service", "deployment.environment.name": "env", "service.version": "version"}
    short |= {"host.name": "host", "service.instance.id": "instance"}
    for block in request.resource_metrics:
        tags = {short[a.key]: a.value.string_value for a in block.resource.attributes if a.key in short}
        for metric in (m for scope in block.scope_metrics for m in scope.metrics):
            which = metric.WhichOneof("data")
            for point in getattr(metric, which).data_points:
                time = point.time_unix_nano
                attributes = {a.key: otlp_value(a.value) for a in point.attributes}
                labels = tags | {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
                if which in ("gauge", "sum"):
                    put(metric.name, labels, time, getattr(point, point.WhichOneof("value")))
                    continue
                put(f"{metric.name}_count", labels, time, point.count)
                put(f"{metric.name}_sum", labels, time, point.sum)
                if which == "histogram":
                    total = 0
                    bounds = [*map(str, point.explicit_bounds), "+Inf"]
                    for bound, count in zip(bounds, point.bucket_counts, strict=True):
                        total += count
                        put(f"{metric.name}_bucket", labels | {"le": bound}, time, total)
    return out


def exposition(text: str) -> dict[str, float]:
    """Series text -> value of an exposition without timestamps or exemplars, by cutting at the last blank."""
    pairs = [line.rsplit(" ", 1) for line in text.split("\n") if line and not line.startswith("#")]
    return {series: float(value) for series, value in pairs}


# ---- store: a grid ---------------------------------------------------------------------------------------------------


def dense_grid(truth: dict[tuple[int, int], float], start: int, step: int, n: int) -> dict[str, list[float]]:
    """Per series `m0`, `m1`, ... the last value in (t - step, t] for each step t, -1 where there is none."""
    found = {}
    for series in sorted({s for s, _ in truth}):
        row = []
        for k in range(n):
            right = start + k * step
            inside = [(t, v) for (s, t), v in truth.items() if s == series and right - step < t <= right]
            row.append(max(inside)[1] if inside else -1.0)
        if any(v != -1 for v in row):
            found[f"m{series}"] = row
    return found


# ---- store: ranges of a remote file ----------------------------------------------------------------------------------


def cut(data: bytes, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes at each (offset, length), short where the data end."""
    return [bytes(data[at] for at in range(offset, min(offset + length, len(data)))) for offset, length in ranges]


# ---- store: retention ------------------------------------------------------------------------------------------------


def retirable(segments: Sequence[tuple[int, int, int]], horizon: int) -> set[int]:
    """Of (seq, t_min, t_max) the numbers that may go: those that end before the horizon and hide nothing that stays."""
    staying = {i for i, (_, _, last) in enumerate(segments) if last >= horizon}
    while True:
        more = {
            i for i, (seq, low, high) in enumerate(segments) if i not in staying
            and any(segments[j][0] < seq and segments[j][1] <= high and segments[j][2] >= low for j in staying)
        }  # fmt: skip
        if not more:
            return set(range(len(segments))) - staying
        staying |= more


# ---- store: the catalog's statements -------------------------------------------------------------------------------


def translated_sql(sql: str) -> str:
    """`?` and `:name` as psycopg writes them, one letter after the other; quoted text only doubles its `%`."""
    out, at, quoted = "", 0, False
    while at < len(sql):
        letter, after = sql[at], sql[at + 1 : at + 2]
        at += 1
        quoted ^= letter == "'"
        if quoted or letter not in "?:":
            out += "%%" if letter == "%" else letter
        elif letter == "?":
            out += "%s"
        elif after == ":":
            out, at = out + "::", at + 1
        elif after.isalpha() or after == "_":
            end = at
            while end < len(sql) and (sql[end].isalnum() or sql[end] == "_"):
                end += 1
            out, at = out + f"%({sql[at:end]})s", end
        else:
            out += ":"
    return out


# ---- codecs ----------------------------------------------------------------------------------------------------------


def xor_values(bits: Sequence[int]) -> str:
    """The values of a Gorilla stream behind the first, as a text of 0 and 1."""
    out, window = "", None
    for before, now in pairwise(bits):
        change = f"{before ^ now:064b}"
        if "1" not in change:
            out += "0"
            continue
        leading, trailing = min(change.index("1"), 31), 63 - change.rindex("1")
        if window is not None and leading >= window[0] and trailing >= window[1]:
            out += "10"
        else:
            window = leading, trailing
            out += f"11{leading:05b}{(64 - leading - trailing) % 64:06b}"
        out += change[window[0] : 64 - window[1]]
    return out


def xor_values_back(first: int, stream: str, n: int) -> list[int]:
    """The values of a Gorilla stream; whatever stands behind them is left."""
    letters, found, leading, trailing = iter(stream), [first], 0, 0

    def take(count: int) -> str:
        return "".join(next(letters) for _ in range(count))

    while len(found) < n:
        change = 0
        if take(1) == "1":
            if take(1) == "1":
                leading, width = int(take(5), 2), int(take(6), 2)
                trailing = 64 - leading - (width or 64)
            change = int(take(64 - leading - trailing), 2) << trailing
        found.append(found[-1] ^ change)
    return found


def xor_chunk(times: Sequence[int], bits: Sequence[int]) -> bytes:
    """A chunk as Prometheus writes it, sample by sample, a text of 0 and 1 at first."""

    def groups(number: int) -> str:
        out = ""
        while number >= 128:
            out, number = out + f"{number % 128 + 128:08b}", number // 128
        return out + f"{number:08b}"

    out, values = f"{len(times):016b}", xor_values(bits)
    ends = [0] + [len(xor_values(bits[: i + 1])) for i in range(1, len(bits))]
    for i, time in enumerate(times):
        if i == 0:
            out += groups(2 * time if time >= 0 else -2 * time - 1) + f"{bits[0]:064b}"
            continue
        if i == 1:
            out += groups((time - times[0]) % 2**64)
        else:
            change = (time - 2 * times[i - 1] + times[i - 2] + 2**63) % 2**64 - 2**63
            fits = [w for w in (14, 17, 20) if -(2 ** (w - 1)) < change <= 2 ** (w - 1)]
            width = fits[0] if fits else 64
            mark = {14: "10", 17: "110", 20: "1110", 64: "1111"}[width]
            out += "0" if change == 0 else mark + f"{change % 2**width:0{width}b}"
        out += values[ends[i - 1] : ends[i]]
    last = values[ends[-2] :] if len(times) > 1 else "10"
    whole = len(out) % 8 == 0 and last != "0" and (len(last) - (13 if last[:2] == "11" else 2)) % 8 == 0
    out += "0" * (8 if whole else -len(out) % 8)  # what fills a byte as a whole byte leaves an empty one behind
    return bytes(int(out[i : i + 8], 2) for i in range(0, len(out), 8))


def running_sums(first: float, numbers: Sequence[int], exponent: int, restarts: bool) -> list[float]:
    """The first value and every sum after it, one addition after the other."""
    found = [first]
    for number in numbers:
        power = float(10**exponent)
        found.append((-1 - number) / power if restarts and number < 0 else found[-1] + number / power)
    return found


# ---- store: rollups --------------------------------------------------------------------------------------------------


def rollup_bucket(samples: Sequence[tuple[int, float, bool]], low: int, high: int) -> dict[str, float]:
    """What a bucket says of the (time, value, stale) of (low, high]; {} when none of them is a sample."""
    inside = [(t, v) for t, v, stale in samples if low < t <= high and not stale]
    numbers = [(t, v) for t, v in inside if not math.isnan(v)]
    if not inside:
        return {}
    out: dict[str, float] = {"count": len(numbers), "nans": len(inside) - len(numbers), "t_first": -1, "t_last": -1}
    if not numbers:
        return {**out, **dict.fromkeys(("sum", "min", "max", "first", "last", "increase"), math.nan)}
    values = [v for _, v in numbers]
    finite = not any(map(math.isinf, values))
    gains = [b if b < a else b - a for a, b in pairwise(values)]
    out |= {"t_first": numbers[0][0], "t_last": numbers[-1][0], "first": values[0], "last": values[-1]}
    out |= {"min": min(values), "max": max(values), "sum": math.fsum(values) if finite else sum(values)}
    return {**out, "increase": math.fsum(gains) if finite else math.nan}


def rollup_answer(bucket: Mapping[str, float], function: str) -> float:
    """A function of a window, from what a bucket as long as the window says."""
    if not bucket.get("count"):
        return math.nan
    if function == "avg":
        return bucket["sum"] / bucket["count"]
    return bucket["last"] - bucket["first"] if function == "delta" else bucket[function]


def rollup_days_due(spans: Sequence[tuple[int, int, int, int]], rollups: Sequence[tuple[int, int, int]]) -> set[int]:
    """Days that some (first seq, last seq, first day, last day) of samples touches and that need a rollup.

    No (seq, first day, last day) of rollups speaks for them, or the newest does not know the last of the samples while
    some that it knew are still there.
    """
    due = set()
    for day in {d for *_, first, last in spans for d in range(first, last + 1)}:
        here = [span for span in spans if span[2] <= day <= span[3]]
        known = max((seq for seq, first, last in rollups if first <= day <= last), default=None)
        if known is None or (max(s[1] for s in here) > known and min(s[0] for s in here) <= known):
            due.add(day)
    return due


def read_stream(data: bytes, at: int, n: int) -> tuple[list[int], int]:
    """Read a stream of `codecs/lanes.py` number by number, as its drawing says; return the numbers and where it ends."""

    def varint(at: int) -> tuple[int, int]:
        number = shift = 0
        while True:
            number |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return zigzag(number), at

    def zigzag(number: int) -> int:
        return (number >> 1) ^ -(number & 1)

    def signed(number: int) -> int:
        return (number + 2**63) % 2**64 - 2**63

    order, based = data[at] & 3, bool(data[at] & 4)
    at += 1
    starts = []
    for _ in range(order):
        number, at = varint(at)
        starts.append(number)
    held = n - order
    blocks = -(-held // 256)
    widths, counts, sizes = (list(data[at + k * blocks : at + (k + 1) * blocks]) for k in range(3))
    at += 3 * blocks
    bases, base = [], 0
    for _ in range(blocks if based else 0):
        step, at = varint(at)
        base = signed(base + step)
        bases.append(base)
    patches = {}
    for block in range(blocks):
        places = data[at : at + counts[block]]
        at += counts[block]
        for place in places:
            high = int.from_bytes(data[at : at + sizes[block]], "little")
            patches[256 * block + place] = high << widths[block]
            at += sizes[block]
    numbers = []
    for block in range(blocks):
        inside = min(256, held - 256 * block)
        bits = -(-inside // 4) * widths[block]
        words = -(-bits // 64)
        kept = [8] * words
        if block == blocks - 1 and bits % 64:
            kept[-1] = -(-(bits % 64) // 8)
        streams = [0, 0, 0, 0]
        for word in range(words):
            for lane in range(4):
                streams[lane] |= int.from_bytes(data[at : at + kept[word]], "little") << (64 * word)
                at += kept[word]
        for i in range(inside):
            low = streams[i % 4] >> (i // 4 * widths[block]) & ((1 << widths[block]) - 1)
            number = low | patches.get(256 * block + i, 0)
            numbers.append(signed(bases[block] + number) if based else zigzag(number))
    for start in reversed(starts):
        total, found = start, [start]
        for number in numbers:
            total = signed(total + number)
            found.append(total)
        numbers = found
    return numbers, at


def crc32c(data: bytes) -> int:
    """CRC-32C, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def first_equal(rows: Sequence[Mapping[str, str]]) -> list[int]:
    """For each label set the first that says the same; an empty value says nothing."""
    said = [{name: value for name, value in row.items() if value} for row in rows]
    return [next(j for j, other in enumerate(said) if other == row) for row in said]


def undeleted(
    samples: Sequence[tuple[int, int, float]], stones: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int, float]]:
    """What is left of (series, time, value) where stones delete (series, first, last)."""
    return [
        (series, time, value)
        for series, time, value in samples
        if not any(series == s and low <= time <= high for s, low, high in stones)
    ]


# --- evaluate ---------------------------------------------------------------------------------------------------------


def nab_raw(
    files: Sequence[tuple[Sequence[float], Sequence[tuple[int, int]], int]],
    threshold: float,
    hit: float,
    miss: float,
    false_row: float,
) -> float:
    """Raw NAB score at one threshold, row by row; a file is (scores, windows as first and last row, probation)."""

    def credit(x: float) -> float:
        return 2 / (1 + math.exp(5 * x)) - 1

    raw = 0.0
    for scores, windows, probation in files:
        earned: dict[tuple[int, int], float] = {}
        for row, score in enumerate(scores):
            if row < probation or score <= 0 or score < threshold:
                continue
            within = [w for w in windows if w[0] <= row <= w[1]]
            passed = [w for w in windows if w[1] < row]
            if within:
                (window,) = within
                width = window[1] - window[0] + 1
                worth = hit * credit(-(window[1] - row + 1) / width) / credit(-1)
                earned[window] = max(earned.get(window, -math.inf), worth)
            elif passed:
                first, last = max(passed)
                distance = (row - last) / max(last - first, 1)
                raw += false_row * (credit(distance) if distance <= 3 else -1.0)
            else:
                raw -= false_row
        raw += sum(earned.get(window, -miss) for window in windows)
    return raw


def vus_pr(scores: Sequence[float], windows: Sequence[tuple[int, int]], lengths: Sequence[int]) -> float:
    """Volume under precision, recall and buffer length, by looking at every row for every threshold and length."""

    def soft(row: int, length: int) -> float:
        best = 0.0
        for first, last in windows:
            distance = max(first - row, row - last, 0)
            if distance == 0:
                best = 1.0
            elif distance <= length // 2:
                best = max(best, math.sqrt(1 - distance / length))
        return best

    areas = []
    for length in lengths:
        labels = [soft(row, length) for row in range(len(scores))]
        sharp = sum(1 for row in range(len(scores)) if any(a <= row <= b for a, b in windows))
        curve: list[tuple[float, float]] = []
        for threshold in sorted(set(scores), reverse=True):
            fired = [row for row, score in enumerate(scores) if score >= threshold]
            hits = sum(labels[row] for row in fired)
            reached = sum(any(a - length // 2 <= row <= b + length // 2 for row in fired) for a, b in windows)
            recall = min(1.0, hits / ((sharp + sum(labels)) / 2)) * reached / len(windows)
            curve.append((recall, hits / len(fired)))
        curve.insert(0, (0.0, curve[0][1]))
        areas.append(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve)))
    if len(areas) == 1:
        return areas[0]
    steps = list(pairwise(zip(lengths, areas, strict=True)))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in steps) / (lengths[-1] - lengths[0])


def event_counts(
    scores: Sequence[float], windows: Sequence[tuple[int, int]], probation: int, threshold: float
) -> tuple[int, int, int, int, list[int]]:
    """(found, false rows, false episodes, true episodes, delay of each window or its length), row by row."""
    where = [next((n for n, (a, b) in enumerate(windows) if a <= row <= b), -1) for row in range(len(scores))]
    fires = [row >= probation and score > 0 and score >= threshold for row, score in enumerate(scores)]
    false_rows = sum(f and w < 0 for f, w in zip(fires, where, strict=True))
    episodes = [0, 0]
    for row, fired in enumerate(fires):
        if fired and not (row and fires[row - 1] and where[row - 1] == where[row]):
            episodes[where[row] >= 0] += 1
    delays = [next((row - a for row in range(a, b + 1) if fires[row]), b - a + 1) for a, b in windows]
    found = sum(any(fires[a : b + 1]) for a, b in windows)
    return found, false_rows, episodes[0], episodes[1], delays


def quiet_after(scores: Sequence[float], span: int, escalation: float) -> list[float]:
    """Scores kept only where above `escalation` times all that was kept in the last `span` steps."""
    kept: list[float] = []
    for row, score in enumerate(scores):
        recent = [other for other in kept[max(0, row - span) :] if other > 0]
        passes = score > 0 and all(score > escalation * other for other in recent)
        kept.append(score if passes or math.isnan(score) else 0.0)
    return kept


def discoveries(scores: Sequence[float], threshold: float, decade: float) -> list[bool]:
    """Which scores stand out: all from the highest rank k on whose score passes what one of m / k as rare needs."""
    known = sorted((score for score in scores if not math.isnan(score)), reverse=True)
    lowest = math.inf
    for rank, score in enumerate(known, 1):
        if score >= threshold + decade * math.log10(len(known) / rank):
            lowest = score
    return [score >= lowest for score in scores]


def refractory(
    scores: Sequence[float], held: int, escalate: float, habit: float, decay: float, least: float, most: float
) -> list[float]:
    """Scores let through: none within `held` steps unless far higher, less `habit` of all that came through lately."""
    out: list[float] = []
    through: list[tuple[int, float, float]] = []
    for at, score in enumerate(scores):
        load = sum(left * decay ** (at - when) for when, left, _ in through)
        covers = bool(through) and at <= through[-1][0] + held
        left = score - min(habit * load, most)
        if score >= least and left > 0 and score > (escalate * through[-1][2] if covers else 0.0):
            out.append(left)
            through.append((at, left, score))
        else:
            out.append(score if math.isnan(score) else 0.0)
    return out
