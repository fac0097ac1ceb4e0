"""Parquet files as untrusted input: judged by their footer, read in parts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import LimitExceeded, SourceError
from workbench.sources.source import ROWS_PER_BATCH, ReadOptions
from workbench.sources.unpack import document

__all__ = ["parquet_batches", "parquet_columns"]


def _open(stream: BinaryIO, path: str, options: ReadOptions) -> Any:
    if not stream.seekable():
        stream = io.BytesIO(document(stream, path, options.max_body_bytes))
    stream.seek(0)
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is no Parquet that can be read: {str(error)[:200]}.") from error
    limit = int(options.settings["intake.max_stream_bytes"])
    for i in range(file.metadata.num_row_groups):
        size = file.metadata.row_group(i).total_byte_size
        if size > limit:
            raise LimitExceeded(
                f"{path} has a row group of {size} bytes: intake.max_stream_bytes = {limit} is the most; raise it."
            )
    return file


def parquet_columns(stream: BinaryIO, path: str, options: ReadOptions) -> list[str]:
    """Return the names of the top-level columns, or raise `SourceError` if it is no Parquet."""
    return list(_open(stream, path, options).schema_arrow.names)


def parquet_batches(
    stream: BinaryIO, path: str, options: ReadOptions, columns: list[str] | None = None
) -> Iterator[Any]:
    """Yield tables of at most `ROWS_PER_BATCH` rows, or raise `SourceError` where the file is damaged."""
    file = _open(stream, path, options)
    try:
        yield from file.iter_batches(ROWS_PER_BATCH, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is damaged Parquet: {str(error)[:200]}; get the file anew.") from error
