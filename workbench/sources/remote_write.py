"""Remote-write requests of Prometheus, versions 1.0 and 2.0, made into a batch.

References
----------
Prometheus remote-write specifications 1.0 and 2.0; `prompb/remote.proto`, `prompb/io/prometheus/write/v2/types.proto`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench.errors import LimitExceeded, SourceError
from workbench.signals import Samples
from workbench.sources.histogram_columns import SIZES, UNSOUND, Columns, built
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.assemble import Ragged, assemble
from workbench.sources.tsdb.labels import LabelTable, read_texts
from workbench.sources.tsdb.records import KINDS
from workbench.sources.tsdb.wal import snappy_size, unsnap

__all__ = ["NAMELESS", "Request", "read_request", "unpack_request"]

_Ints = npt.NDArray[np.int64]

NAMELESS = "sample of a series whose labels have no metric name, an empty name, or one name twice"
"""The reason under which such samples are counted."""


@dataclass
class Request:
    """What a request held.

    Attributes
    ----------
    samples : list of Samples
    skips : Counter of str
        What is not right about it and was left out: reason -> count.
    exemplars : int
        How many came; they are not stored yet.
    """

    samples: list[Samples] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    exemplars: int = 0


def unpack_request(body: bytes, most: int) -> bytes:
    """Return a request without its snappy compression; what it claims to unpack to is checked first.

    Raises
    ------
    LimitExceeded
        If that is more than `most` bytes.
    SourceError
        If it is not a snappy block, or claims more than its bytes can hold.
    """
    size = snappy_size(body)
    if size > most:
        raise LimitExceeded(
            f"the request unpacks to {size} bytes, more than {most}: send smaller requests, or raise"
            " intake.max_body_bytes."
        )
    plain = unsnap(body, most)
    if plain is None:
        raise SourceError(
            "the request is not a snappy block, or a damaged one: compress it with snappy (block format)."
        )
    return plain


def read_request(plain: bytes, *, newer: bool, options: ReadOptions) -> Request:
    """Return what a request holds.

    Parameters
    ----------
    plain : bytes
        The protobuf message.
    newer : bool
        Whether it is of version 2.
    options : ReadOptions

    Raises
    ------
    SourceError
        If the message cannot be read to its end; then nothing of it is used.
    """
    from workbench.sources.remote_write_kernels import COUNTS, scan_request

    data, counts = np.frombuffer(plain, np.uint8), np.zeros(COUNTS, np.int64)
    none, flat = np.empty((0, 4), np.int64), np.empty(0, np.int64)
    no_bits, places = flat.view(np.uint64), none[:, :3]
    first = scan_request(data, len(data), newer, none[:, :2], none, none, flat, no_bits, counts, places)
    if not first:
        raise SourceError(
            f"the request of {len(plain)} bytes is no remote-write message of version {2 if newer else 1}, or a damaged"
            " one: check the Content-Type against the message."
        )
    n_texts, n, n_labels, n_samples = counts[:4].tolist()
    texts, series, labels = (
        np.empty((n_texts, 2), np.int64),
        np.empty((n, 4), np.int64),
        np.empty((n_labels, 4), np.int64),
    )
    time, bits = np.empty(n_samples, np.int64), np.empty(n_samples, np.uint64)
    places = np.empty((int(counts[5]), 3), np.int64)
    scan_request(data, len(data), newer, texts, series, labels, time, bits, np.zeros(COUNTS, np.int64), places)
    request = Request(exemplars=int(counts[4]))
    build = _referred if newer else _spelled
    table, said = build(data, texts, series, labels, options, request.skips)
    offsets = np.concatenate([[0], np.cumsum(series[:, 1])]).astype(np.int64)
    given = Ragged(np.arange(n), offsets, time, bits.view(np.float64))
    if len(places):
        given = _with_histograms(given, data, places, request.skips)
    sound = _named(table)
    if not sound.all():
        keep = np.repeat(sound[given.rows], np.diff(given.offsets))
        request.skips[NAMELESS] += int((~keep).sum())
        given = given.keep(keep)
    request.samples = list(assemble(table, given, options, request.skips, said))
    return request


def _with_histograms(given: Ragged, data: npt.NDArray[np.uint8], places: _Ints, skips: Counter[str]) -> Ragged:
    """Return samples with the native histograms of the same series; `places` says where they lie.

    Raises
    ------
    SourceError
        If one of them cannot be read to its end.
    """
    from workbench.sources.remote_write_histograms import scan_histograms

    sizes = np.zeros(SIZES, np.int64)
    if not scan_histograms(data, places, *Columns.room(), sizes):
        raise SourceError("the request holds a native histogram that is damaged: check it against the protocol.")
    columns = Columns.room(sizes)
    scan_histograms(data, places, *columns, np.zeros(SIZES, np.int64))
    pool, sound = built(columns)
    skips.update(+Counter({UNSOUND: int((~sound).sum())}))
    heads = columns.heads[sound]
    series = np.append(np.repeat(given.rows, np.diff(given.offsets)), heads[:, 0])
    order = np.argsort(series, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(series, minlength=len(given.rows)))).astype(np.int64)
    time, value = np.append(given.time_ms, heads[:, 1]), np.append(given.value, np.zeros(len(heads)))
    held = np.append(np.full(len(given.value), -1), np.arange(len(heads)))
    return Ragged(given.rows, offsets, time[order], value[order], held[order], pool)


Built = tuple[LabelTable, tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]] | None]
Build = Callable[[npt.NDArray[np.uint8], _Ints, _Ints, _Ints, ReadOptions, Counter[str]], Built]


def _spelled(
    data: npt.NDArray[np.uint8], _: _Ints, series: _Ints, labels: _Ints, options: ReadOptions, skips: Counter[str]
) -> Built:
    """Return the labels of version 1, which are spelled out."""
    places = labels.reshape(-1, 2)
    found = read_texts(data, places[:, 0], places[:, 1], options.max_text_chars, skips)
    at = np.arange(0, len(places), 2)
    return LabelTable.build(found, series[:, 0], at, at + 1), None


def _referred(
    data: npt.NDArray[np.uint8], texts: _Ints, series: _Ints, labels: _Ints, options: ReadOptions, skips: Counter[str]
) -> Built:
    """Return the labels of version 2, which refer to texts, and what the series are said to be."""
    found = read_texts(data, texts[:, 0], texts[:, 1], options.max_text_chars, skips)
    most = max(int(labels[:, :2].max(initial=-1)), int(series[:, 3].max(initial=0)) if len(series) else -1)
    if most >= max(len(texts), 1):
        raise SourceError(
            f"the request refers to text {most} of {len(texts)}: labels and units must refer to its list of symbols."
        )
    table = LabelTable.build(found, series[:, 0], labels[:, 0], labels[:, 1])
    kinds = np.array(KINDS, object)[np.minimum(series[:, 2], len(KINDS) - 1)]
    kinds = np.where(series[:, 2] < len(KINDS), kinds, "unknown").astype(object)
    units: Any = np.full(len(series), "", object)
    if len(texts):
        units = found.take(pa.array(series[:, 3])).to_numpy(zero_copy_only=False).astype(object)
    return table, (kinds, units)


def _named(table: LabelTable) -> npt.NDArray[np.bool_]:
    """Return which series have a metric name, and no name that is empty or there twice."""
    series = np.repeat(np.arange(len(table)), np.diff(table.offsets))
    kept = table.value != table.empty
    order = np.lexsort((table.name, series))
    twice = (np.diff(series[order]) == 0) & (np.diff(table.name[order]) == 0)
    sound = np.zeros(len(table), bool)
    names = np.array(table.names, object) if table.names else np.empty(0, object)
    sound[series[kept & (names[table.name] == "metric")]] = True
    sound[series[names[table.name] == ""]] = False
    sound[series[order[1:][twice]]] = False
    return sound
