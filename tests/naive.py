"""Slow, obvious twins of every fast path, compared with it by property tests. One section per room."""

from __future__ import annotations

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
