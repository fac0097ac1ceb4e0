"""The object an SRE holds: `bench = workbench.open(...)`, then ask for metrics, logs, spans, profiles, events."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench import settings
from workbench.errors import InvalidInput, NotFound
from workbench.signals import Matcher, Profiles, TimeLike, duration_ns, parse_time
from workbench.store import Store

if TYPE_CHECKING:
    from workbench.detect import Alarm, Anomalies
    from workbench.detect.forecast import Forecast
    from workbench.diagnose import Investigation
    from workbench.diagnose.capacity import Capacity
    from workbench.intake import Report
    from workbench.traces import ServiceMap

__all__ = ["Bench", "find_store", "metrics_table", "open", "portable"]

_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]
_NOTHING = (np.datetime64("2000-01-01", "ns"), np.datetime64("2000-01-01T00:00:00.000000001", "ns"))
"""Where an empty store is looked into when no window is given."""


_A_DAY = 86_400 * 10**9
_SEVEN_WEEKS = 49 * 86_400 * 10**9
_HALF_A_YEAR = 182 * 86_400 * 10**9


def find_store() -> Path:
    """Return the store that `open()` takes without a path.

    That is the setting `store.path` (`$WORKBENCH_STORE`), else the nearest `.workbench` folder from here upward, else
    `store` in the user's data folder.
    """
    named = settings.load()["store.path"]
    if named:
        return Path(named).expanduser()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".workbench").is_dir():
            return folder / ".workbench"
    return settings.data_folder() / "store"


def open(path: str | os.PathLike[str] | None = None, *, create: bool = True) -> Bench:
    """Open a store, made if it is not there yet.

    Parameters
    ----------
    path : str or Path, optional
        Folder of the store, or the URL of a cold tier that one has published (`s3://bucket/folder`), for reading only;
        `find_store()` by default.
    create : bool, optional
        Whether a missing store is made; otherwise it is an error.

    Raises
    ------
    StoreError
        If the folder holds something else or cannot be used, or nothing was published at the URL.
    InvalidInput
        If it is no path.
    """
    if path is None:
        return Bench(Store.open(find_store(), create=create))
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput(f"store {path!r} is not a path: give the path of a local folder.")
    text = os.fspath(path)
    return Bench(Store.open(text if "://" in text else Path(text).expanduser(), create=create))


class Bench:
    """Everything one store knows, as labelled arrays and frames.

    Times are `datetime`, `Timestamp`, ISO 8601 text, or relative text (`"now"`, `"-6h"`); windows are `[start, end)` and
    default to all that the store holds.

    Parameters
    ----------
    store : Store
        An open store; `workbench.open(path)` makes one.
    """

    def __init__(self, store: Store, client: Any = None) -> None:
        self.store = store
        self._client = client

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        extent = self.store.extent()
        if extent is None:
            return f"<Bench {self.store.path}: empty>"
        held = self.store.status()["signals"]
        counts = ", ".join(f"{held[name]['rows']:,} {name}" for name in held if held[name]["rows"])
        return f"<Bench {self.store.path}: {counts}; {_text(extent[0])} to {_text(extent[1])} UTC>"

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def ingest(
        self,
        *paths: str | os.PathLike[str],
        format: str | None = None,
        mapping: Mapping[str, str] | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        progress: bool = False,
    ) -> Report:
        """Read telemetry from files and folders; see `workbench.intake.ingest`. Returns counts, skips and reasons."""
        from workbench.intake import ingest

        return ingest(
            self.store,
            paths,
            format=format,
            mapping=mapping,
            start=None if start is None else parse_time(start),
            end=None if end is None else parse_time(end),
            progress=progress,
        )

    def write(self, shape: object) -> dict[str, int]:
        """Write samples, a metrics array, a logs, spans or events frame, or profiles; returns counts by signal."""
        from workbench.intake import write

        return write(self.store, shape)

    def window(self, start: TimeLike | None = None, end: TimeLike | None = None) -> tuple[np.datetime64, np.datetime64]:
        """Return the half-open window asked for, with what the store holds as default.

        Raises
        ------
        NotFound
            If the store is empty and a default is needed.
        InvalidInput
            If start does not lie before end.
        """
        if start is not None and end is not None:
            first, last = parse_time(start), parse_time(end)
        else:
            extent = self.store.extent()
            if extent is None:
                raise NotFound(f"the store {self.store.path} is empty: ingest telemetry first.")
            first = extent[0] if start is None else parse_time(start)
            last = extent[1] + np.timedelta64(1, "ns") if end is None else parse_time(end)
            if first >= last and end is None:
                raise InvalidInput(
                    f"the store ends at {_text(extent[1])}, before the start {_text(first)}: start earlier."
                )
            if first >= last:
                raise InvalidInput(f"the store begins at {_text(first)}, not before the end {_text(last)}: end later.")
        if first >= last:
            raise InvalidInput(f"the window from {_text(first)} to {_text(last)} is empty: start must lie before end.")
        return first, last

    def _asked(self, start: TimeLike | None, end: TimeLike | None) -> tuple[np.datetime64, np.datetime64]:
        """Return the window asked for; all of an empty store is an instant at which there is nothing."""
        if start is None and end is None and self.store.extent() is None:
            return _NOTHING
        return self.window(start, end)

    def metrics(
        self,
        expr: str,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        step: str | float | None = None,
    ) -> xr.DataArray:
        """Evaluate PromQL at regular steps.

        Parameters
        ----------
        expr : str
            PromQL; names outside its alphabet are quoted: `{"http.server.request.duration_count", service="cart"}`.
        start, end : time, optional
            First and last step, both included.
        step : str or number of seconds, optional
            By default a round one that gives at most about 300 steps.

        Returns
        -------
        DataArray, dims ("series", "time")

        Raises
        ------
        QueryError
            If the expression is not understood; it names the position.
        """
        from workbench.query import promql

        _check_text(expr, "PromQL expression")
        if isinstance(step, float) and not np.isfinite(step):
            raise InvalidInput(f"step {step!r} is not a number of seconds: give a duration such as '30s'.")
        first, last = window = self._asked(start, end)
        span_ns = int((last - first) / np.timedelta64(1, "ns"))
        step_ns = duration_ns(step) if step is not None else _round_step(span_ns)
        if step_ns <= 0:
            raise InvalidInput(f"step {step!r} is not positive: give a duration such as '30s'.")
        array = promql.evaluate(self.store, expr, first, last, np.timedelta64(step_ns, "ns"))
        return array if window is not _NOTHING else array.isel(series=slice(0), time=slice(0))

    def samples(self, selector: str, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Return raw samples as stored: columns `time`, `value` and one per label.

        Parameters
        ----------
        selector : str
            A PromQL series selector, such as `'http_requests_total{service="checkout"}'`.
        """
        return self.store.select(_matchers(selector), *self._asked(start, end)).to_frame()

    def array(
        self,
        selector: str,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        step: str | float | np.timedelta64 | None = None,
    ) -> xr.DataArray:
        """Return series as they were sampled, on a regular grid: at each step t the last sample in (t - step, t], or NaN.

        It is the fastest way from the store into an array; on a bench from `scale` it is dask-backed.

        Parameters
        ----------
        selector : str
            A PromQL series selector, such as `'http_requests_total{service="checkout"}'`.
        start, end : datetime, Timestamp, str, optional
            First and last step.
        step : str, timedelta64 or seconds, optional
            So that there are some hundred steps, by default.

        Returns
        -------
        DataArray, shape (series, time)
        """
        first, last = self._asked(start, end)
        span_ns = int((last - first) / np.timedelta64(1, "ns"))
        asked = np.timedelta64(_round_step(span_ns), "ns") if step is None else step
        return self.store.array(_matchers(selector), first, last, asked, client=self._client)

    def scale(self, client: Any) -> Bench:
        """Return this bench with a cluster behind it: `array` is computed by its workers, one task per segment.

        Parameters
        ----------
        client : distributed.Client
            Its workers must reach the store's files under the same path or URL.
        """
        return Bench(self.store, client)

    def logs(self, query: str = "", start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Return the log records that match a search, sorted by time."""
        return self._search("logs", query, start, end)

    def spans(self, query: str = "", start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Return the spans that match a search, sorted by trace and time, parents linked within the result."""
        from workbench.signals import build_spans

        found = self._search("spans", query, start, end)
        return build_spans({str(name): column for name, column in found.items()})

    def events(self, query: str = "", start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Return the events that match a search, sorted by time."""
        return self._search("events", query, start, end)

    def profiles(
        self,
        query: str = "",
        sample_type: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
    ) -> Profiles:
        """Return the profile samples that match a search over their columns, such as `"service:checkout"`."""
        from workbench.query import search

        node = search.parse(_check_text(query, "query"))
        found = self.store.profiles(*self._asked(start, end), where=search.equalities(node) or None)
        mask = search.mask(node, found.samples)
        if sample_type is not None:
            mask &= (found.samples["sample_type"] == sample_type).to_numpy(bool)
        return found.select(mask)

    def _search(self, signal: str, query: str, start: TimeLike | None, end: TimeLike | None) -> pd.DataFrame:
        from workbench.query import search

        node = search.parse(_check_text(query, "query"))
        frame = self.store.rows(signal, *self._asked(start, end), where=search.equalities(node) or None)
        return frame[search.mask(node, frame)].reset_index(drop=True)

    def service_map(self, start: TimeLike | None = None, end: TimeLike | None = None) -> ServiceMap:
        """Return who calls whom, with calls, errors and latency quantiles per edge."""
        from workbench import traces

        return traces.service_map(self.store.rows("spans", *self._asked(start, end)))

    def investigate(
        self, start: TimeLike | None = None, end: TimeLike | None = None, service: str | None = None
    ) -> Investigation:
        """Find out what broke in a window: the onset, the suspects, and the evidence for each.

        Parameters
        ----------
        start, end : time, optional
            The window, which should begin with some normal minutes; all of the store by default.
        service : str, optional
            Only look at this service and what it calls.

        Raises
        ------
        NotFound
            If the store is empty, or has no such service or nothing in the window.
        """
        import dataclasses

        from workbench import diagnose

        began = clock.perf_counter()
        window = self.window(start, end)
        telemetry = diagnose.load_telemetry(self.store, window)
        tables = (telemetry.logs, telemetry.spans, telemetry.profiles, telemetry.events)
        if not telemetry.metrics.n_samples and not any(len(table) for table in tables):
            held = self.store.extent()
            told = f"the store holds {_text(held[0])} to {_text(held[1])}" if held else "the store is empty"
            raise NotFound(f"there is no telemetry between {_text(window[0])} and {_text(window[1])}: {told}.")
        found = diagnose.investigate(telemetry, service=service)
        return dataclasses.replace(found, seconds=clock.perf_counter() - began)

    def anomalies(
        self,
        expr_or_service: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        step: str | float | None = None,
        detector: Any = "watchdog",
        alarm: Alarm | float | None = None,
        events: bool = True,
        history: str | float | np.timedelta64 = "7d",
    ) -> Anomalies:
        """Find what is strange in metrics; `.events` are the anomalies, `.explain(0)` tells one, `.show()` draws them.

        Parameters
        ----------
        expr_or_service : str, optional
            PromQL, or the name of a service, whose rates, means and gauges are watched; by default those of all.
        start, end : time, optional
            Anomalies that begin in, or last into, this window are told; by default the last day of the store.
        step : str or number of seconds, optional
            By default as fine as samples come, but at most 3,000 steps.
        detector : str or object, optional
            A name of the group `workbench.detectors`, or a detector.
        alarm : Alarm or float, optional
            When a score is an alarm; a number is the threshold, 0 to 1.
        events : bool, optional
            Whether stored deploys, changes and notes raise the threshold while they last.
        history : str, timedelta64 or seconds, optional
            How much before `start` the detector may learn from, as far as the store goes back.
        """
        from workbench.diagnose import watch

        asked = None if expr_or_service is None else _check_text(expr_or_service, "PromQL expression or service")
        first, last = self.window(start, end)
        if start is None:
            first = max(first, last - np.timedelta64(_A_DAY, "ns"))
        step_ns = None if step is None else duration_ns(step)
        wanted = watch.Question(asked, (first, last), duration_ns(history), step_ns, detector, alarm, events)
        return watch.watch(self.store, wanted)

    def forecast(
        self,
        expr: str,
        horizon: str | float | np.timedelta64 = "7d",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        step: str | float | None = None,
        level: float = 0.9,
        model: str = "default",
    ) -> Forecast:
        """Forecast what PromQL says, with intervals; `.show()` draws it, `.crossings(limit)` says when it is crossed.

        Parameters
        ----------
        expr : str
            PromQL; `avg_over_time(...[1h])` where samples are rarer than every five minutes.
        horizon : str, timedelta64 or seconds, optional
            How far ahead.
        start, end : time, optional
            The history; by default the last seven weeks of the store.
        step : str or number of seconds, optional
            By default a round one that gives at most about 300 steps ahead.
        level : float, optional
            Coverage of the interval.
        model : str, optional
            "default" (two milliseconds a series); "auto" tries challengers too (seconds a series) and keeps the default
            unless one wins clearly in the past of a series; or "ets", "sarimax", "theta".

        Returns
        -------
        Forecast
            A Dataset, dims (series, time), with `forecast`, `low`, `high`; see `workbench.detect.forecast.Forecast`.
        """
        from workbench.detect.forecast import forecast_metrics
        from workbench.diagnose import outlook

        ahead = outlook.ahead_ns(horizon)
        array = self._recent(expr, start, end, step, ahead, _SEVEN_WEEKS)
        return forecast_metrics(array, ahead, level, model)

    def capacity(
        self,
        expr: str,
        limit: float | str,
        horizon: str | float | np.timedelta64 = "90d",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        step: str | float | None = None,
        level: float = 0.9,
        rising: bool | None = None,
    ) -> Capacity:
        """Tell how long resources last: when each reaches its limit, how it grows, what headroom is left.

        Parameters
        ----------
        expr : str
            PromQL of what is used, or of what is free.
        limit : float or str
            In the unit of the series; or PromQL with a value for each of them, such as `node_filesystem_size_bytes`.
        horizon : str, timedelta64 or seconds, optional
            How far ahead headroom, probability and what-if look.
        start, end, step, level
            As `forecast` takes them; by default the last 26 weeks of the store.
        rising : bool, optional
            Whether limits are reached by rising or by falling; by default a series whose history mostly lay above its
            limit is taken to fall to it.
        """
        from workbench.diagnose import capacity, outlook

        ahead = outlook.ahead_ns(horizon)
        array = self._recent(expr, start, end, step, min(ahead, _SEVEN_WEEKS), _HALF_A_YEAR)
        if isinstance(limit, str):
            last = array["time"].values[-1]
            limits = self.metrics(limit, last, last + np.timedelta64(1, "ns"), step="1s")
            return capacity.assess(array, capacity.match_limit(array, limits), ahead, level, rising)
        return capacity.assess(array, limit, ahead, level, rising)

    def _recent(
        self, expr: str, start: TimeLike | None, end: TimeLike | None, step: str | float | None, ahead: int, most: int
    ) -> xr.DataArray:
        """Return an expression over the window asked for; without a start, over its last `most` nanoseconds."""
        from workbench.diagnose import outlook

        first, last = self.window(start, end)
        if start is None:
            first = max(first, last - np.timedelta64(most, "ns"))
        step_ns = None if step is None else duration_ns(step)
        return outlook.history(self.store, _check_text(expr, "PromQL expression"), (first, last), ahead, step_ns)


def _matchers(selector: str) -> Sequence[Matcher]:
    from workbench.query import promql
    from workbench.query.promql.ast import VectorSelector

    node = promql.parse(_check_text(selector, "selector"))
    if not isinstance(node, VectorSelector):
        raise InvalidInput(f"{selector!r} is not a series selector: write a name, label matchers in braces, or both.")
    return node.matchers


def metrics_table(array: xr.DataArray) -> pd.DataFrame:
    """Return a metrics array as rows: `time`, the labels, `value`; steps without a value are left out.

    A label that is itself called `time` or `value` gets an underscore behind it.
    """
    from workbench.signals import labels_of

    labels = labels_of(array)
    for taken in {"time", "value"} & set(labels.columns):
        name = f"{taken}_"
        while name in labels:
            name += "_"
        labels = labels.rename(columns={taken: name})
    row, column = np.nonzero(~np.isnan(array.values))
    frame = labels.iloc[row].reset_index(drop=True)
    frame.insert(0, "time", array["time"].values[column])
    frame["value"] = array.values[row, column]
    return frame


def portable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame for other programs: times as ISO text to the nanosecond, infinities as `+Inf` and `-Inf`."""
    out = frame.copy()
    for name, column in frame.items():
        if pd.api.types.is_datetime64_dtype(column.dtype):
            text = np.datetime_as_string(column.to_numpy("datetime64[ns]"), unit="ns").astype(object)
            text[column.isna().to_numpy(bool)] = None
            out[name] = pd.Series(text, frame.index, dtype=object)
        elif pd.api.types.is_float_dtype(column.dtype) and np.isinf(column.to_numpy(float)).any():
            out[name] = column.astype(object).replace({np.inf: "+Inf", -np.inf: "-Inf"})
    return out


def _check_text(given: str, what: str) -> str:
    if not isinstance(given, str):
        raise InvalidInput(f"the {what} {given!r} is not text: give a string.")
    return given


def _round_step(span_ns: int) -> int:
    wanted = span_ns / 300 / 1e9
    return next((s for s in _STEPS if s >= wanted), _STEPS[-1]) * 10**9


def _text(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[s]"))
