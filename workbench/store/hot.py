"""Hot rows: small writes inside the catalog, durable with its transaction.

Samples have a payload of their own (`hot_samples.py`). Any other payload, and samples written by format 1, is
`[length of head 4][head JSON][Arrow IPC stream]...`; the head names the tables and their lengths. A CRC of the payload
and its row stands in the row and is compared when a process first reads it.
"""

from __future__ import annotations

import json

import pyarrow as pa

from workbench.store.hot_samples import MAGIC, HotSamples, unpack_samples

__all__ = ["pack", "samples_of", "unpack"]

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(tables: dict[str, pa.Table]) -> bytes:
    """Return the payload of some named tables."""
    parts: list[pa.Buffer] = []
    for table in tables.values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
            writer.write_table(table.combine_chunks())
        parts.append(sink.getvalue())
    head = json.dumps({name: part.size for name, part in zip(tables, parts, strict=True)}).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *parts])


def unpack(payload: bytes) -> dict[str, pa.Table]:
    """Return the tables of a payload.

    Raises
    ------
    ValueError
        If the bytes are no payload.
    """
    if payload[:4] == MAGIC:
        return {"metrics": unpack_samples(payload, 0).to_table()}
    start = 4 + int.from_bytes(payload[:4], "little")
    buffer = pa.py_buffer(payload)
    tables: dict[str, pa.Table] = {}
    try:
        for name, size in json.loads(payload[4:start]).items():
            tables[name] = pa.ipc.open_stream(buffer.slice(start, size)).read_all()
            start += size
    except (pa.ArrowException, UnicodeDecodeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is no Arrow payload ({error})") from error
    return tables


def samples_of(payload: bytes, rank: int) -> HotSamples:
    """Return the samples of a payload of metrics, of either format.

    Raises
    ------
    ValueError
        If the bytes are no payload of samples.
    """
    if payload[:4] == MAGIC:
        return unpack_samples(payload, rank)
    try:
        return HotSamples.of_table(rank, unpack(payload)["metrics"])
    except (pa.ArrowException, LookupError, AttributeError) as error:
        raise ValueError(f"it holds no samples ({error})") from error
