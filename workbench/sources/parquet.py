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

__all__ = ["open_parquet", "parquet_batches"]


def open_parquet(stream: BinaryIO, path: str, options: ReadOptions) -> Any:
    """Return an open `pyarrow.parquet.ParquetFile`; a stream that cannot seek is read whole, up to the cap.

    Raises
    ------
    SourceError
        If it is no Parquet.
    LimitExceeded
        If a part of it unpacks to more than the settings allow.
    """
    if not stream.seekable():
        stream = io.BytesIO(document(stream, path, options.max_body_bytes))
    stream.seek(0)
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is no Parquet that can be read: {_short(error)}.") from error
    limit = int(options.settings["intake.max_stream_bytes"])
    for i in range(file.metadata.num_row_groups):
        size = file.metadata.row_group(i).total_byte_size
        if size > limit:
            raise LimitExceeded(
                f"{path} has a row group of {size} bytes: intake.max_stream_bytes = {limit} is the most; raise it."
            )
    return file


def parquet_batches(file: Any, path: str, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield record batches of at most `ROWS_PER_BATCH` rows, or raise `SourceError` where the file is damaged."""
    try:
        yield from file.iter_batches(ROWS_PER_BATCH, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is damaged Parquet: {_short(error)}; get the file anew.") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
