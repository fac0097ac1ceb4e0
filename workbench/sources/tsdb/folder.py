"""The data directory of a Prometheus: blocks, log and head; also a single block, a snapshot, or a log alone.

Blocks that another block replaces are passed over, as Prometheus does; so are samples of the log that a block holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from workbench.errors import SourceError, WorkbenchError
from workbench.signals import Batch
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.block import Meta, is_block, read_block, read_meta
from workbench.sources.tsdb.head import Head, read_log
from workbench.sources.tsdb.wal import Log, is_log

__all__ = ["PrometheusData"]

_NONE = np.iinfo(np.int64).min


class PrometheusData:
    """Samples of a Prometheus data directory, a block, a snapshot or a log."""

    name: ClassVar[str] = "prometheus-data"

    def detect_folder(self, folder: Path) -> bool:
        """Return whether a folder is one of them."""
        return is_block(folder) or is_log(folder) or is_log(folder / "wal") or bool(_blocks(folder))

    def read_folder(self, folder: Path, options: ReadOptions) -> Iterator[tuple[str, Batch]]:
        """Yield the parts of the folder by name: first an empty batch when a part is about to be read, then its content.

        Raises
        ------
        SourceError
            If the folder is a single block that cannot be read, or nothing of all this.
        """
        if is_block(folder):
            yield from _part(folder.name, read_block(folder, options))
        elif is_log(folder):
            yield from _part(folder.name, read_log(folder, options))
        elif self.detect_folder(folder):
            yield from _directory(folder, options)
        else:
            raise SourceError(
                f"{str(folder)!r} is no Prometheus data directory: it has neither blocks (folders with meta.json, index and"
                " chunks) nor a log (wal)."
            )


def _part(name: str, batches: Iterator[Batch]) -> Iterator[tuple[str, Batch]]:
    yield name, Batch()
    for batch in batches:
        yield name, batch


def _blocks(folder: Path) -> list[Path]:
    """Return the blocks in a folder; those still being made or removed have an ending and are none."""
    return sorted(path for path in folder.iterdir() if len(path.name) == 26 and path.name.isalnum() and is_block(path))


def _directory(folder: Path, options: ReadOptions) -> Iterator[tuple[str, Batch]]:
    metas: dict[Path, Meta] = {}
    for path in _blocks(folder):
        try:
            metas[path] = read_meta(path)
        except (WorkbenchError, OSError) as error:
            yield path.name, Batch(skips=Counter({f"block not read: {error}": 1}))
    replaced = {parent for meta in metas.values() for parent in meta.parents}
    since = _NONE
    for path, meta in metas.items():
        if meta.ulid in replaced:
            yield path.name, Batch(skips=Counter({"block that another block of the folder replaces": 1}))
            continue
        if not _asked(meta, options):
            since = since if meta.late else max(since, meta.high)
            yield path.name, Batch(skips=Counter({"outside the window asked for": meta.samples}))
            continue
        try:
            yield from _part(path.name, read_block(path, options))
            since = since if meta.late else max(since, meta.high)
        except (WorkbenchError, OSError) as error:
            yield path.name, Batch(skips=Counter({f"block not read, or not to its end: {error}": 1}))
    if is_log(folder / "wal"):
        yield from _head(folder, options, since)


def _asked(meta: Meta, options: ReadOptions) -> bool:
    """Return whether any of a block may lie in the window asked for."""
    start, end = (None if t is None else int(t.astype("datetime64[ms]").astype(np.int64)) for t in options.window)
    return (start is None or meta.high >= start) and (end is None or meta.low <= end)


def _head(folder: Path, options: ReadOptions, since: int) -> Iterator[tuple[str, Batch]]:
    yield "wal", Batch()
    head = Head(Log(folder / "wal", "wal"), options)
    if (folder / "chunks_head").is_dir():
        for batch in head.chunks(folder / "chunks_head", since):
            yield "wal", batch
    for batch in head.samples(Log(folder / "wal", "wal"), since):
        yield "wal", batch
    if is_log(folder / "wbl"):
        for batch in head.samples(Log(folder / "wbl", "wbl"), _NONE):
            yield "wal", batch
    yield "wal", head.rest()
