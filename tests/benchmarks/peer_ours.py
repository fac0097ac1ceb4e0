"""Our own store, through its public interface only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.answers import GRID, REAL, Variant, labelled
from tests.benchmarks.bench_data import Data

_NS = 1_000_000


def samples_of(data: Data, rows: Sequence[int] | None = None) -> Any:
    """Return the data, or some of its series, as the shape the store takes; no bytes are changed."""
    import pandas as pd

    from workbench.signals import Samples

    columns = {"metric" if name == "__name__" else name: column for name, column in data.columns().items()}
    frame = pd.DataFrame({name: columns[name] for name in sorted(columns)}).astype("str")
    n = len(data)
    time = (data.time * _NS).view("datetime64[ns]")
    whole = Samples(frame, data.offsets, time, data.value, np.full(n, "unknown", object), np.full(n, "", object))
    return whole if rows is None else whole.take(np.asarray(rows))


def cut(samples: Any, low: int, high: int) -> Any:
    """Return the samples in [low, high) milliseconds."""
    return samples.between(np.datetime64(low * _NS, "ns"), np.datetime64(high * _NS, "ns"))


def settle(store: Any) -> None:
    """Seal, compact, roll up and vacuum; nobody else has the store open."""
    store.compact(everything=True)
    store.vacuum(grace_s=0.0)


class Peer:
    """One store, opened once; what it keeps in memory between queries is the compressed bytes it read."""

    name = "ours"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write the data in four parts by time, settle; return remarks."""
        from workbench.signals import Batch
        from workbench.store import Store

        samples, edges = samples_of(data), np.linspace(data.time.min(), data.time.max() + 1, 5).astype(np.int64)
        with Store.open(folder) as store:
            for low, high in pairwise(edges):
                store.write(Batch(metrics=cut(samples, int(low), int(high))))
            settle(store)
        return []

    def open(self, folder: Path, data: Data) -> None:
        """Open the store."""
        from workbench.store import Store

        self._store = Store.open(folder)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        from workbench.signals import Matcher

        asked = data.window()
        wanted = [Matcher("metric" if k == "__name__" else k, "=", v) for k, v in data.labels[asked["one"]].items()]
        low, hour, high = (np.datetime64(asked[k] * _NS, "ns") for k in ("start", "hour", "end"))
        step = np.timedelta64(asked["step"], "ms")

        def select(matchers: Sequence[Matcher], start: np.datetime64) -> object:
            found = self._store.select(matchers, start, high)
            labels = {name: found.labels[name].to_numpy(dtype=object) for name in found.labels.columns}
            n = len(found)
            return labelled(found.value.reshape(n, -1), labels, found.time.view(np.int64).reshape(n, -1) // _NS)

        text = f"{asked['step']}ms"

        def array(matchers: Sequence[Matcher], start: np.datetime64) -> object:
            # A cell is named by its end: the first one of a window ends one step after it begins.
            return self._store.array(matchers, start + step, high, text)

        return [
            Variant("Q1", "select", REAL, lambda: select([], low)),
            Variant("Q2", "select", REAL, lambda: select(wanted, low)),
            Variant("Q3", "select", REAL, lambda: select([], hour)),
            Variant("Q1", "array", GRID, lambda: array([], low)),
            Variant("Q2", "array", GRID, lambda: array(wanted, low)),
            Variant("Q3", "array", GRID, lambda: array([], hour)),
        ]


def breakdown(folder: Path, files: dict[str, int]) -> dict[str, int]:
    """Return the bytes of a store by what they are for: raw samples with labels and timestamps, catalog, rollups.

    What the catalog would be without the rows of rollup segments counts as catalog, the rest as rollups.
    """
    import sqlite3
    import tempfile

    rolled = "(SELECT id FROM segments WHERE signal = 'rollup')"
    name = "catalog.sqlite"
    with tempfile.TemporaryDirectory() as other:
        catalog = sqlite3.connect(f"file:{folder / name}?immutable=1", uri=True)
        bare = sqlite3.connect(Path(other) / name, isolation_level=None)
        try:
            rollups = {path for (path,) in catalog.execute(f"SELECT path FROM files WHERE segment IN {rolled}")}
            catalog.backup(bare)
            for table in ("chunks WHERE segment", "files WHERE segment", "segments WHERE id"):
                bare.execute(f"DELETE FROM {table} IN {rolled}")
            bare.execute("VACUUM")
        finally:
            catalog.close()
            bare.close()
        less = files[name] - (Path(other) / name).stat().st_size
    out = {"segments": 0, "catalog": -less, "rollups": less}
    for path, size in files.items():
        kind = "rollups" if path in rollups else "segments" if path.startswith("segments") else "catalog"
        out[kind] += size
    return out
