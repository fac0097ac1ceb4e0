"""`Store`: one folder of telemetry, written, read and sealed by any number of processes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.errors import InvalidInput, check_one_of
from workbench.signals import (
    SIGNALS,
    Batch,
    Matcher,
    Profiles,
    Samples,
    TimeLike,
    build_metrics,
    check_batch,
    duration_ns,
    parse_time,
)
from workbench.signals.time import MAX_NS
from workbench.store import clean, compact, seal, verify
from workbench.store.catalog import Catalog, open_catalog
from workbench.store.crash import reach
from workbench.store.places import Folder, Place
from workbench.store.reader import Reader
from workbench.store.series import SeriesWriter, fold
from workbench.store.write import write_batch

__all__ = ["Store"]

_ROWS = ("logs", "spans", "events")


class Store:
    """One folder of telemetry.

    Use `Store.open`. What `write` has returned from is on the disk, and every other process that has the store open
    reads it from then on. A store may be used by several threads, and after a fork.

    Attributes
    ----------
    path : Path
        The store's folder.
    read_only : bool
        Whether the folder cannot be written; `write` and `seal` then raise `StoreError`.
    """

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self.path = path
        self.read_only = catalog.read_only
        self._catalog = catalog
        self._folder = Folder(path)
        self._places: dict[str, Place] = {"warm": self._folder}
        self._reader = Reader(catalog, self._places)
        self._writer = SeriesWriter(catalog, self._reader.index)

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True, catalog: str | None = None) -> Store:
        """Open the store in a folder, and make it if there is none.

        Parameters
        ----------
        path : str or Path
            The store's folder; one that cannot be written is opened for reading only.
        create : bool
            Whether a new store may be made in a missing or empty folder.
        catalog : str, optional
            Where a new store keeps its catalog instead of in its folder, so that several machines may share it: a
            PostgreSQL URL with a schema, `postgresql://user@host/database?schema=name`, without a password. The folder
            remembers it.

        Raises
        ------
        StoreError
            If there is no store and none may be made, the folder holds something else, lies on a network file system
            and can be written, or its catalog is out of reach, damaged or of a newer format.
        """
        folder = Path(path).expanduser().absolute()
        return cls(folder, open_catalog(folder, create, catalog))

    def close(self) -> None:
        """Let go of the files; the store cannot be used afterwards."""
        self._catalog.close()

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Return a one-line summary."""
        return f"Store({str(self.path)!r})"

    def write(self, batch: Batch, *, key: str | None = None) -> dict[str, int]:
        """Add a batch, all of it or nothing; it is on the disk when this returns.

        Parameters
        ----------
        batch : Batch
            Its skips are not stored.
        key : str, optional
            Name of this batch: a second write under the same key, by any process at any time, adds nothing.

        Returns
        -------
        dict of str to int
            What was added, by signal; zeros when the key was there already.

        Raises
        ------
        ShapeError
            If a shape in the batch is not well formed.
        StoreError
            If the store is read-only, the disk is full, or the catalog is damaged.
        """
        refreshed = self._reader.refreshed
        counts = write_batch(self._folder, self._catalog, self._writer, refreshed, check_batch(batch), key)
        seal.seal_when_large(self._folder, self._catalog, refreshed)
        return counts

    def has(self, key: str) -> bool:
        """Return whether a batch was written under this key."""
        with self._catalog.read() as connection:
            return connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() is not None

    def select(
        self,
        matchers: Sequence[Matcher],
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        damaged: str = "raise",
    ) -> Samples:
        """Return the samples of the matching series in [start, end), series without any left out.

        Of several samples of one series at one instant the one written last is returned.

        Parameters
        ----------
        matchers : sequence of Matcher
        start, end : datetime, Timestamp, str, optional
            All there is by default.
        damaged : {"raise", "skip"}
            Whether a damaged chunk is an error, or is left out with a warning that names its series and time.

        Raises
        ------
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        check_one_of(damaged, ("raise", "skip"), "damaged")
        return self._reader.samples(matchers, *_window(start, end), damaged)

    def array(
        self,
        matchers: Sequence[Matcher],
        start: TimeLike,
        end: TimeLike,
        step: Any,
        *,
        damaged: str = "raise",
    ) -> xr.DataArray:
        """Return the matching series on a regular grid: at each step t the last sample in (t - step, t], or NaN.

        Parameters
        ----------
        matchers : sequence of Matcher
        start, end : datetime, Timestamp, str
            First and last step, both included when their distance is a multiple of `step`.
        step : str, timedelta or timedelta64
        damaged : {"raise", "skip"}
            As for `select`.

        Returns
        -------
        DataArray, shape (series, time)
            Series without a sample on the grid are left out.
        """
        check_one_of(damaged, ("raise", "skip"), "damaged")
        low, width = int(parse_time(start).astype(np.int64)), duration_ns(step)
        if width <= 0:
            raise InvalidInput(f"step {step!r} is not positive: give a duration above 0.")
        n = max((int(parse_time(end).astype(np.int64)) - low) // width + 1, 0)
        found, values = self._reader.dense(matchers, low, width, n, damaged)
        kind, unit = self._reader.index.describe(found)
        attrs = {key: given[0] for key, given in (("kind", kind), ("unit", unit)) if len(set(given)) == 1}
        times = (low + width * np.arange(n)).view("datetime64[ns]")
        return build_metrics(values, times, self._reader.index.frame(found), attrs)

    def series(self, matchers: Sequence[Matcher] = ()) -> pd.DataFrame:
        """Return the matching series: one column per label, then `kind` and `unit`.

        A label that is itself called `kind` or `unit` shows as `kind_` or `unit_`.
        """
        index = self._reader.refreshed()
        ids = index.match(matchers)
        frame = index.frame(ids).rename(columns={"kind": "kind_", "unit": "unit_"})
        kind, unit = index.describe(ids)
        return frame.assign(kind=pd.Series(kind, dtype="str"), unit=pd.Series(unit, dtype="str"))

    def rows(
        self,
        signal: str,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pd.DataFrame:
        """Return logs, spans or events with `time` in [start, end), as their shape.

        Parameters
        ----------
        signal : {"logs", "spans", "events"}
        start, end : time, optional
        columns : sequence of str, optional
            Attributes wanted; the required columns of the shape are always there, an attribute that no row has is all
            missing. All attributes by default.
        where : mapping of str to sequence of str, optional
            Only rows that have one of these values in each of these columns; numbers are compared as numbers.

        Raises
        ------
        InvalidInput
            If the signal is not one of the three.
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        check_one_of(signal, _ROWS, "signal")
        low, high = _window(start, end)
        return self._reader.rows(signal, low, high, columns, dict(where or {}))

    def profiles(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> Profiles:
        """Return the profile samples with `time` in [start, end); `where` as in `rows`.

        Raises
        ------
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        return self._reader.profiles(*_window(start, end), dict(where or {}))

    def extent(self, signal: str | None = None) -> tuple[np.datetime64, np.datetime64] | None:
        """Return the first and the last instant of one signal or of all, None when there is nothing.

        Both are instants of data: a half-open window that holds everything ends one nanosecond after the last.
        """
        if signal is not None:
            check_one_of(signal, SIGNALS, "signal")
        with self._catalog.read() as connection:
            low, high = connection.execute(
                "SELECT min(t_min), max(t_max) FROM (SELECT t_min, t_max FROM hot WHERE signal = coalesce(:s, signal)"
                " UNION ALL SELECT t_min, t_max FROM segments WHERE signal = coalesce(:s, signal) AND retired IS NULL) AS parts",
                {"s": signal},
            ).fetchone()
        return None if low is None else (np.datetime64(low, "ns"), np.datetime64(high, "ns"))

    def status(self) -> dict[str, Any]:
        """Return counts, bytes and time ranges as plain JSON types.

        `{"samples", "series", "bytes": {"total", "hot", "warm", "cold", "index"}, "signals": {signal: {"rows", "bytes",
        "segments", "start", "end"}}}`; times are ISO text or null, `index` is the catalog without its hot rows.
        """
        return verify.status(self._catalog)

    def seal(self) -> dict[str, int]:
        """Turn hot rows into segments and return how many rows, by signal.

        Each segment takes its rows in one transaction: of two processes sealing the same rows one wins, and nothing is
        lost or doubled.
        """
        return seal.seal(self._folder, self._catalog, self._reader.refreshed)

    def compact(self, *, everything: bool = False) -> dict[str, int]:
        """Seal, then join small segments of a day into large ones; return how many segments were replaced, by signal.

        Each join is one transaction: of two processes at the same segments one wins.

        Parameters
        ----------
        everything : bool
            Also days that are not over yet, where more is still to come.
        """
        self.seal()
        self._reader.refreshed()
        done = compact.compact(self._folder, self._catalog, self._reader, everything=everything)
        with self._catalog.write() as transaction:
            fold(transaction)
        return done

    def vacuum(self, *, grace_s: float | None = None) -> int:
        """Remove what no reader can hold any more and give the space back; return how many files went.

        Parameters
        ----------
        grace_s : float, optional
            How long ago a segment must have been retired, seconds; `files.GRACE_S` by default. 0 only when nobody
            else has the store open: a reader at work then has to start anew.
        """
        reach("vacuum.started")
        removed = clean.tidy(self._folder, self._catalog, self._places, grace_s)
        self._catalog.vacuum()
        reach("vacuum.done")
        return removed

    def verify(self) -> list[str]:
        """Return one sentence for each damage found in segments, chunks, hot rows and catalog; [] when sound."""
        return verify.verify(self._catalog, self._places)


def _window(start: TimeLike | None, end: TimeLike | None) -> tuple[int, int]:
    """Return nanoseconds; an open side reaches as far as any row may."""
    low = np.iinfo(np.int64).min if start is None else int(parse_time(start).astype(np.int64))
    return int(low), MAX_NS if end is None else int(parse_time(end).astype(np.int64))
