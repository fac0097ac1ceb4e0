"""Samples as a Parquet table: columns `labels` (JSON object), `time_ms` and `value`.

Labels are Prometheus-born and verbatim; `__name__` becomes `metric` (a label really called `metric` then is `metric_`).
Without `__name__`, a label `metric` names the metric. A missing value is NaN, as pandas writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.signals.names import from_prometheus
from workbench.signals.time import MAX_NS
from workbench.sources.json_text import parse_json
from workbench.sources.labels import SeriesTable
from workbench.sources.parquet import open_parquet, parquet_batches
from workbench.sources.source import ReadOptions
from workbench.sources.values import json_text

__all__ = ["COLUMNS", "SamplesTable", "read_samples"]

COLUMNS = ("labels", "time_ms", "value")
"""The columns such a table has."""


class SamplesTable:
    """Samples in a Parquet table of labels, time and value."""

    name: ClassVar[str] = "samples"

    def detect(self, head: bytes, path: str) -> bool:
        """Return False: Parquet shows its columns at the end only; `table` hands such a file over."""
        return False

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield the samples in batches of rows as the file has them.

        Raises
        ------
        SourceError
            If the file is not Parquet, or lacks a column.
        """
        yield from read_samples(open_parquet(stream, path, options), path, options)


def read_samples(file: Any, path: str, options: ReadOptions) -> Iterator[Batch]:
    """Yield the samples of an open Parquet file, as `SamplesTable.read` does."""
    missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise SourceError(
            f"{path} lacks the columns {missing}: samples need {', '.join(COLUMNS)}; use format table otherwise."
        )
    table = SeriesTable(options)
    rows: dict[Any, int] = {}
    for part in parquet_batches(file, path, list(COLUMNS)):
        yield _batch(part, table, rows, path)


def _batch(part: Any, table: SeriesTable, rows: dict[Any, int], path: str) -> Batch:
    skips: Counter[str] = Counter()
    try:
        time = pc.cast(_milliseconds(part["time_ms"]), pa.int64())
        value = pc.cast(part["value"], pa.float64())
        labels = pc.dictionary_encode(pc.cast(part["labels"], pa.string()))
    except pa.ArrowException as error:
        raise SourceError(
            f"{path} has a column of a wrong type: {error}; time_ms is whole, value is a float."
        ) from error
    codes = np.asarray(labels.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    known = np.array([_row(text, table, rows, skips) for text in labels.dictionary.to_pylist()] + [-2], np.int64)
    series = known[codes]
    broken = (series == -2) | np.asarray(time.is_null())
    if broken.any():
        skips["sample without a time or valid labels"] += int(broken.sum())
    ms = np.asarray(time.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    inside = (ms >= 0) & (ms < MAX_NS // 10**6)
    ns = np.where(inside, ms, 0) * 10**6
    ns[~inside] = -1
    numbers = np.asarray(value.to_numpy(zero_copy_only=False), np.float64)
    return Batch(metrics=table.samples(series[~broken], ns[~broken], numbers[~broken], skips), skips=skips)


def _milliseconds(column: Any) -> Any:
    return pc.cast(column, pa.timestamp("ms")) if pa.types.is_timestamp(column.type) else column


def _row(text: str, table: SeriesTable, rows: dict[Any, int], skips: Counter[str]) -> int:
    found = rows.get(text)
    if found is not None:
        return found
    try:
        labels = parse_json(text)
    except ValueError:
        labels = None
    if not isinstance(labels, dict):
        rows[text] = -2
        return -2
    spelled = {name: value if isinstance(value, str) else json_text(value) for name, value in labels.items()}
    if "__name__" in spelled:
        spelled = {from_prometheus(name): value for name, value in spelled.items()}
    rows[text] = table.row(spelled)
    return rows[text]
