"""Which series of an investigation say most: RED of every suspect service, then the metrics its evidence names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.investigation import Hypothesis, Investigation
from workbench.signals import Samples, grid

__all__ = ["Choice", "choose"]

_SUSPECTS = 2
_STEPS = 120
_NAMED = 6


@dataclass(frozen=True, eq=False)
class Choice:
    """Series to draw in one chart, float64 of shape (k, t); `metric` is how anomalies name it, "" when they do not."""

    title: str
    service: str
    unit: str
    metric: str
    time: npt.NDArray[np.datetime64]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64]


def choose(investigation: Investigation) -> list[Choice]:
    """Return the charts of an investigation: named metrics of the first suspect are between its RED and the next's."""
    suspects = list(dict.fromkeys(h.service for h in investigation.hypotheses))[:_SUSPECTS]
    if not suspects:
        suspects = _loudest(investigation)
    red = _red(investigation, suspects)
    named = [_named(investigation, h) for h in investigation.hypotheses if h.service in suspects]
    chosen = red.get(suspects[0], []) if suspects else []
    seen: set[tuple[str, str]] = set()
    for group in (named, [red.get(s, []) for s in suspects[1:]]):
        for choices in group:
            fresh = [c for c in choices if (c.service, c.title) not in seen]
            seen.update((c.service, c.title) for c in fresh)
            chosen = chosen + fresh
    return chosen


def _loudest(investigation: Investigation) -> list[str]:
    """Without a suspect: the services with the strongest anomalies, else those with the most spans."""
    found = investigation.anomalies
    if len(found) and "score" in found.columns:
        scores = found[found["service"] != ""].groupby("service")["score"].max()
        return [str(s) for s in scores.sort_values(ascending=False, kind="stable").index[:_SUSPECTS]]
    counts = investigation.telemetry.spans["service"].value_counts(sort=True)
    return [str(s) for s in counts.index[:_SUSPECTS] if s]


def step_of(investigation: Investigation) -> np.timedelta64:
    """Return a round step that cuts the window into about 120."""
    seconds = float((investigation.window[1] - investigation.window[0]) / np.timedelta64(1, "s"))
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600) if seconds / s <= _STEPS), 3600)
    return np.timedelta64(step * 1_000_000_000, "ns")


def _red(investigation: Investigation, suspects: list[str]) -> dict[str, list[Choice]]:
    """Return requests per second, error share and 95th percentile of the latency of each suspect that has spans.

    Each bin is drawn at its middle; a service that never failed gets no chart of errors.
    """
    from workbench.traces import entries, red

    spans = investigation.telemetry.spans
    served = spans[entries(spans) & spans["service"].isin(suspects).to_numpy(bool)] if len(spans) else spans
    if not len(served):
        return {}
    step = step_of(investigation)
    table = red(served, *investigation.window, step, by=("service",))
    seconds = float(step / np.timedelta64(1, "s"))
    made: dict[str, list[Choice]] = {}
    for row, service in enumerate(table.groups["service"].tolist()):
        calls, errors = table.calls[row], table.errors[row]
        with np.errstate(divide="ignore", invalid="ignore"):
            failed = np.where(calls > 0, errors / calls, np.nan)
        made[str(service)] = [
            Choice(title, str(service), unit, "", table.time + step // 2, ("",), values[None, :])
            for title, unit, values in (
                ("latency p95", "ns", np.asarray(table.p95_ns[row], np.float64)),
                ("error share", "share", failed),
                ("requests", "/s", calls / seconds),
            )
            if title != "error share" or errors.any()
        ]
    return made


def _named(investigation: Investigation, hypothesis: Hypothesis) -> list[Choice]:
    """Return the metrics that a hypothesis or its evidence names, as charts."""
    samples = investigation.telemetry.metrics
    if not len(samples):
        return []
    said = " ".join([hypothesis.component, *(f"{e.component} {e.statement} {e.query}" for e in hypothesis.evidence)])
    labels = samples.labels
    metric = labels["metric"].to_numpy(dtype=object)
    bases = {str(m): str(m).removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for m in set(metric)}
    wanted = sorted({b for b in bases.values() if b and b in said}, key=lambda b: (said.index(b), b))[:_NAMED]
    own = np.ones(len(samples), bool)
    if "service" in labels.columns:
        own = (labels["service"] == hypothesis.service).to_numpy(bool)
        own = own if own.any() else np.ones(len(samples), bool)
    made = []
    for base in wanted:
        rows = own & np.array([bases[str(m)] == base for m in metric])
        if rows.any():
            made.append(_series(investigation, samples.take(rows), base, hypothesis.service))
    return [choice for choice in made if choice is not None]


def _series(investigation: Investigation, samples: Samples, base: str, service: str) -> Choice | None:
    """Return one metric on a grid: a gauge as it is, a counter as a rate, a histogram as its mean."""
    step = step_of(investigation)
    start, end = investigation.window
    kind = str(samples.kind[0])
    unit = str(samples.unit[0])
    names = samples.labels["metric"]
    if kind == "histogram":
        total, count = (samples.take((names == base + part).to_numpy(bool)) for part in ("_sum", "_count"))
        if len(total) != len(count) or not len(total):
            return None
        sums, counts = (_rate(grid(s, start + step, end, step).values, step).sum(axis=0) for s in (total, count))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(counts > 0, sums / counts, np.nan)
        times: npt.NDArray[np.datetime64] = grid(count, start + step, end, step)["time"].values[1:]
        return Choice(f"{base}, mean", service, unit, base, times - step // 2, ("",), mean[None, :])
    array = grid(samples, start + step, end, step)
    values, times = np.asarray(array.values), array["time"].values
    if kind == "counter":
        unit = "/s" if unit in ("", "1") or unit.startswith("{") else f"{unit}/s"
        values, times = _rate(values, step), times[1:] - step // 2
    if not np.isfinite(values).any():
        return None
    title = f"{base}, per second" if kind == "counter" else base
    return Choice(title, service, unit, base, times, tuple(_series_names(samples.labels)), values)


def _rate(values: npt.NDArray[np.float64], step: np.timedelta64) -> npt.NDArray[np.float64]:
    """Return the increase per second between neighbours; a reset counts from zero."""
    increase = np.diff(values, axis=1)
    increase = np.where(increase < 0, values[:, 1:], increase)
    rate: npt.NDArray[np.float64] = increase / float(step / np.timedelta64(1, "s"))
    return rate


def _series_names(labels: pd.DataFrame) -> list[str]:
    ignored = {"metric", "service", "env", "host", "instance", "version"}
    varying = [c for c in labels.columns if c not in ignored and labels[c].nunique() > 1]
    varying = varying or [c for c in ("instance", "version", "host") if c in labels.columns and labels[c].nunique() > 1]
    return [", ".join(f"{row[c]}" for c in varying if row[c]) for row in labels[varying].to_dict("records")] or [""]
