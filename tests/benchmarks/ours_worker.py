"""One measuring process for our own store alone, pinned to one core: sealing, appending, opening, dashboards.

Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import measure

JOBS = {
    "seal": "ours_ingest",
    "append": "ours_ingest",
    "build_large": "ours_opening",
    "open_large": "ours_opening",
    "build_days": "ours_dashboard",
    "ask_days": "ours_dashboard",
}
"""Job on the command line, which is a function, and its module."""


def main() -> None:
    """Do one job with the arguments given as JSON and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("given", type=json.loads)
    parser.add_argument("--core", type=int)
    asked = parser.parse_args()
    measure.pin(asked.core)
    job = getattr(importlib.import_module(f"tests.benchmarks.{JOBS[asked.job]}"), asked.job)
    print(json.dumps(job(**asked.given)))


if __name__ == "__main__":
    main()
