"""Measure the store beside its peers and say which targets are met; see `--help`.

Every figure is CPU time on one core, servers' CPU included, best of a few inside a run, median of the runs. Peers get
the same bytes and have to give them back; what differs is printed. Nothing here fails because of time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import (
    bench_data,
    measure,
    section_dashboard,
    section_ingest,
    section_opening,
    section_queries,
    section_sizes,
)
from tests.benchmarks.peers import DAY, PEERS, SCRAPE, Bench
from tests.benchmarks.report import Target

ROOT = Path(__file__).resolve().parents[2]

SECTIONS = ("sizes", "queries", "ingest", "dashboard", "open")

_Found = tuple[str, list[Target], dict[str, Any]]


def options(given: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    data = os.environ.get("WORKBENCH_SHARED_DATA", str(ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs whose median is taken")
    parser.add_argument("--best", type=int, default=3, help="repetitions in a run, of which the fastest counts")
    parser.add_argument("--quick", action="store_true", help="one run of a tenth of the data")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"some of {','.join(PEERS)}")
    parser.add_argument("--series", type=int, help="only the first series of each set")
    parser.add_argument("--samples", type=int, help="only the first samples of each series")
    parser.add_argument("--days", type=int, default=30, help="days of the dashboard")
    parser.add_argument("--data", type=Path, default=Path(data) / "store", help="folder of the two sets")
    parser.add_argument("--work", type=Path, help="folder for everything made (a temporary one otherwise)")
    parser.add_argument("--core", type=int, help="core to run on (the last allowed one otherwise)")
    parser.add_argument("--json", type=Path, help="file for all figures")
    asked = parser.parse_args(given)
    for name, known in (("only", SECTIONS), ("peers", tuple(PEERS))):
        wanted = [part for part in getattr(asked, name).split(",") if part]
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            parser.error(f"--{name} {unknown[0]} is not known: use some of {','.join(known)}")
        setattr(asked, name, wanted)
    if asked.quick:
        asked.runs, asked.best, asked.series = 1, min(asked.best, 2), asked.series or 100
    return asked


def prepare(asked: argparse.Namespace, work: Path) -> Bench:
    """Return the bench with both sets written where the workers find them."""
    sets, samples = {}, {}
    for name in (SCRAPE, DAY) if set(asked.only) - {"open"} else ():
        path = asked.data / f"{name}.parquet"
        if not path.is_file():
            raise SystemExit(f"{path} is missing: name the folder of the two sets with --data.")
        data = bench_data.read(path, asked.series, asked.samples)
        sets[name], samples[name] = work / f"{name}.npz", len(data.value)
        data.save(sets[name])
    log = _logger(time.monotonic())
    return Bench(work, asked.runs, asked.best, sets, samples, asked.peers, asked.core, log=log)


def _logger(began: float) -> Callable[[str], None]:
    return lambda text: print(f"  [{time.monotonic() - began:6.0f} s] {text}", file=sys.stderr, flush=True)


def sections(asked: argparse.Namespace, bench: Bench) -> dict[str, Callable[[], _Found]]:
    """Return what is to be run; a part of the data makes the other sections smaller, too."""
    small = bool(asked.series)
    tiny = bool(asked.samples)
    series, files = (2_000, 20) if tiny else (50_000, 100) if small else (1_000_000, 2_000)
    return {
        "sizes": lambda: section_sizes.run(bench),
        "queries": lambda: section_queries.run(bench),
        "ingest": lambda: section_ingest.run(bench, 10 if tiny else 200),
        "dashboard": lambda: section_dashboard.run(bench, 2 if tiny else 3 if small else asked.days),
        "open": lambda: section_opening.run(bench, series, files),
    }


def run(asked: argparse.Namespace, work: Path, out: Callable[[str], None] = print) -> dict[str, Any]:
    """Run the sections, print each when it is done and the targets at the end; return all figures."""
    facts = measure.machine()
    out("; ".join(f"{name} {value}" for name, value in facts.items()))
    bench = prepare(asked, work)
    figures: dict[str, Any] = {"machine": facts, "runs": asked.runs, "best": asked.best}
    targets: list[Target] = []
    for name, section in sections(asked, bench).items():
        if name not in asked.only:
            continue
        try:
            text, found, figures[name] = section()
        except RuntimeError as error:
            text, found, figures[name] = f"left out: {error}", [], {"left out": str(error)}
        targets += found
        out(f"\n## {name}\n{text}")
    for key, why in bench.absent.items():
        out(f"\nleft out: {key}: {why}")
    part = " (PART OF THE DATA: ratios of the whole are not these)" if asked.series or asked.samples else ""
    out(f"\n## Targets{part}\n" + "\n".join(target.line() for target in targets))
    figures |= {"absent": bench.absent, "targets": [{**vars(t), "met": t.met} for t in targets]}
    return figures


def main() -> None:
    """Measure, print, write the figures."""
    asked = options()
    work = asked.work or Path(tempfile.mkdtemp(prefix="bench-store-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        figures = run(asked, work)
    finally:
        if asked.work is None:
            shutil.rmtree(work, ignore_errors=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
