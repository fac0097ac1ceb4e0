"""A DuckDB file of its newest layout (ALP, bit packing): samples by series number, labels in a table beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.benchmarks.answers import BARE, REAL, Variant, labelled, one_of
from tests.benchmarks.bench_data import Data


class Peer:
    """One connection; labels are read when it is opened."""

    name = "DuckDB file"

    def load(self, data: Data, folder: Path) -> list[str]:
        """Write the data in its order and compress it; return remarks."""
        import duckdb
        import pyarrow as pa

        texts = [json.dumps(row) for row in data.labels]
        series = pa.table({"id": pa.array(range(len(data)), pa.int32()), "labels": texts})
        samples = pa.table({"series": data.series(), "time": data.time, "value": data.value})
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")
            connection.execute(f"ATTACH '{folder / 'samples.duckdb'}' AS store (STORAGE_VERSION 'latest')")
            connection.register("given_series", series)
            connection.register("given_samples", samples)
            connection.execute("CREATE TABLE store.series AS SELECT * FROM given_series")
            connection.execute("CREATE TABLE store.samples AS SELECT * FROM given_samples")
            connection.execute("CHECKPOINT store")
        return []

    def open(self, folder: Path, data: Data) -> None:
        """Connect and read the labels."""
        import duckdb

        self._connection = duckdb.connect(str(folder / "samples.duckdb"), read_only=True)
        self._connection.execute("SET threads = 1")
        rows = self._connection.execute("SELECT labels FROM series ORDER BY id").fetchall()
        held = [json.loads(text) for (text,) in rows]
        names = sorted({name for row in held for name in row})
        self._labels = {name: np.array([row.get(name, "") for row in held], object) for name in names}

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _fetch(self, sql: str, *given: int) -> list[np.ndarray]:
        return list(self._connection.execute(sql, given).fetchnumpy().values())

    def queries(self, data: Data) -> list[Variant]:
        """Return the ways to ask, fast ones that trust the order of the file among them."""
        n, asked, labels = len(data), data.window(), self._labels
        whole = "SELECT time, value FROM samples"
        hour = f"{whole} WHERE time >= ?"

        def matrix(sql: str, *given: int) -> object:
            time, value = self._fetch(sql, *given)
            return labelled(value.reshape(n, -1), labels, time.reshape(n, -1))

        def bare(sql: str, *given: int) -> object:
            return labelled(self._fetch(sql, *given)[0].reshape(n, -1), labels)

        def one() -> tuple[np.ndarray, np.ndarray]:
            time, value = self._fetch(f"{whole} WHERE series = ?", asked["one"])
            return value, time

        def one_labelled() -> object:
            value, time = one()
            return labelled(value[None], one_of(labels, asked["one"]), time[None])

        only = whole.replace("time, ", "")
        ordered = " ORDER BY series, time"
        trust = f"{REAL}, order of the file trusted"
        return [
            Variant("Q1", "values", BARE, lambda: bare(only)),
            Variant("Q1", "times and values", trust, lambda: matrix(whole)),
            Variant("Q1", "times and values, ORDER BY", REAL, lambda: matrix(whole + ordered)),
            Variant("Q2", "two arrays", f"{trust}; no DataArray", one),
            Variant("Q2", "times and values", trust, one_labelled),
            Variant("Q3", "values", BARE, lambda: bare(hour.replace("time, ", ""), asked["hour"])),
            Variant("Q3", "times and values", trust, lambda: matrix(hour, asked["hour"])),
            Variant("Q3", "times and values, ORDER BY", REAL, lambda: matrix(hour + ordered, asked["hour"])),
        ]
