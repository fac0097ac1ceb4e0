"""Zarr v3 through xarray: values in blosc-zstd chunks, timestamps once per scrape target."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from tests.benchmarks.answers import BARE, REAL, Variant, labelled, one_of
from tests.benchmarks.bench_data import Data


class Peer:
    """One group; metadata, labels and the target of each series are read when it is opened."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.name = f"Zarr, chunk ({rows}, 5760)"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write the data; ragged series are filled up with NaN; return remarks."""
        import xarray as xr
        import zarr

        counts = np.diff(data.offsets)
        which, vectors = data.vectors()
        wide = int(counts.max())
        value = np.full((len(data), wide), np.nan)
        value[np.arange(wide) < counts[:, None]] = data.value
        at = np.zeros((len(vectors), wide), np.int64)
        for row, vector in zip(at, vectors, strict=True):
            row[: len(vector)] = vector
        labels = {name: ("series", column.astype("U")) for name, column in data.columns().items()}
        frame = xr.Dataset(
            {
                "value": (("series", "time"), value),
                "at": (("target", "time"), at),
                "target": ("series", which),
                **labels,
            }
        )
        packed = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
        plain = {"compressors": (packed,)}
        encoding = {
            "value": {**plain, "chunks": (min(self._rows, len(data)), min(5760, wide))},
            "at": {**plain, "chunks": (min(self._rows, len(vectors)), min(5760, wide))},
            "target": plain,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # consolidated metadata and fixed-width text are not in the v3 text yet
            frame.to_zarr(folder / "samples.zarr", zarr_format=3, encoding=encoding, mode="w")
        return ["ragged series filled up with NaN"] if data.width is None else []

    def open(self, folder: Path, data: Data) -> None:
        """Open the group."""
        import xarray as xr

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._set = xr.open_zarr(folder / "samples.zarr", chunks=None)
        self._target = self._set["target"].values
        names = [str(n) for n in self._set.data_vars if n not in ("value", "at", "target")]
        self._labels = {name: self._set[name].values.astype(object) for name in names}

    def close(self) -> None:
        """Close the group."""
        self._set.close()

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask."""
        asked, labels = data.window(), self._labels
        # The columns of the last hour are known from the scrape interval: one more is read, and cut by time.
        last = min((asked["end"] - asked["hour"]) // asked["step"] + 1, data.width or 0)

        def values(row: object = slice(None), column: object = slice(None)) -> np.ndarray:
            return np.asarray(self._set["value"][row, column].values)

        def times(row: object = slice(None), column: object = slice(None)) -> np.ndarray:
            return np.asarray(self._set["at"][row, column].values)

        def one() -> object:
            row = asked["one"]
            return labelled(values(slice(row, row + 1)), one_of(labels, row), times(int(self._target[row]))[None])

        def hour() -> object:
            value, time = values(column=slice(-last, None)), times(column=slice(-last, None))[self._target]
            kept = time >= asked["hour"]
            return labelled(value[kept].reshape(len(data), -1), labels, time[kept].reshape(len(data), -1))

        return [
            Variant("Q1", "values", BARE, lambda: labelled(values(), labels)),
            Variant("Q1", "times and values", REAL, lambda: labelled(values(), labels, times()[self._target])),
            Variant("Q2", "times and values", REAL, one),
            Variant("Q3", "times and values", REAL, hour),
        ]
