"""The two data sets as plain arrays, read once from Parquet and handed to every peer as the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DAY, HOUR = 86_400_000, 3_600_000


@dataclass
class Data:
    """Series one after the other.

    Attributes
    ----------
    name : str
    labels : list of dict
        One per series, n of them.
    offsets : ndarray of int64, shape (n + 1,)
        Series i owns samples `offsets[i]` to `offsets[i + 1]`.
    time : ndarray of int64, shape (m,)
        Unix milliseconds.
    value : ndarray of float64, shape (m,)
    """

    name: str
    labels: list[dict[str, str]]
    offsets: np.ndarray
    time: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def width(self) -> int | None:
        """Samples of every series when all have the same number, else None."""
        counts = np.unique(np.diff(self.offsets))
        return int(counts[0]) if len(counts) == 1 else None

    def series(self) -> np.ndarray:
        """Return the series number of every sample."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def columns(self) -> dict[str, np.ndarray]:
        """Return the labels by name, one value per series, "" where absent."""
        names = sorted({name for row in self.labels for name in row})
        return {n: np.array([row.get(n, "") for row in self.labels], dtype=object) for n in names}

    def vectors(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return which vector of timestamps each series has, and the distinct vectors."""
        seen: dict[bytes, int] = {}
        which, distinct = np.empty(len(self), np.int64), []
        for i in range(len(self)):
            part = self.time[self.offsets[i] : self.offsets[i + 1]]
            which[i] = seen.setdefault(part.tobytes(), len(distinct))
            if which[i] == len(distinct):
                distinct.append(part)
        return which, distinct

    def window(self) -> dict[str, Any]:
        """Return what the queries ask for: whole days, the last hour, one series, the interval of scrapes."""
        start = int(self.time.min()) // DAY * DAY
        step = int(np.median(np.diff(self.time[: self.offsets[1]])).round(-2)) if self.offsets[1] > 1 else 1
        # Cells end at multiples of the interval, so the last sample's own cell is the end of the window.
        end = -(-int(self.time.max() + 1) // step) * step
        one = len(self) // 2
        return {"start": start, "end": end, "hour": max(end - HOUR, start), "step": step, "one": one}

    def head(self, series: int, samples: int) -> Data:
        """Return the first samples of the first series."""
        n = min(series, len(self))
        counts = np.minimum(np.diff(self.offsets[: n + 1]), samples)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[:n] - offsets[:-1], counts)
        return Data(self.name, self.labels[:n], offsets, self.time[at], self.value[at])

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        text = np.array(json.dumps(self.labels))
        np.savez(path, name=self.name, labels=text, offsets=self.offsets, time=self.time, value=self.value)

    @classmethod
    def load(cls, path: Path) -> Data:
        """Read what `save` wrote."""
        held = np.load(path)
        labels = json.loads(str(held["labels"]))
        return cls(str(held["name"]), labels, held["offsets"], held["time"], held["value"])


def read(path: Path, series: int | None = None, samples: int | None = None) -> Data:
    """Return a data set, or the first `samples` samples of its first `series` series."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    coded = table["labels"].unify_dictionaries().combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    codes = coded.indices.to_numpy()
    offsets = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)
    texts = coded.dictionary.to_pylist()
    labels = [json.loads(texts[code]) for code in codes[offsets[:-1]]]
    time, value = table["time_ms"].to_numpy(), table["value"].to_numpy()
    whole = Data(path.stem, labels, offsets, time, value)
    return whole.head(len(labels) if series is None else series, len(time) if samples is None else samples)
