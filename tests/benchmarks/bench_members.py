"""Score every built-in detector alone, and the default with one member more or less, on labelled series in NAB's layout.

Prints the two tables of docs/detection.md: `python tests/benchmarks/bench_members.py FOLDER [NAME ...]`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from workbench.detect import Watchdog
from workbench.detect.detector import Detector
from workbench.evaluate import detectors, load_nab, run, score_detectors
from workbench.evaluate.scoreboard import Line


def variants(names: list[str]) -> Iterator[tuple[str, Detector]]:
    """Give each detector, and the default without it where it is a member, with it where it is not."""
    members = Watchdog().members
    for name, detector in detectors(names).items():
        yield name, detector
        rest = tuple(member for member in members if type(member) is not type(detector))
        if isinstance(detector, Watchdog):
            continue
        if len(rest) < len(members):
            yield f"without {name}", Watchdog(members=rest)
        else:
            yield f"with {name}", Watchdog(members=(*members, detector))


def row(line: Line) -> str:
    """Return a line as a row of a table of Markdown; in brackets, thresholds chosen on the other categories."""
    nab = [f"{line.nab[name]:.1f} ({line.left_out[name]:.1f})" for name in ("standard", "low_fp", "low_fn")]
    events = [str(line.events.found), f"{line.events.false_per_week:.2f}", f"{line.micros_per_point:.1f}"]
    return " | ".join([f"| {line.detector}", *nab, f"{line.vus_pr:.3f}", *events]) + " |"


def main(folder: str, *names: str) -> None:
    """Print a row per variant."""
    data = load_nab(Path(folder))
    for name, detector in variants(list(names)):
        board = score_detectors(data, [run(name, detector, data)])
        print(row(board.lines[0]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
