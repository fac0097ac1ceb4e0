"""Read sources, cut to a window, check every batch, write it once."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench import registry, sources
from workbench import settings as settings_table
from workbench.errors import InvalidInput, NotFound, ShapeError, SourceError, check_one_of
from workbench.signals import SIGNALS, Batch, Profiles, Samples, build_samples, check_batch, check_metrics, labels_of
from workbench.store import Store

__all__ = ["Report", "check_sources", "ingest", "write"]


@dataclass
class Report:
    """What went in and what did not.

    Attributes
    ----------
    counts : dict of str to int
        Samples, log records, spans, profile samples and events written, by signal.
    skips : Counter of str
        What was left out: reason -> count.
    files : int
        How many files gave data.
    known : int
        How many batches were already in the store and were not written again.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    skips: Counter[str] = field(default_factory=Counter)
    files: int = 0
    known: int = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """Add the counts of one written batch."""
        for signal, count in counts.items():
            self.counts[signal] += count

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        return {"counts": self.counts, "skips": dict(self.skips), "files": self.files, "known": self.known}

    def __str__(self) -> str:
        """Return a few lines for people; names of files cannot drive a terminal or begin a line of their own."""
        held = ", ".join(f"{count:,} {signal}" for signal, count in self.counts.items() if count) or "nothing new"
        lines = [f"stored {held} from {self.files} file{'s' * (self.files != 1)}"]
        if self.known:
            lines.append(f"{self.known} part{'s were' if self.known > 1 else ' was'} already in the store")
        lines += [f"left out {count:,}: {reason}" for reason, count in self.skips.most_common()]
        return "\n".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines)


def check_sources(paths: Iterable[str | os.PathLike[str]], format: str | None = None) -> list[Path | str]:
    """Return the paths if all are there, so that a mistyped one is told before a store is made; addresses as they are.

    Raises
    ------
    InvalidInput
        If one is an address that no source reads, or no path at all, or the format is not known.
    NotFound
        If one does not exist.
    """
    if format is not None:
        check_one_of(format, registry.names("workbench.sources"), "format")
    found: list[Path | str] = []
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InvalidInput(f"source {path!r} is not a path: give the path of a file or folder.")
        if "://" in os.fspath(path):
            sources.address_source(os.fspath(path), format)
            found.append(os.fspath(path))
            continue
        found.append(Path(path))
        if not Path(path).exists():
            raise NotFound(f"there is no file or folder {str(path)!r}: give the path of telemetry to read.")
    return found


def ingest(
    store: Store,
    paths: Iterable[str | os.PathLike[str]],
    *,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    start: np.datetime64 | None = None,
    end: np.datetime64 | None = None,
    progress: bool = False,
) -> Report:
    """Read files and folders into a store.

    Parameters
    ----------
    store : Store
    paths : iterable of str or Path
        Files, folders that are walked, folders that another program keeps, or addresses of systems to ask.
    format : str, optional
        Name of a registered source; detected from the content by default.
    mapping : mapping, optional
        Column names of a table: shape column -> column of the file.
    start, end : datetime64[ns], optional
        Only what lies in `[start, end)` is kept; the rest is counted. A file that a window has cut is read again only
        with the very same window, since no other would know which rows are there; a relative time means another window
        each time it is given.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    Report

    Raises
    ------
    NotFound
        If a path does not exist.
    InvalidInput
        If no source reads an address, the format is not known, or a file was cut by another window before.
    SourceError
        If a single file cannot be read at all; inside a folder that is a counted skip.
    """
    values = settings_table.load()
    report = Report()
    for path in check_sources(paths, format):
        parts = sources.read(
            path, format=format, mapping=mapping, settings=values, window=(start, end), progress=progress
        )
        if isinstance(path, str):
            _ask(store, parts, (start, end), report)
            continue
        reading: _Reading | None = None
        for name, batch in _watched(parts, progress):
            report.skips.update(batch.skips)
            part = path if path.is_file() or not (path / name).exists() else path / name
            if batch.empty() and (batch.skips or not part.is_dir()):
                continue
            if reading is None or reading.name != name:
                if reading is not None:
                    reading.close()
                reading = _Reading(store, report, name, _identity(part, mapping), format, (start, end))
            if not batch.empty():
                report.files += reading.parts == 0
                reading.take(batch)
        if reading is not None:
            reading.close()
    return report


def _ask(
    store: Store,
    parts: Iterable[tuple[str, Batch]],
    window: tuple[np.datetime64 | None, np.datetime64 | None],
    report: Report,
) -> None:
    """Write what a system answers; what was asked before is there twice then, and told apart by nobody: samples merge."""
    asked: set[str] = set()
    for name, batch in parts:
        report.skips.update(batch.skips)
        if not batch.empty():
            _write(store, _cut(batch, *window, report.skips) if window != (None, None) else batch, None, report)
            asked.add(name)
    report.files += len(asked)


def _identity(file: Path, mapping: Mapping[str, str] | None) -> str:
    """Return what makes a file's data the same: its bytes and the mapping, not how its format became known."""
    told = "".join(f"{column}={field};" for column, field in sorted((mapping or {}).items()))
    return f"{_content_hash(file)}::{told}"


class _Reading:
    """One file on its way in: each part has a key, and marks keep it from coming in twice in two different ways.

    A part that a window leaves whole has the key it has without a window. `cut` marks a file of which a window took
    some rows of a part; `whole` a file that was read to its end, each with a second mark that says how.
    """

    def __init__(
        self,
        store: Store,
        report: Report,
        name: str,
        identity: str,
        format: str | None,
        window: tuple[np.datetime64 | None, np.datetime64 | None],
    ) -> None:
        self.store, self.report, self.name, self.identity, self.window = store, report, name, identity, window
        self.parts = 0
        self.windowed = window != (None, None)
        self.whole, self.cut = f"{identity}whole", f"{identity}cut"
        self.whole_how, self.cut_how = f"{self.whole}:{format or ''}", f"{self.cut}:{window[0]}:{window[1]}"
        if store.has(self.cut) and not store.has(self.cut_how):
            raise InvalidInput(
                f"{name} was read into this store before with another window, so some of its rows would be there twice:"
                " give the same absolute window, or read it into another store."
            )
        self.known = store.has(self.whole) and not store.has(self.whole_how)

    def take(self, batch: Batch) -> None:
        """Write the next part, or what the window keeps of it, unless it is there already."""
        self.parts += 1
        key = f"{self.identity}{self.parts}"
        if self.known or self.store.has(key):
            self.report.known += 1
            return
        if self.windowed:
            left_out = sum(batch.counts().values())
            batch = _cut(batch, *self.window, self.report.skips)
            left_out -= sum(batch.counts().values())
            if left_out and not batch.empty():
                key = f"{key}:{self.window[0]}:{self.window[1]}"
                for mark in (self.cut_how, self.cut):
                    self.store.write(Batch(), key=mark)
        _write(self.store, batch, key, self.report)

    def close(self) -> None:
        """Remember that the file was read to its end, and under which name of a format."""
        if not self.windowed and not self.known:
            for mark in (self.whole_how, self.whole):
                if not self.store.has(mark):
                    self.store.write(Batch(), key=mark)


def write(store: Store, shape: object) -> dict[str, int]:
    """Write one shape made by hand: samples, a metrics array, a logs, spans or events frame, profiles, or a `Batch`.

    Raises
    ------
    ShapeError
        If the object is none of the shapes.
    """
    return store.write(check_batch(_as_batch(shape)))


def _as_batch(shape: object) -> Batch:
    if isinstance(shape, Batch):
        return shape
    if isinstance(shape, Samples):
        return Batch(metrics=shape)
    if isinstance(shape, Profiles):
        return Batch(profiles=shape)
    if isinstance(shape, xr.DataArray):
        return Batch(metrics=_array_to_samples(check_metrics(shape)))
    if isinstance(shape, pd.DataFrame):
        columns = set(shape.columns)
        if {"trace_id", "span_id", "duration_ns"} <= columns:
            return Batch(spans=shape)
        if {"kind", "title"} <= columns:
            return Batch(events=shape)
        if "body" in columns:
            return Batch(logs=shape)
    raise ShapeError(
        f"a {type(shape).__name__} is none of the shapes: give samples, a metrics array, a logs, spans or events frame,"
        " or profiles (see workbench.signals)."
    )


def _array_to_samples(array: xr.DataArray) -> Samples:
    labels = labels_of(array)
    if "metric" not in labels:
        labels["metric"] = str(array.name or "value")
    row, column = np.nonzero(~np.isnan(array.values))
    kind = [str(array.attrs.get("kind", "gauge"))] * len(labels)
    unit = [str(array.attrs.get("unit", ""))] * len(labels)
    return build_samples(labels, row, array["time"].values[column], array.values[row, column], kind, unit)


def _write(store: Store, batch: Batch, key: str | None, report: Report) -> None:
    if batch.empty():
        return
    if key is not None and store.has(key):
        report.known += 1
        return
    try:
        check_batch(batch)
    except ShapeError as error:
        report.skips[f"malformed batch: {error}"] += sum(batch.counts().values())
        return
    report.add(store.write(batch, key=key))


def _cut(batch: Batch, start: np.datetime64 | None, end: np.datetime64 | None, skips: Counter[str]) -> Batch:
    first = start if start is not None else np.datetime64(0, "ns")
    last = end if end is not None else np.datetime64(np.iinfo(np.int64).max, "ns")
    before = sum(batch.counts().values())
    out = Batch()
    if batch.metrics is not None:
        out.metrics = batch.metrics.between(first, last)
    if batch.profiles is not None:
        out.profiles = batch.profiles.select(batch.profiles.samples["time"].between(first, last, inclusive="left"))
    if batch.logs is not None:
        out.logs = _rows_between(batch.logs, first, last)
    if batch.events is not None:
        out.events = _rows_between(batch.events, first, last)
    if batch.spans is not None:
        from workbench.signals import build_spans

        kept = _rows_between(batch.spans, first, last)
        out.spans = build_spans({str(name): column for name, column in kept.items()})
    left_out = before - sum(out.counts().values())
    if left_out:
        skips["outside the window asked for"] += left_out
    return out


def _rows_between(frame: pd.DataFrame, start: np.datetime64, end: np.datetime64) -> pd.DataFrame:
    return frame[frame["time"].between(start, end, inclusive="left")].reset_index(drop=True)


def _content_hash(path: Path) -> str:
    if path.is_dir():
        inner = sorted(file for file in path.rglob("*") if file.is_file())
        said = "".join(f"{file.relative_to(path)}\0{_content_hash(file)}\n" for file in inner)
        return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error


def _watched(items: Iterable[tuple[str, Batch]], progress: bool) -> Iterable[tuple[str, Batch]]:
    if not progress:
        return items
    from tqdm.auto import tqdm

    quiet = False if "ipykernel" in sys.modules else None  # None: only where standard error is a terminal
    bar: Iterable[tuple[str, Batch]] = tqdm(items, desc="ingest", unit=" batches", leave=False, disable=quiet)
    return bar
