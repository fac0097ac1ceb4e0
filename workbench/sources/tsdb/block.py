"""One block: its index, its chunks, less what its tombstones delete.

References
----------
Prometheus, `tsdb/docs/format/README.md`, `tsdb/block.go`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.assemble import Ragged, assemble
from workbench.sources.tsdb.chunks import Segments, decode
from workbench.sources.tsdb.histograms import decoded, mixed
from workbench.sources.tsdb.index import read_index
from workbench.sources.tsdb.tombstones import bury, read_tombstones

__all__ = ["Meta", "is_block", "read_block", "read_meta"]

_CHUNKS, _BYTES = 16_384, 2**23
"""About so much goes into one batch: some two million samples."""

_NAMED = 20
"""Lost chunks that are named with series and time; the rest of a block's are only counted."""


@dataclass(frozen=True)
class Meta:
    """What `meta.json` says.

    Attributes
    ----------
    ulid : str
    low, high : int
        The block holds samples of [low, high), ms.
    samples, series : int
        How many it holds, 0 where it is not said.
    parents : tuple of str
        Blocks it replaces.
    late : bool
        Whether it was made of samples that came out of order.
    """

    ulid: str
    low: int
    high: int
    samples: int
    series: int
    parents: tuple[str, ...]
    late: bool


def is_block(folder: Path) -> bool:
    """Return whether a folder has the files of a block."""
    return (folder / "meta.json").is_file() and (folder / "index").is_file()


def read_meta(folder: Path) -> Meta:
    """Return what the `meta.json` of a block says.

    Raises
    ------
    SourceError
        If it is damaged, or of a version other than 1.
    """
    try:
        with (folder / "meta.json").open("rb") as file:
            said = json.loads(file.read(2**24))
        stats, made = said.get("stats") or {}, said.get("compaction") or {}
        version = said["version"]
        meta = Meta(
            str(said["ulid"]),
            int(said["minTime"]),
            int(said["maxTime"]),
            int(stats.get("numSamples") or 0),
            int(stats.get("numSeries") or 0),
            tuple(str(parent["ulid"]) for parent in made.get("parents") or ()),
            "from-out-of-order" in (made.get("hints") or ()),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"meta.json of block {folder.name} is damaged ({type(error).__name__}): get the block anew."
        ) from error
    if version != 1:
        raise SourceError(f"meta.json of block {folder.name} has version {version!r}; only version 1 is known.")
    return meta


def read_block(folder: Path, options: ReadOptions) -> Iterator[Batch]:
    """Yield all samples of a block, some two million at a time.

    Chunks and index entries with wrong checksums are left out; they and the samples they cost are counted.

    Raises
    ------
    SourceError
        If the index cannot be read, is of format 1, or the tombstones are damaged.
    """
    skips: Counter[str] = Counter()
    reading = _Reading(folder, options, skips)
    for low, high in reading.groups():
        for samples in assemble(reading.index.table, reading.samples(low, high), options, skips):
            yield Batch(metrics=samples, skips=_taken(skips))
    reading.close()
    if skips:
        yield Batch(skips=_taken(skips))


class _Reading:
    """One block under way: what was read of it, and what was lost."""

    def __init__(self, folder: Path, options: ReadOptions, skips: Counter[str]) -> None:
        self.skips = skips
        self.meta, self.stones = read_meta(folder), read_tombstones(folder / "tombstones")
        self.index = read_index(folder / "index", options, skips)
        self.segments = Segments(folder / "chunks", self.index.chunk)
        self.read = self.named = 0

    def groups(self) -> Iterator[tuple[int, int]]:
        """Yield stretches of series that make one batch each."""
        offsets = self.index.offsets
        bytes_before = np.concatenate([[0], np.cumsum(self.segments.size)])[offsets]
        low, n = 0, len(offsets) - 1
        while low < n:
            by_chunks = np.searchsorted(offsets, offsets[low] + _CHUNKS, "right") - 1
            by_bytes = np.searchsorted(bytes_before, bytes_before[low] + _BYTES, "right") - 1
            high = max(min(int(by_chunks), int(by_bytes), n), low + 1)
            yield low, high
            low = high

    def samples(self, low: int, high: int) -> Ragged:
        """Return the samples of a stretch of series that are there and not deleted."""
        offsets = self.index.offsets[low : high + 1]
        which = slice(int(offsets[0]), int(offsets[-1]))
        found = self.segments.load(self.index.chunk, which)

        def lost(i: int, why: str) -> None:
            self._lose(which.start + i, why)

        histogram, got = decode(found, lost)
        rows, edges = np.arange(low, high), offsets - which.start
        if histogram.any():
            both = mixed(got, decoded(found, histogram, lost), histogram, lost)
            part = Ragged(rows, both.offsets[edges], both.time_ms, both.value, both.row, both.pool)
        else:
            part = Ragged(rows, got.offsets[edges], got.time_ms, got.value)
        self.read += len(part.value)
        return bury(part, self.index.ref[low:high], self.stones).filled()

    def _lose(self, chunk: int, why: str) -> None:
        """Count a chunk that cannot be used, the first ones with their series and time."""
        self.named += 1
        if self.named > _NAMED:
            self.skips[f"further chunk of block {self.meta.ulid} that cannot be used"] += 1
            return
        index = self.index
        series = index.table.describe(int(np.searchsorted(index.offsets, chunk, "right")) - 1)
        low, high = _instant(int(index.low[chunk])), _instant(int(index.high[chunk]))
        self.skips[f"chunk of block {self.meta.ulid} {why}: {series}, {low} to {high}"] += 1

    def close(self) -> None:
        """Count what the block should hold and was not read."""
        ulid, lost = self.meta.ulid, self.meta.samples - self.read
        series = self.meta.series - len(self.index.table)
        if series > 0:
            self.skips[f"series of block {ulid} that its index does not give"] += series
        if lost > 0:
            self.skips[f"sample of block {ulid} that could not be read"] += lost


def _taken(skips: Counter[str]) -> Counter[str]:
    taken = Counter(skips)
    skips.clear()
    return taken


def _instant(ms: int) -> str:
    return str(np.datetime64(ms, "ms")) if 0 <= ms < 2**43 else f"{ms} ms"
