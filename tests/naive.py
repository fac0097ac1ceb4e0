"""Slow, obvious twins of every fast path, compared with it by property tests. One section per room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        gain = sum(b if b < a else b - a for a, b in zip(numbers, numbers[1:], strict=False))
        out |= {"t_first": real[0][0], "t_last": real[-1][0], "first": numbers[0], "last": numbers[-1]}
        out |= {"sum": sum(numbers), "min": min(numbers), "max": max(numbers), "increase": gain}
    return out


def canonical_labels(labels: Mapping[str, str]) -> str:
    """One JSON object, names sorted, empty labels left out."""
    import json

    return json.dumps({name: labels[name] for name in sorted(labels) if labels[name]}, separators=(",", ":"))
