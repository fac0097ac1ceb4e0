"""Bytes per sample of everything a store has on disk, on both sets."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peer_ours import breakdown
from tests.benchmarks.peers import DAY, SCRAPE, Bench
from tests.benchmarks.report import Target, table

LIMITS = {SCRAPE: (0.28, 0.25), DAY: (1.65, 1.5)}
"""Most bytes per sample, and what is aimed at."""


def _counted(key: str, files: dict[str, int]) -> int:
    """Return the bytes that count: a server's cache folder, lock files and logs do not."""
    kept = [size for path, size in files.items() if not (key == "victoria" and path.startswith("cache/"))]
    return sum(kept)


def run(bench: Bench) -> tuple[str, list[Target], dict[str, Any]]:
    """Return the text, the targets and the figures."""
    text, targets, figures = [], [], {}
    for data, (limit, aim) in LIMITS.items():
        m, rows = bench.samples[data], []
        for key in bench.peers:
            done = bench.fill(key, data)
            if done is None:
                continue
            size, notes = _counted(key, done["files"]), list(done["notes"])
            if key == "ours":
                parts = breakdown(bench.work / f"{data}-{key}", done["files"])
                size -= parts["rollups"]
                notes += [f"{name} {part / m:.4f}" for name, part in parts.items()]
            if key == "victoria":
                notes.append("data and index, without its cache folder")
            rows.append([done["name"], size / m, m / done["cpu"] / 1e6, "; ".join(notes)])
        ours = next((row[1] for row in rows if row[0] == "ours"), None)
        shown = [[*row[:2], row[1] / ours if ours else None, *row[2:]] for row in sorted(rows, key=lambda row: row[1])]
        head = ["store", "B/sample", "/ ours", "load Ms/s CPU", "remarks"]
        text.append(f"{data}: {m:,} samples\n{table(head, shown)}")
        targets.append(Target(f"bytes per sample of {data}", ours, limit, True, aim, "our store was not loaded"))
        figures[data] = {row[0]: {"bytes_per_sample": row[1], "load_ms_per_s": row[2]} for row in rows}
    return "\n\n".join(text), targets, figures
