"""What the records of a log say: series, samples, tombstones, metadata; the rest is counted.

References
----------
Prometheus, `tsdb/record/record.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.sources.source import ReadOptions
from workbench.sources.tsdb.labels import LabelTable, read_texts
from workbench.sources.tsdb.tombstones import Stones

__all__ = [
    "EXEMPLARS",
    "HISTOGRAMS",
    "KINDS",
    "SAMPLES",
    "Flat",
    "Kinds",
    "LogSeries",
    "metadata",
    "samples",
    "series",
    "stones",
]

_Ints = npt.NDArray[np.int64]

SERIES, TOMBSTONES, EXEMPLARS, MARKERS, METADATA = 1, 3, 4, 5, 6
SAMPLES = (2, 11)
"""Types of records of float samples."""
HISTOGRAMS = (7, 8, 9, 10, 12, 13)
"""Types of records of native histograms."""
KNOWN = (SERIES, *SAMPLES, TOMBSTONES, EXEMPLARS, MARKERS, METADATA, *HISTOGRAMS, 14)

KINDS = ("unknown", "counter", "gauge", "histogram", "gauge", "summary", "gauge", "gauge")
"""What Prometheus' numbers of kinds of metrics are called here."""


class Flat(NamedTuple):
    """Samples in the order of a log, by reference of their series."""

    ref: _Ints
    time_ms: _Ints
    value: npt.NDArray[np.float64]


class LogSeries(NamedTuple):
    """The series of a log: `ref` rises, series `row` of the table is the one meant."""

    ref: _Ints
    row: _Ints
    table: LabelTable

    def rows(self, refs: _Ints) -> _Ints:
        """Return the rows of the table that references mean, -1 where none was defined."""
        if not len(self.ref):
            return np.full(len(refs), -1)
        at = np.minimum(np.searchsorted(self.ref, refs), len(self.ref) - 1)
        return np.where(self.ref[at] == refs, self.row[at], -1)


Kinds = dict[int, tuple[str, str]]
"""Reference of a series to its kind and unit."""


def _joined(records: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], _Ints, _Ints]:
    end = np.cumsum([len(record) for record in records], dtype=np.int64)
    begin = np.concatenate([[0], end[:-1]]).astype(np.int64) if len(end) else end
    return np.frombuffer(b"".join(records), np.uint8), begin, end


def samples(records: Sequence[bytes], skips: Counter[str]) -> Flat:
    """Return the samples of all records of samples; start times are passed over."""
    from workbench.sources.tsdb.kernels import scan_samples

    data, begin, end = _joined(records)
    most = int(((end - begin) // 10).sum())
    ref, time, bits = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
    counts = np.zeros(len(begin), np.int64)
    n = scan_samples(data, begin, end, ref, time, bits, counts)
    if (counts < 0).any():
        skips["record of samples in a log that does not decode"] += int((counts < 0).sum())
    return Flat(ref[:n], time[:n], bits[:n].view(np.float64))


def series(records: Sequence[bytes], options: ReadOptions, skips: Counter[str]) -> LogSeries:
    """Return the series of all records of series; of several of one reference the last counts."""
    from workbench.sources.tsdb.kernels import scan_texts

    data, begin, end = _joined(records)
    none = np.empty((0, 2), np.int64)
    n, k, broken = scan_texts(data, begin, end, none, none)
    found, places = np.empty((n, 2), np.int64), np.empty((2 * k, 2), np.int64)
    if n:
        scan_texts(data, begin, end, found, places)
    if broken:
        skips["record of series in a log that does not decode"] += int(broken)
    texts = read_texts(data, places[:, 0], places[:, 1], options.max_text_chars, skips)
    table = LabelTable.build(texts, found[:, 1], np.arange(0, 2 * k, 2), np.arange(1, 2 * k, 2))
    last, where = np.unique(found[::-1, 0], return_index=True)
    rows = n - 1 - where
    return LogSeries(last, table.first_equal()[rows], table)


def stones(records: Sequence[bytes], skips: Counter[str]) -> Stones:
    """Return what was deleted, by reference."""
    from workbench.codecs.xor_kernels import CUT, varint

    found: list[tuple[int, int, int]] = []
    for record in records:
        data = np.frombuffer(record, np.uint8)
        at, n = 1, len(data)
        while at != CUT and at < n:
            ref = int.from_bytes(record[at : at + 8], "big", signed=True)
            low, at = varint(data, at + 8, n)
            high, at = varint(data, at, n) if at != CUT else (0, CUT)
            if at != CUT:
                found.append((ref, int(low), int(high)))
        if at == CUT:
            skips["record of deletions in a log that does not decode"] += 1
    return np.array(found, np.int64).reshape(-1, 3)


def metadata(records: Sequence[bytes], skips: Counter[str]) -> Kinds:
    """Return kind and unit of the series that have metadata."""
    found: Kinds = {}
    for record in records:
        try:
            at = 1
            while at < len(record):
                at = _described(record, at, found)
        except ValueError:
            skips["record of metadata in a log that does not decode"] += 1
    return found


def _described(record: bytes, at: int, found: Kinds) -> int:
    ref, at = _number(record, at)
    kind = record[at : at + 1]
    fields, at = _number(record, at + 1)
    if fields > len(record) - at:
        raise ValueError(f"{fields} fields in {len(record) - at} bytes")
    said: dict[str, str] = {}
    for _ in range(fields):
        name, at = _text(record, at)
        said[name], at = _text(record, at)
    number = kind[0] if kind else 0
    found[ref] = (KINDS[number] if number < len(KINDS) else "unknown", said.get("UNIT", ""))
    return at


def _number(record: bytes, at: int) -> tuple[int, int]:
    from workbench.codecs import varint

    return varint.read(record, at, 10)


def _text(record: bytes, at: int) -> tuple[str, int]:
    size, at = _number(record, at)
    if size > len(record) - at:
        raise ValueError(f"a text of {size} bytes in {len(record) - at}")
    return record[at : at + size].decode("utf-8", "replace"), at + size
