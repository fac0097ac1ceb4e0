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
