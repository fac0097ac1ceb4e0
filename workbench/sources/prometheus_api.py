"""A running Prometheus as a source: `prometheus://host:9090?match={job="x"}`, page after page over a long window.

Remote read is asked first: it gives samples as they are stored, stale markers included. A server that does not offer it
is asked over the HTTP API, with a range selector in an instant query, which leaves stale markers out.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from workbench.errors import InvalidInput, SourceError
from workbench.signals import Batch, Matcher, Samples
from workbench.signals.names import from_prometheus
from workbench.sources.labels import SeriesTable
from workbench.sources.prometheus_client import (
    Address,
    PrometheusClient,
    RefusedError,
    TooLargeError,
    parse_address,
)
from workbench.sources.remote_read import read_remotely
from workbench.sources.selector import parse_selector
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.records import KINDS

__all__ = ["PrometheusApi"]

_FIRST_MS, _LEAST_MS, _MOST_MS = 3_600_000, 1000, 14 * 86_400_000
_FEW, _MANY = 250_000, 2_000_000
"""A page that gives fewer samples is followed by one twice as long, one that gives more by one half as long."""

_NOT_OFFERED = (400, 404, 405, 415, 422, 501)
QUERIED = "remote read is not offered there: stale markers are not given"
"""Counted once when the HTTP API had to be asked."""

UNTOLD = "native histogram sample, whose schema the HTTP API does not give: ask by remote read"
"""The reason under which those are counted that only the HTTP API told of."""


class PrometheusApi:
    """Samples that a running Prometheus, or what answers as one, holds in a window."""

    name: ClassVar[str] = "prometheus-api"

    def detect_address(self, address: str) -> bool:
        """Return whether an address begins with `prometheus`."""
        return address.startswith(("prometheus://", "prometheus+http://", "prometheus+https://"))

    def read_address(self, address: str, options: ReadOptions) -> Iterator[tuple[str, Batch]]:
        """Yield the samples of the window, selector after selector, page after page.

        Raises
        ------
        InvalidInput
            If the address or a selector is not understood, or the window has no start.
        SourceError
            If the server cannot be asked or refuses.
        """
        asked = parse_address(address)
        matchers = [parse_selector(text) for text in asked.selectors]
        start, end = _window(options)
        return self._read(asked, matchers, start, end, options)

    def _read(
        self, asked: Address, matchers: list[Sequence[Matcher]], start: int, end: int, options: ReadOptions
    ) -> Iterator[tuple[str, Batch]]:
        client = PrometheusClient(asked, str(options.settings["prometheus.token_file"]))
        try:
            kinds = _kinds(client)
            for text, chosen in zip(asked.selectors, matchers, strict=True):
                for batch in _Pages(client, text, chosen, options).batches(start, end):
                    if batch.metrics is not None:
                        batch.metrics = _with_kinds(batch.metrics, kinds)
                    yield f"{asked.name} {text}", batch
        finally:
            client.close()


def _window(options: ReadOptions) -> tuple[int, int]:
    """Return the window in ms, its end not included."""
    start, end = options.window
    if start is None:
        raise InvalidInput("a running Prometheus is asked for a window: give its start, such as --start -6h.")
    last = np.datetime64("now", "ms") if end is None else end
    low, high = (-(-int(t.astype("datetime64[ns]").astype(np.int64)) // 10**6) for t in (start, last))
    if low >= high:
        raise InvalidInput(f"the window from {start} to {last} is empty: start must lie before end.")
    return low, high


class _Pages:
    """One selector, asked page by page; pages grow while answers are small, and shrink when they are large."""

    def __init__(self, client: PrometheusClient, text: str, matchers: Sequence[Matcher], options: ReadOptions) -> None:
        self._client, self._text, self._matchers, self._options = client, text, matchers, options
        self._remote = client.address.way != "query"
        self._tried = client.address.way == "read"
        self._skips: Counter[str] = Counter()

    def batches(self, start: int, end: int) -> Iterator[Batch]:
        """Yield the samples of [start, end), ms."""
        at, length = start, _FIRST_MS
        with _bar(end - start, self._client.address.name, self._options.progress) as bar:
            while at < end:
                stop = min(at + length, end)
                try:
                    found = self._page(at, stop)
                except TooLargeError:
                    if length <= _LEAST_MS:
                        raise
                    length = max(length // 4, _LEAST_MS)
                    continue
                count = sum(samples.n_samples for samples in found)
                for samples in found:
                    yield Batch(metrics=samples, skips=self._taken())
                if self._skips:
                    yield Batch(skips=self._taken())
                bar.update((stop - at) / 1000)
                at = stop
                length = (
                    min(2 * length, _MOST_MS)
                    if count < _FEW
                    else max(length // 2, _LEAST_MS)
                    if count > _MANY
                    else length
                )

    def _page(self, start: int, end: int) -> list[Samples]:
        if self._remote:
            try:
                found = read_remotely(self._client, self._matchers, start, end - 1, self._options)
            except RefusedError as error:
                if "sample limit" in str(error):
                    raise TooLargeError(str(error)) from error
                if self._tried or error.status not in _NOT_OFFERED:
                    raise
                self._remote = False
                self._skips[QUERIED] += 1
            else:
                self._tried = True
                self._skips.update(found.skips)
                return found.samples
        return self._queried(start, end)

    def _queried(self, start: int, end: int) -> list[Samples]:
        """Ask with a range selector, whose start Prometheus 3 leaves out and Prometheus 2 takes in."""
        form = {"query": f"{self._text}[{end - start}ms]", "time": f"{(end - 1) / 1000:.3f}"}
        try:
            data = self._client.ask("/api/v1/query", form)
        except RefusedError as error:
            if error.status in (422, 503) and end - start > _LEAST_MS:  # too many samples, or too slow
                raise TooLargeError(str(error)) from error
            raise
        try:
            found = self._samples(data["result"], start)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise SourceError(
                f"{self._client.address.name} answers with something that is no matrix of samples."
            ) from error
        return [] if found is None else [found]

    def _samples(self, rows: list[dict[str, Any]], start: int) -> Samples | None:
        table = SeriesTable(self._options)
        series, counts = [], []
        times: list[float] = []
        values: list[float] = []
        for row in rows:
            pairs = row.get("values", [])
            self._skips[UNTOLD] += len(row.get("histograms", []))
            series.append(table.row({from_prometheus(str(name)): str(text) for name, text in row["metric"].items()}))
            counts.append(len(pairs))
            times += [float(pair[0]) for pair in pairs]
            values += [float(pair[1]) for pair in pairs]
        self._skips = +self._skips
        ms = np.round(np.array(times) * 1000).astype(np.int64)
        which = np.repeat(np.array(series, np.int64), counts)
        inside = ms >= start
        return table.samples(which[inside], ms[inside] * 10**6, np.array(values)[inside], self._skips)

    def _taken(self) -> Counter[str]:
        taken, self._skips = self._skips, Counter()
        return taken


def _kinds(client: PrometheusClient) -> dict[str, str]:
    """Return what the server knows of its metrics: family -> kind; nothing where it does not say."""
    try:
        known = client.ask("/api/v1/metadata", {}, method="GET")
        return {str(name): str(said[0]["type"]) for name, said in known.items() if said}
    except (SourceError, TypeError, KeyError, IndexError, AttributeError):
        return {}


def _with_kinds(samples: Samples, kinds: Mapping[str, str]) -> Samples:
    """Return samples with the kinds of their families."""
    names, which = np.unique(samples.labels["metric"].to_numpy(object), return_inverse=True)
    found = [_kind(str(name), kinds) for name in names]
    return replace(samples, kind=np.array(found, object)[which])


def _kind(name: str, kinds: Mapping[str, str]) -> str:
    for ending in ("", "_total", "_bucket", "_sum", "_count"):
        said = kinds.get(name.removesuffix(ending), "") if name.endswith(ending) else ""
        if said in KINDS and not (ending in ("_bucket", "_sum", "_count") and said not in ("histogram", "summary")):
            return said
    return "unknown"


def _bar(ms: int, name: str, progress: bool) -> Any:
    from tqdm.auto import tqdm

    quiet = True if not progress else False if "ipykernel" in sys.modules else None
    return tqdm(total=ms / 1000, desc=name, unit=" s", leave=False, disable=quiet)
