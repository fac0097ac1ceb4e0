"""Writing a batch: small shapes become hot rows, large ones segments, all named in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from workbench.signals import SIGNALS, Batch
from workbench.store import metrics, profiles, rows
from workbench.store.acknowledged import acknowledge
from workbench.store.catalog import Catalog, Transaction, next_seq
from workbench.store.chunks import Flat, newest
from workbench.store.crash import reach
from workbench.store.files import Made, add_segment, check_there, remove
from workbench.store.hot import pack
from workbench.store.hot_samples import pack_samples
from workbench.store.native import TOO_LARGE, has_parts, shred
from workbench.store.place import FORMAT
from workbench.store.places import Folder
from workbench.store.series import SeriesIndex, SeriesWriter
from workbench.store.snapshot import hot_crc
from workbench.store.trouble import refusing

__all__ = ["BEYOND", "META", "write_batch"]

META = {"workbench": str(FORMAT)}
"""What every segment's footer says first."""

BEYOND = "sample of a new series beyond the limit of its source"
"""The reason under which such samples are counted in `Batch.skips`."""

_HOT_BYTES = 16 * 2**20
"""A shape whose Arrow form is larger goes straight to a segment."""


_NUMBER = {signal: number for number, signal in enumerate(SIGNALS)}


@dataclass
class _Prepared:
    """What a batch becomes: hot rows to insert and segments to name."""

    hot: list[tuple[str, int, int, int, bytes]] = field(default_factory=list)
    segments: list[Made] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    named: bool = False

    def add_hot(self, signal: str, payload: bytes, low: int, high: int, n: int) -> None:
        self.hot.append((signal, low, high, n, payload))


def write_batch(
    place: Folder,
    catalog: Catalog,
    writer: SeriesWriter,
    refreshed: Callable[[], SeriesIndex],
    batch: Batch,
    key: str | None,
    source: str | None = None,
) -> dict[str, int]:
    """Store a checked batch and return counts by signal; see `Store.write`.

    Parameters
    ----------
    place, catalog, writer, refreshed
        The store's folder, catalog and label index.
    batch : Batch
        New series beyond the limit of its source are left out, and their samples counted in its skips.
    key : str, optional
    source : str, optional
        Who brings the batch; without one there is no limit.

    Raises
    ------
    StoreRefused
        If the disk is full or failing, or another process holds the store for too long: nothing was written.
    StoreError
        If the store is read-only or damaged.
    """
    with refusing():
        return _Writing(place, catalog, writer, refreshed).write(batch, key, source)


@dataclass(frozen=True)
class _Writing:
    """Where a batch goes."""

    place: Folder
    catalog: Catalog
    writer: SeriesWriter
    refreshed: Callable[[], SeriesIndex]

    def write(self, batch: Batch, key: str | None, source: str | None) -> dict[str, int]:
        counts = batch.counts()
        nothing = dict.fromkeys(counts, 0)
        if key is not None:
            with self.catalog.read() as transaction:
                if _claimed(transaction, key):
                    return nothing
        elif not any(counts.values()):
            return nothing
        ready = _Prepared()
        try:
            self._prepare_metrics(batch, source, ready)
            self._prepare_rows(batch, ready)
            self._prepare_profiles(batch, ready)
            seq = self._commit(ready, key)
        finally:
            if not ready.named:  # once it was to be committed it may have been, whatever was raised
                remove(self.place, [file for made in ready.segments for file in made.files])
        if not seq:
            return nothing
        acknowledge(self.place.root, self.catalog, seq)
        if ready.skips:
            batch.skips.update(ready.skips)
            counts["metrics"] -= ready.skips.total()
        return counts

    def _commit(self, ready: _Prepared, key: str | None) -> int:
        """Name everything that was made ready, and return its number; 0 when the key was there already."""
        with self.catalog.write() as transaction:
            if key is not None and _claimed(transaction, key):
                return 0
            for made in ready.segments:
                check_there(self.place, made)
            seq = _name(transaction, ready, key)
            reach("append.prepared")
            ready.named = True
        reach("append.committed")
        return seq

    def _meta(self) -> dict[str, str]:
        """Return what a large segment's footer says first: its own number comes after this one."""
        with self.catalog.read() as transaction:
            seq = transaction.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()[0]
        return {**META, "seq_after": str(seq)}

    def _prepare_metrics(self, batch: Batch, source: str | None, ready: _Prepared) -> None:
        samples = batch.metrics
        if samples is None or not samples.n_samples:
            return
        counts = samples.offsets[1:] - samples.offsets[:-1]
        if not counts.all():
            samples = samples.take(counts > 0)
        n, owner = len(samples), None
        if has_parts(samples):
            samples, owner, left_out = shred(samples)
            ready.skips += Counter({TOO_LARGE: left_out})
            n = int(owner.max(initial=-1)) + 1
            if not n:
                return
        ids, kept = self.writer.resolve(samples.labels, samples.kind, samples.unit, source=source)
        if not kept.all():
            if owner is not None:
                kept = np.bincount(owner[~kept], minlength=n)[owner] == 0  # a histogram goes with all its parts
            ready.skips[BEYOND] = int(np.diff(samples.offsets)[:n][~kept[:n]].sum())
            ids, samples = ids[kept], samples.take(kept)
            if not len(ids):
                return
        time = samples.time.view(np.int64)
        if samples.value.nbytes * 2 > _HOT_BYTES:
            flat = newest(Flat(np.repeat(ids, np.diff(samples.offsets)), time, samples.value))
            ready.segments.append(metrics.write_segment(self.place, flat, self.refreshed(), self._meta()))
        else:
            payload = pack_samples(ids, samples.offsets, time, samples.value)
            ready.add_hot("metrics", payload, int(time.min()), int(time.max()), len(time))

    def _prepare_rows(self, batch: Batch, ready: _Prepared) -> None:
        for signal in ("logs", "spans", "events"):
            frame = getattr(batch, signal)
            if frame is None or not len(frame):
                continue
            table = rows.to_arrow(frame, signal)
            if table.nbytes > _HOT_BYTES:
                ready.segments += [
                    rows.write_segment(self.place, signal, part, self._meta()) for part in rows.by_day(table)
                ]
            else:
                time = table["time"].to_numpy().view(np.int64)
                ready.add_hot(signal, pack({"rows": table}), int(time[0]), int(time[-1]), len(time))

    def _prepare_profiles(self, batch: Batch, ready: _Prepared) -> None:
        shape = batch.profiles
        if shape is None or not len(shape):
            return
        tables = profiles.to_tables(shape)
        if sum(t.nbytes for t in tables.values()) > _HOT_BYTES:
            ready.segments.append(profiles.write_segment(self.place, tables, self._meta()))
        else:
            time = tables["samples"]["time"].to_numpy().view(np.int64)
            ready.add_hot("profiles", pack(tables), int(time[0]), int(time[-1]), len(time))


def _claimed(transaction: Transaction, key: str) -> bool:
    return transaction.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() is not None


def _name(transaction: Transaction, ready: _Prepared, key: str | None) -> int:
    """Name everything under the next write number, and return that."""
    seq = next_seq(transaction)
    if key is not None:
        transaction.execute("INSERT INTO keys (key, seq) VALUES (?, ?)", (key, seq))
    for signal, low, high, n, payload in ready.hot:
        crc32 = hot_crc(payload, signal, seq, low, high, n)
        transaction.execute(
            "INSERT INTO hot (id, signal, seq, t_min, t_max, rows, bytes, crc32, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (8 * seq + _NUMBER[signal], signal, seq, low, high, n, len(payload), crc32, payload),
        )
    for made in ready.segments:
        add_segment(transaction, made, seq, seq)
    return seq
