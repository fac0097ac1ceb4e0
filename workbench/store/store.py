"""`Store`: one folder of telemetry, written, read and sealed by any number of processes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench import settings
from workbench.errors import InvalidInput, StoreError, check_one_of
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
from workbench.store import acknowledged, clean, compact, rebuild, scaled, seal, status, tier, verify
from workbench.store.blocks import BlockCache
from workbench.store.catalog import Catalog, open_catalog
from workbench.store.crash import reach
from workbench.store.future import without_future
from workbench.store.native import visible
from workbench.store.places import Folder, Place
from workbench.store.pressure import Pressure
from workbench.store.publish import open_url
from workbench.store.reader import Reader
from workbench.store.retention import Policy
from workbench.store.rollup_store import Rollups
from workbench.store.series import SeriesWriter, fold
from workbench.store.sqlite import SqliteCatalog
from workbench.store.tier import Tiers
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

    def __init__(self, path: Path, catalog: Catalog, places: Mapping[str, Place] | None = None) -> None:
        self.path = path
        self.read_only = catalog.read_only
        self._catalog = catalog
        self._folder = Folder(path)
        self._tiers = Tiers(places or {"warm": self._folder}, _cache())
        self._reader = Reader(catalog, self._tiers)
        self._writer = SeriesWriter(catalog, self._reader.index)
        self._rollups = Rollups(self._folder, catalog, self._reader)
        self._pressure = Pressure(seal.HOT_ROWS)

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True, catalog: str | None = None) -> Store:
        """Open the store in a folder, and make it if there is none; or the published cold tier of one at a URL.

        Parameters
        ----------
        path : str or Path
            The store's folder; one that cannot be written is opened for reading only, and so is a URL
            (`s3://bucket/folder`), where what `tier` published last is seen.
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
        if "://" in str(path):
            opened = open_url(str(path), _cache())
            return cls(opened.folder, SqliteCatalog(opened.folder, read_only=True), {"cold": opened.place})
        folder = Path(path).expanduser().absolute()
        store = cls(folder, open_catalog(folder, create, catalog))
        acknowledged.check(folder, store._catalog)
        return store

    @staticmethod
    def rebuild(path: str | Path) -> dict[str, Any]:
        """Make a lost or damaged catalog anew from the segments and from what can be read of the old one.

        Nobody may have the store open. The old catalog stays beside the new one under another name.

        Parameters
        ----------
        path : str or Path
            The store's folder.

        Returns
        -------
        dict
            `segments` named, `hot` rows and `keys` taken over, `lost` (one sentence each).

        Raises
        ------
        StoreError
            If there is nothing to make a catalog from, or the disk refuses.
        """
        return rebuild.rebuild(Path(path).expanduser().absolute())

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

    def write(
        self, batch: Batch, *, key: str | None = None, source: str | None = None, future: Any = None
    ) -> dict[str, int]:
        """Add a batch, all of it or nothing; it is on the disk when this returns.

        Parameters
        ----------
        batch : Batch
            Its skips are not stored. Samples of new series beyond the limit of their source are left out and counted
            in them.
        key : str, optional
            Name of this batch: a second write under the same key, by any process at any time, adds nothing.
        source : str, optional
            Who brings the batch; it may register `store.max_series_per_source` series. Without one there is no limit.
        future : str, timedelta or timedelta64, optional
            How far ahead of this clock samples may be; those beyond are left out and counted in the batch's skips.
            Without it any instant from 1970 to 2261 is taken: recordings and simulations have clocks of their own.

        Returns
        -------
        dict of str to int
            What was added, by signal; zeros when the key was there already.

        Raises
        ------
        ShapeError
            If a shape in the batch is not well formed.
        StoreRefused
            If the disk is full or fails, or another process holds the store: nothing was kept, it may be tried again.
        StoreError
            If the store is read-only, or its catalog is damaged.
        """
        refreshed, checked = self._reader.refreshed, check_batch(batch)
        if future is not None:
            checked = without_future(checked, _positive(future, "future"))
        counts = write_batch(self._folder, self._catalog, self._writer, refreshed, checked, key, source)
        if checked is not batch:
            batch.skips.update(checked.skips - batch.skips)
        self._pressure.after(counts, lambda: seal.seal_when_large(self._folder, self._catalog, refreshed))
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
        check: Callable[[int, int], None] | None = None,
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
        check : callable, optional
            Told before anything is read how many series and samples there are at most; where it raises
            `LimitExceeded`, once more with what `count` returns. What it raises then ends the call.

        Raises
        ------
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        check_one_of(damaged, ("raise", "skip"), "damaged")
        return self._reader.samples(matchers, *_window(start, end), damaged, check)

    def count(
        self, matchers: Sequence[Matcher], start: TimeLike | None = None, end: TimeLike | None = None
    ) -> tuple[int, int]:
        """Return how many series and samples `select` would read, without reading them.

        Of what overlaps, as late and repeated samples do, nothing is merged, so both numbers may be too large; they are
        never too small. A native histogram counts as the numbers it is made of, as it does in memory.

        Parameters
        ----------
        matchers : sequence of Matcher
        start, end : datetime, Timestamp, str, optional
            All there is by default.

        Returns
        -------
        series, samples : int
        """
        return self._reader.count(matchers, *_window(start, end))

    def array(
        self,
        matchers: Sequence[Matcher],
        start: TimeLike,
        end: TimeLike,
        step: Any,
        *,
        damaged: str = "raise",
        client: Any = None,
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
        client : distributed.Client, optional
            Whose workers decode, one task per stretch of segments; the array is dask-backed then, and series that
            have no sample on the grid may stay in it.

        Returns
        -------
        DataArray, shape (series, time)
            Series without a sample on the grid are left out.
        """
        check_one_of(damaged, ("raise", "skip"), "damaged")
        low, width = int(parse_time(start).astype(np.int64)), _positive(step, "step")
        n = max((int(parse_time(end).astype(np.int64)) - low) // width + 1, 0)
        if client is not None:
            return scaled.array(self._reader, matchers, low, width, n, client)
        found, values = self._reader.dense(matchers, low, width, n, damaged)
        kind, unit = self._reader.index.describe(found)
        attrs = {key: given[0] for key, given in (("kind", kind), ("unit", unit)) if len(set(given)) == 1}
        times = (low + width * np.arange(n)).view("datetime64[ns]")
        return build_metrics(values, times, self._reader.index.objects(found), attrs)

    def series(self, matchers: Sequence[Matcher] = ()) -> pd.DataFrame:
        """Return the matching series: one column per label, then `kind` and `unit`.

        A label that is itself called `kind` or `unit` shows as `kind_` or `unit_`.
        """
        index = self._reader.refreshed()
        ids = index.match(visible(matchers))
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

    def status(self, *, detail: bool = False) -> dict[str, Any]:
        """Return counts, bytes and time ranges as plain JSON types.

        Parameters
        ----------
        detail : bool
            Also codecs, compression, sources and what the policy will do next, for which every chunk index is read.

        Returns
        -------
        dict
            `{"samples", "series", "bytes": {"total", "hot", "warm", "cold", "index"}, "signals": {signal: {"rows",
            "bytes", "segments", "start", "end"}}, "rollups"}`; times are ISO text or null, `index` is the catalog
            without its hot rows. Native histograms count as the numbers and series they are
            made of. With detail also `{"compression": {"bytes_per_sample", "ratio"}, "codecs": {name:
            {"chunks", "bytes"}}, "sources": {name: {"series", "refused"}}, "next": {what: {"segments", "bytes"}}}`.
        """
        if detail:
            return status.detailed(self._catalog, Policy.of(settings.load()))
        return status.status(self._catalog)

    def seal(self) -> dict[str, int]:
        """Turn hot rows into segments and return how many rows, by signal.

        Each segment takes its rows in one transaction: of two processes sealing the same rows one wins, and nothing is
        lost or doubled.
        """
        return seal.seal(self._folder, self._catalog, self._reader.refreshed)

    def compact(self, *, everything: bool = False) -> dict[str, int]:
        """Seal, join small segments of a day into large ones, and roll up the days that are over.

        Each join is one transaction: of two processes at the same segments one wins.

        Parameters
        ----------
        everything : bool
            Also days that are not over yet, where more is still to come.

        Returns
        -------
        dict of str to int
            How many segments were replaced, by signal.
        """
        self.seal()
        self._reader.refreshed()
        done = compact.compact(self._folder, self._catalog, self._reader, everything=everything)
        self._rollups.update()
        with self._catalog.write() as transaction:
            fold(transaction)
        return done

    def rollup(
        self,
        matchers: Sequence[Matcher],
        function: str,
        start: TimeLike,
        end: TimeLike,
        step: Any,
        *,
        window: Any = None,
        quantile: float | None = None,
    ) -> xr.DataArray:
        """Return a function of the samples in (t - window, t] at each step t, from the coarsest rollup that is exact.

        Parameters
        ----------
        matchers : sequence of Matcher
        function : {"avg", "sum", "min", "max", "count", "first", "last", "increase", "quantile"}
            All are as from raw samples, sums within 1e-12; "quantile" is within one percent.
        start, end : datetime, Timestamp, str
            First and last step, both included when their distance is a multiple of `step`.
        step, window : str, timedelta or timedelta64
            The window is the step when left out.
        quantile : float, optional
            From 0 to 1, for "quantile".

        Returns
        -------
        DataArray, shape (series, time)
            `attrs["rollup"]` says which level was used for which stretch; series without any number are left out.
        """
        low, high = (int(parse_time(t).astype(np.int64)) for t in (start, end))
        width = _positive(step, "step")
        span = (low, high, width)
        asked = None if window is None else _positive(window, "window")
        found, values, used = self._rollups.ask(matchers, function, span, asked, quantile)
        times = np.arange(low, high + 1, width).view("datetime64[ns]")
        return build_metrics(values, times, self._reader.index.objects(found), {"rollup": used})

    def tier(self, url: str | None = None, *, now: TimeLike | None = None) -> dict[str, Any]:
        """Do what the ages in the settings ask for: move old segments to the cold place, retire what is too old.

        Where rollups are kept longer than samples, days that are over are rolled up first, and samples of a day that
        could not be stay.

        Parameters
        ----------
        url : str, optional
            The cold place of a store that has none yet; `store.cold_url` of the settings by default.
        now : datetime, Timestamp, str, optional
            The clock's by default.

        Returns
        -------
        dict
            `moved` and `retired` (numbers of segments), `bytes`, `lost`, `removed` (files), `published` and `problems`.
        """
        found = settings.load()
        at = None if now is None else int(parse_time(now).astype(np.int64))
        self.seal()
        policy, problems = Policy.of(found), []
        if policy.leaves_rollups:
            try:
                self._rollups.update(at)
            except StoreError as error:
                problems.append(str(error))
        where = found["store.cold_url"] if url is None else url
        done = tier.run(self._catalog, self._tiers, policy, where, at)
        return {**done, "problems": [*problems, *done["problems"]]}

    def vacuum(self, *, grace_s: float | None = None) -> int:
        """Remove what no reader can hold any more and give the space back; return how many files went.

        Parameters
        ----------
        grace_s : float, optional
            How long ago a segment must have been retired, seconds; `files.GRACE_S` by default. 0 only when nobody
            else has the store open: a reader at work then has to start anew.
        """
        reach("vacuum.started")
        with self._catalog.read() as transaction:
            self._tiers.look(transaction)
        removed = clean.tidy(self._folder, self._catalog, grace_s)
        removed += tier.forget(self._catalog, self._tiers, grace_s=grace_s)
        self._catalog.vacuum()
        reach("vacuum.done")
        return removed

    def verify(self) -> list[str]:
        """Return one sentence for each damage found in segments, chunks, hot rows and catalog; [] when sound."""
        with self._catalog.read() as transaction:
            self._tiers.look(transaction)
        found = [*acknowledged.problems(self.path, self._catalog), *verify.verify(self._catalog, self._tiers)]
        try:
            return found + [sentence for sentence in self._rollups.problems() if sentence not in found]
        except StoreError as error:  # the catalog itself: said already, or all there is to say
            return found or [str(error)]


def _cache() -> BlockCache:
    return BlockCache(settings.cache_folder() / "blocks", settings.load()["store.cache_bytes"])


def _positive(duration: Any, what: str) -> int:
    width = duration_ns(duration)
    if width <= 0:
        raise InvalidInput(f"{what} {duration!r} is not positive: give a duration above 0.")
    return width


def _window(start: TimeLike | None, end: TimeLike | None) -> tuple[int, int]:
    """Return nanoseconds; an open side reaches as far as any row may."""
    low = np.iinfo(np.int64).min if start is None else int(parse_time(start).astype(np.int64))
    return int(low), MAX_NS if end is None else int(parse_time(end).astype(np.int64))
