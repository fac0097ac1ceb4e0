"""Parquet as an expert tunes it: zstd-3, byte-split values, delta timestamps, sorted by series then time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.benchmarks.answers import BARE, REAL, Variant, labelled, one_of
from tests.benchmarks.bench_data import Data

_SERIES_PER_GROUP = 20


class Peer:
    """One file of samples; the labels are in a file beside it, read when it is opened, as are the ranges of row groups."""

    name = "Parquet, tuned"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write the data; return remarks."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"series": data.series(), "time": data.time, "value": data.value})
        labels = pa.table({name: pa.array(column, pa.string()) for name, column in data.columns().items()})
        pq.write_table(labels, folder / "labels.parquet", compression="zstd")
        pq.write_table(
            table,
            folder / "samples.parquet",
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            column_encoding={
                "series": "DELTA_BINARY_PACKED",
                "time": "DELTA_BINARY_PACKED",
                "value": "BYTE_STREAM_SPLIT",
            },
            row_group_size=max(len(data.time) // len(data) * _SERIES_PER_GROUP, 1),
        )
        return []

    def open(self, folder: Path, data: Data) -> None:
        """Open the file and read its footer."""
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(folder / "samples.parquet", memory_map=True)
        meta = self._file.metadata
        labels = pq.read_table(folder / "labels.parquet", use_threads=False)
        self._labels = {name: labels[name].to_numpy() for name in labels.column_names}
        stats = [meta.row_group(g).column(0).statistics for g in range(meta.num_row_groups)]
        self._low, self._high = (np.array([getattr(s, side) for s in stats]) for side in ("min", "max"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, columns: list[str], groups: np.ndarray | None = None) -> list[np.ndarray]:
        groups = np.arange(self._file.num_row_groups) if groups is None else groups
        table = self._file.read_row_groups(groups.tolist(), columns=columns, use_threads=False)
        return [table[name].to_numpy() for name in columns]

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        n, asked, labels = len(data), data.window(), self._labels

        def bare() -> object:
            return labelled(self._read(["value"])[0].reshape(n, -1), labels)

        def real() -> object:
            time, value = self._read(["time", "value"])
            return labelled(value.reshape(n, -1), labels, time.reshape(n, -1))

        def one() -> object:
            groups = np.flatnonzero((self._low <= asked["one"]) & (self._high >= asked["one"]))
            series, time, value = self._read(["series", "time", "value"], groups)
            kept = series == asked["one"]
            return labelled(value[kept][None], one_of(labels, asked["one"]), time[kept][None])

        def hour() -> object:
            time, value = self._read(["time", "value"])
            kept = time >= asked["hour"]
            return labelled(value[kept].reshape(n, -1), labels, time[kept].reshape(n, -1))

        return [
            Variant("Q1", "values", BARE, bare),
            Variant("Q1", "times and values", REAL, real),
            Variant("Q2", "times and values", REAL, one),
            Variant("Q3", "times and values", REAL, hour),
        ]
