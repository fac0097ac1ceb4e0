"""ArcticDB on LMDB: one wide frame on the grid (fast, drops the jitter), or one wide frame per scrape target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.answers import GRID, REAL, Variant, labelled, one_of
from tests.benchmarks.bench_data import Data


class Peer:
    """One library; the labels are in the metadata of a symbol, read when it is opened."""

    def __init__(self, wide: bool) -> None:
        self._wide = wide
        self.name = "ArcticDB, grid" if wide else "ArcticDB, per target"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write the data; return remarks."""
        import pandas as pd
        from arcticdb import Arctic

        library = Arctic(f"lmdb://{folder}?map_size=2GB").create_library("metrics")
        which, vectors = data.vectors()
        if self._wide:
            asked = data.window()
            vectors = [asked["start"] + asked["step"] * np.arange(1, (data.width or 0) + 1)]
            which = np.zeros(len(data), np.int64)
        groups = [np.flatnonzero(which == g).tolist() for g in range(len(vectors))]
        for g, (rows, vector) in enumerate(zip(groups, vectors, strict=True)):
            block = np.stack([data.value[data.offsets[i] : data.offsets[i + 1]] for i in rows], axis=1)
            index = pd.DatetimeIndex(vector.view("datetime64[ms]").astype("datetime64[ns]"))
            frame = pd.DataFrame(block, index=index, columns=[str(i) for i in rows])
            library.write(f"target{g}", frame, prune_previous_versions=True)
        columns = {name: column.tolist() for name, column in data.columns().items()}
        library.write_pickle("labels", json.dumps([columns, groups]))
        return ["timestamps put on the grid: jitter is lost"] if self._wide else []

    def open(self, folder: Path, data: Data) -> None:
        """Open the library and read the labels."""
        from arcticdb import Arctic

        self._library = Arctic(f"lmdb://{folder}?map_size=2GB")["metrics"]
        columns, self._groups = json.loads(self._library.read("labels").data)
        self._labels = {name: np.array(values, object) for name, values in columns.items()}

    def close(self) -> None:
        """Let go of the library."""
        self._library = None

    def _frame(self, group: int, **asked: Any) -> Any:
        return self._library.read(f"target{group}", **asked).data

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        import pandas as pd

        asked, labels = data.window(), self._labels
        low, high = (pd.Timestamp(asked[k], unit="ms") for k in ("hour", "end"))

        def stamps(frame: Any) -> np.ndarray:
            return np.asarray(frame.index.values.astype("datetime64[ms]").view(np.int64))

        def matrix(**window: Any) -> object:
            if self._wide:
                frame = self._frame(0, **window)
                return labelled(frame.to_numpy().T, labels, time=stamps(frame))
            frames = [self._frame(g, **window) for g in range(len(self._groups))]
            n, wide = len(data), len(frames[0])
            value, at = np.empty((n, wide)), np.empty((n, wide), np.int64)
            for rows, frame in zip(self._groups, frames, strict=True):
                value[rows], at[rows] = frame.to_numpy().T, stamps(frame)
            return labelled(value, labels, at)

        def one() -> object:
            row = asked["one"]
            group = next(g for g, rows in enumerate(self._groups) if row in rows)
            frame = self._frame(group, columns=[str(row)])
            labels_of_row, time = one_of(labels, row), stamps(frame)
            if self._wide:
                return labelled(frame.to_numpy().T, labels_of_row, time=time)
            return labelled(frame.to_numpy().T, labels_of_row, time[None])

        contains = GRID if self._wide else REAL
        # On the grid a cell is named by its end, so the hour's first cell is one interval later.
        first = low + pd.Timedelta(asked["step"], "ms") if self._wide else low
        return [
            Variant("Q1", "wide" if self._wide else "times and values", contains, matrix),
            Variant("Q2", "wide" if self._wide else "times and values", contains, one),
            Variant(
                "Q3", "wide" if self._wide else "times and values", contains, lambda: matrix(date_range=(first, high))
            ),
        ]
