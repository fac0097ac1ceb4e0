"""CPU time of this process and of servers it started, one core, best of a few; bytes on disk; facts of the machine."""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "GOMAXPROCS")
"""Sizes of thread pools, all set to 1: one core is measured."""


def environment() -> dict[str, str]:
    """Return the environment of a measuring process."""
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def pin(core: int | None = None) -> int:
    """Keep this process, and what it starts, on one core (the last allowed one by default); return its number."""
    allowed = sorted(os.sched_getaffinity(0))
    chosen = allowed[-1] if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def clock_of(pid: int) -> float:
    """Return the CPU seconds another process has used, all its threads (Linux' CPU clock of a process)."""
    return time.clock_gettime(((~pid) << 3) | 2)


class Meter:
    """CPU seconds of this process, of children that ended, and of the servers named by process number."""

    def __init__(self, servers: Iterable[int] = ()) -> None:
        self.servers = tuple(servers)

    def now(self) -> float:
        """Return the CPU seconds used so far."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(clock_of, self.servers))

    def best(self, work: Callable[[], Any], times: int) -> tuple[float, Any]:
        """Return the fewest CPU seconds of `times` calls, and the last answer; letting go of answers is not timed."""
        fewest, answer = float("inf"), None
        for _ in range(times):
            answer = None
            gc.collect()
            began = self.now()
            answer = work()
            fewest = min(fewest, self.now() - began)
        return fewest, answer


def bytes_of(folder: Path) -> dict[str, int]:
    """Return the bytes of every file below a folder by its path; a sparse file counts what is allocated."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            found[str(path.relative_to(folder))] = min(stat.st_size, stat.st_blocks * 512)
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine() -> dict[str, Any]:
    """Return cores, CPU, memory and versions."""
    packages = ("numpy", "pandas", "xarray", "pyarrow", "pcodec", "numba", "duckdb", "zarr", "numcodecs")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
    }
