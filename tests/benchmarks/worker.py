"""One measuring process for one peer, pinned to one core: `load` its copy of the data, or `query` it.

Also run by an interpreter of another environment (ArcticDB needs another pandas), so nothing of the workbench is
imported here. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import measure

PEERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "ours": ("peer_ours", ()),
    "parquet": ("peer_parquet", ()),
    "duckdb": ("peer_duckdb", ()),
    "arctic": ("peer_arctic", (True,)),
    "arctic-targets": ("peer_arctic", (False,)),
    "zarr-50": ("peer_zarr", (50,)),
    "zarr-1": ("peer_zarr", (1,)),
    "prometheus": ("peer_prometheus", ()),
    "victoria": ("peer_victoria", ()),
}
"""Key on the command line: module and arguments of its `Peer`."""


def peer_of(key: str) -> Any:
    """Return a peer; its library is imported when it is first used."""
    module, given = PEERS[key]
    return importlib.import_module(f"tests.benchmarks.{module}").Peer(*given)


def load(peer: Any, data: Any, folder: Path) -> dict[str, Any]:
    """Fill an empty folder and return remarks and CPU seconds, those of the peer's tools and servers included."""
    few = data.head(2, 10)
    with tempfile.TemporaryDirectory(dir=folder.parent) as trial:
        peer.load(few, Path(trial))  # libraries are loaded and kernels compiled now
    meter = measure.Meter()
    began = meter.now()
    notes = peer.load(data, folder)
    return {"name": peer.name, "notes": notes, "cpu": meter.now() - began, "files": measure.bytes_of(folder)}


def query(peer: Any, source: Path, folder: Path, times: int, server: bool) -> dict[str, Any]:
    """Return CPU milliseconds by question and way: everything open, and from opening on; and what differs."""
    from tests.benchmarks.answers import differing
    from tests.benchmarks.bench_data import Data

    data, found = Data.load(source), []
    # The question names no values; nothing the peer reads is in this process' memory.
    data.value = data.value[:0]
    gc.collect()
    cold = {} if server else _from_opening(peer, folder, data, times)
    peer.open(folder, data)
    answers = []
    try:
        meter = measure.Meter(getattr(peer, "servers", ()))
        for way in peer.queries(data):
            way.ask()
            seconds, answer = meter.best(way.ask, min(times, way.times))
            answers.append((way, answer))
            row = {"query": way.query, "way": way.name, "contains": way.contains, "ms": seconds * 1e3}
            found.append({**row, "opened_ms": cold.get((way.query, way.name))})
        reference = Data.load(source)
        for row, (way, answer) in zip(found, answers, strict=True):
            row["differ"] = differing(way, answer, reference)
    finally:
        peer.close()
    return {"name": peer.name, "queries": found}


def _from_opening(peer: Any, folder: Path, data: Any, times: int) -> dict[tuple[str, str], float]:
    """Return milliseconds from opening on, libraries loaded, the system's file cache warm."""
    peer.open(folder, data)
    ways = [(way.query, way.name) for way in peer.queries(data)]
    peer.close()
    meter, out = measure.Meter(), {}

    def whole(at: int) -> Callable[[], Any]:
        def ask() -> Any:
            peer.open(folder, data)
            try:
                return peer.queries(data)[at].ask()
            finally:
                peer.close()

        return ask

    whole(0)()
    for at, key in enumerate(ways):
        out[key] = meter.best(whole(at), times)[0] * 1e3
    return out


def main() -> None:
    """Do one job and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("job", choices=("load", "query"))
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--best", type=int, default=3)
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    measure.pin(given.core)
    peer = peer_of(given.peer)
    if given.job == "load":
        from tests.benchmarks.bench_data import Data

        given.folder.mkdir(parents=True)
        result = load(peer, Data.load(given.source), given.folder)
    else:
        server = given.peer in ("prometheus", "victoria")
        result = query(peer, given.source, given.folder, given.best, server)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
