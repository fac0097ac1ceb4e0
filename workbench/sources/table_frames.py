"""CSV, JSON lines and Parquet to frames of bounded size."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.errors import LimitExceeded, SourceError
from workbench.sources.attributes import AttributeColumns
from workbench.sources.json_text import json_values
from workbench.sources.parquet import parquet_batches
from workbench.sources.source import ROWS_PER_BATCH, ReadOptions
from workbench.sources.values import json_text

__all__ = ["csv_frames", "json_frames", "parquet_frames"]

_CSV_ROWS = 20_000
_MAX_DEPTH = 4
_MAX_COLUMNS = 4096


class _Guard(io.RawIOBase):
    """A stream that refuses to give more than so many bytes between two calls of `pause`."""

    def __init__(self, stream: BinaryIO, path: str, limit: int) -> None:
        self._stream, self._path, self._limit, self._given = stream, path, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._given += len(data)
        if self._given > self._limit:
            raise LimitExceeded(
                f"{self._path} has {_CSV_ROWS} rows of more than {self._limit} bytes (4 times intake.max_body_bytes): a"
                " quote may be left open."
            )
        buffer[: len(data)] = data
        return len(data)

    def pause(self) -> None:
        self._given = 0


def csv_frames(
    stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str], delimiter: str
) -> Iterator[pd.DataFrame]:
    """Yield a delimited text file, all columns as text; rows of a wrong number of fields are counted.

    Raises
    ------
    SourceError
        If it has no rows, or cannot be parsed.
    LimitExceeded
        If single rows are larger than the cap on a document.
    """
    guard = _Guard(stream, path, 4 * options.max_body_bytes)
    buffered: Any = io.BufferedReader(guard)
    utf16 = buffered.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        reader = pd.read_csv(
            buffered, sep=delimiter, dtype=str, chunksize=_CSV_ROWS, keep_default_na=False, on_bad_lines="warn",
            encoding="utf-16" if utf16 else "utf-8-sig", encoding_errors="replace", index_col=False,
        )  # fmt: skip
        while True:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                frame = next(reader, None)
            wrong = sum(str(w.message).count("Skipping line") for w in caught)
            if wrong:
                skips["row with a wrong number of fields"] += wrong
            if frame is None:
                break
            guard.pause()
            _count_replaced(frame, skips)
            yield frame.replace("", np.nan)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, ValueError) as error:
        if isinstance(error, SourceError | LimitExceeded):
            raise
        raise SourceError(f"{path} cannot be read as delimited text: {str(error)[:200]}; check its quotes.") from error


def _count_replaced(frame: pd.DataFrame, skips: Counter[str]) -> None:
    bad = np.zeros(len(frame), bool)
    for name in frame.columns:
        bad |= frame[name].str.contains("\ufffd", regex=False, na=False).to_numpy(bool)
    if bad.any():
        skips["invalid UTF-8 replaced"] += int(bad.sum())


def json_frames(stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str]) -> Iterator[pd.DataFrame]:
    """Yield JSON lines, or the objects of one list, as frames; nested objects become dotted names.

    Raises
    ------
    SourceError
        If the one document is not JSON, or nothing is an object.
    """
    objects = _objects(json_values(stream, path, options, skips), skips)
    first = next(objects, None)
    if first is None:
        raise SourceError(f"{path} holds no JSON objects: a table needs one object a line or a list of them.")
    rest = chain([first], objects)
    while part := list(islice(rest, ROWS_PER_BATCH)):
        columns = AttributeColumns()
        for row, item in enumerate(part):
            for name, value in item.items():
                columns.put(row, name, value)
        yield columns.frame(len(part), _MAX_COLUMNS, skips)


def _objects(values: Iterator[Any], skips: Counter[str]) -> Iterator[dict[str, Any]]:
    for value in values:
        if isinstance(value, dict):
            yield dict(_flat(value, "", 0))
        else:
            skips["JSON value that is no object"] += 1


def _flat(value: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if item is None or item == "":
            continue
        if isinstance(item, dict) and depth < _MAX_DEPTH:
            yield from _flat(item, f"{prefix}{name}.", depth + 1)
        elif isinstance(item, dict | list):
            yield prefix + name, json_text(item)
        else:
            yield prefix + name, item if not isinstance(item, int) or abs(item) < 2**63 else str(item)


def parquet_frames(file: Any, path: str) -> Iterator[pd.DataFrame]:
    """Yield an open Parquet file; lists and structs become JSON text."""
    for part in parquet_batches(file, path):
        columns = {}
        for name, column in zip(part.schema.names, part.columns, strict=True):
            columns[name] = _pandas_column(column)
        yield pd.DataFrame(columns)


def _pandas_column(column: Any) -> pd.Series:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_integer(kind):
        return pd.Series(pd.array(column.to_pylist(), dtype="Int64")) if column.null_count else column.to_pandas()
    if pa.types.is_boolean(kind):
        return pd.Series(pd.array(column.to_pylist(), dtype="boolean"))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        texts = [None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()]
        return pd.Series(pd.array(texts, dtype="str"))
    if pa.types.is_nested(kind):
        return pd.Series(
            pd.array([None if v is None else json_text(_simple(v)) for v in column.to_pylist()], dtype="str")
        )
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    series: pd.Series = column.to_pandas()
    return series


def _simple(value: Any) -> Any:
    """Return a nested value with what JSON cannot write as text."""
    if isinstance(value, dict):
        return {str(k): _simple(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_simple(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
