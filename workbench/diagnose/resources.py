"""Which metrics tell of CPU and memory, whoever sent them, and their series per service."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import Samples
from workbench.signals.metrics import grid

__all__ = ["CPU_SECONDS", "MEMORY_BYTES", "resource_series", "selector", "service_column"]

FloatArray = npt.NDArray[np.float64]

CPU_SECONDS = (
    "process.cpu.time",
    "process_cpu_seconds_total",
    "container.cpu.time",
    "container_cpu_usage_seconds_total",
)
"""Counters of CPU seconds of one process or container, by preference."""

MEMORY_BYTES = (
    "process.memory.usage", "process_resident_memory_bytes", "container.memory.usage", "container_memory_working_set_bytes",
)  # fmt: skip
"""Gauges of resident bytes of one process or container, by preference."""

_SERVICE_LABELS = ("service", "service_name", "job")


def service_column(labels: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the service of every series, found under the names that different systems give it; str of shape (n,)."""
    out = np.full(len(labels), "", object)
    for name in _SERVICE_LABELS:
        if name in labels.columns:
            out = np.where(out == "", labels[name].to_numpy(dtype=object), out)
    return out


def _present(samples: Samples, names: tuple[str, ...]) -> str:
    held = set(samples.labels["metric"])
    return next((name for name in names if name in held), "")


def _first_present(samples: Samples, names: tuple[str, ...]) -> Samples:
    return samples.take(samples.labels["metric"].to_numpy(dtype=object) == _present(samples, names))


def selector(samples: Samples, names: tuple[str, ...], service: str) -> str:
    """Return the PromQL selector of the series of one service that `resource_series` read."""
    mine = _first_present(samples, names)
    label = next(
        (n for n in _SERVICE_LABELS if n in mine.labels.columns and (mine.labels[n] == service).any()), "service"
    )
    value = service.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{"{_present(samples, names)}", {label}="{value}"}}'


def resource_series(
    samples: Samples, start: np.datetime64, step: np.timedelta64, n: int
) -> tuple[pd.DataFrame, FloatArray]:
    """Return CPU cores and memory MiB per service on a grid of n bins.

    Counters become rates between neighbouring bins; a counter that went back (a restart) gives no value there. Memory
    is that of the largest process of a service, since old and new overlap for a moment in a deploy.
    """
    end = start + step * n
    cpu = _first_present(samples, CPU_SECONDS)
    memory = _first_present(samples, MEMORY_BYTES)
    reach = max(step * 3, np.timedelta64(30, "s"))
    used = grid(cpu, start, end, step, lookback=reach).values
    rate = np.diff(used, axis=1) / (step / np.timedelta64(1, "s"))
    rate[rate < 0] = np.nan
    level = grid(memory, start, end, step, lookback=reach).values[:, 1:] / 2**20
    cores, cores_of = _per_service(rate, service_column(cpu.labels), np.add)
    mebibytes, memory_of = _per_service(level, service_column(memory.labels), np.fmax)
    labels = pd.DataFrame(
        {
            "service": [*cores_of, *memory_of],
            "metric": ["cpu"] * len(cores_of) + ["memory"] * len(memory_of),
            "unit": ["cores"] * len(cores_of) + ["MiB"] * len(memory_of),
        },
        dtype=object,
    )
    return labels, np.concatenate([cores, mebibytes])


def _per_service(
    values: FloatArray, service: npt.NDArray[np.object_], combine: np.ufunc
) -> tuple[FloatArray, list[str]]:
    """Combine the rows of one service; a bin without any value stays NaN."""
    codes, names = pd.factorize(service)
    known = ~np.isnan(values)
    start = np.zeros if combine is np.add else lambda shape: np.full(shape, -np.inf)
    out = start((len(names), values.shape[1]))
    combine.at(out, codes, np.where(known, values, 0.0 if combine is np.add else -np.inf))
    seen = np.zeros(out.shape, bool)
    np.logical_or.at(seen, codes, known)
    return np.where(seen, out, np.nan), [str(name) for name in names]
