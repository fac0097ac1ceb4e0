"""The byte loop over remote-write requests, compiled. Import this inside the function that needs it.

Both versions are one loop: version 1 spells labels out, version 2 refers to a list of texts at the head of the request.
What the loop finds it counts, and writes only where there is room, so that one pass with empty arrays sizes the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled
from workbench.codecs.xor_kernels import CUT, uvarint

__all__ = ["COUNTS", "read_field", "scan_request"]

COUNTS = 6
"""Texts, series, labels, samples, exemplars, histograms."""

_TEXT, _SERIES, _LABEL, _SAMPLE, _EXEMPLAR, _HISTOGRAM = range(COUNTS)


@compiled
def read_field(data: Array, at: Any, end: Any) -> Any:
    """Return number and kind of a field, its value or length, its first byte and the byte behind it, CUT if none."""
    key, at = uvarint(data, at, end)
    number, kind = np.int64(key >> np.uint64(3)), np.int64(key & np.uint64(7))
    value = np.uint64(0)
    low = at
    if at == CUT or number == 0:
        return number, kind, value, low, CUT
    if kind == 0:
        value, at = uvarint(data, at, end)
    elif kind == 1:
        at = at + 8 if end - at >= 8 else CUT
    elif kind == 5:
        at = at + 4 if end - at >= 4 else CUT
    elif kind == 2:
        value, low = uvarint(data, at, end)
        at = low + np.int64(value) if low != CUT and value <= np.uint64(max(end - low, 0)) else CUT
    else:
        at = CUT
    return number, kind, value, low, at


@compiled
def _sample(data: Array, at: Any, end: Any, time: Array, bits: Array, n: Any) -> Any:
    """Read a sample into row n where there is one; return whether it could be read."""
    stamp, number = np.uint64(0), np.uint64(0)
    while at < end:
        field, kind, value, low, at = read_field(data, at, end)
        if at == CUT:
            return False
        if field == 1 and kind == 1:
            number = np.uint64(0)
            for i in range(8):
                number |= np.uint64(data[low + i]) << np.uint64(8 * i)
        elif field == 2 and kind == 0:
            stamp = value
        elif field <= 2:
            return False
    if n < len(time):
        time[n], bits[n] = np.int64(stamp), number
    return True


@compiled
def _label(data: Array, at: Any, end: Any, labels: Array, n: Any) -> Any:
    """Read a label of version 1 into row n where there is one; return whether it could be read."""
    found = np.zeros(4, np.int64)
    while at < end:
        field, kind, value, low, at = read_field(data, at, end)
        if at == CUT or (field <= 2 and kind != 2):
            return False
        if field <= 2:
            found[2 * field - 2], found[2 * field - 1] = low, np.int64(value)
    if n < len(labels):
        labels[n, :] = found
    return True


@compiled
def _references(data: Array, at: Any, end: Any, labels: Array, n: Any, half: Any) -> Any:
    """Read packed references of version 2, names and values in turn from label n on, its value first if `half`.

    Returns the number of the last label, and whether it lacks its value; -1 where a reference cannot be read.
    """
    while at < end:
        value, at = uvarint(data, at, end)
        if at == CUT or value >= np.uint64(2**31):
            return CUT, half
        if n < len(labels):
            labels[n, 1 if half else 0] = np.int64(value)
        n += half
        half = not half
    return n, half


@compiled
def _series(
    data: Array, at: Any, end: Any, newer: Any, counts: Array, labels: Array, time: Array, bits: Array, said: Array,
    histograms: Array,
) -> Any:  # fmt: skip
    """Read one series; return whether it could be read. `said` gets kind and unit of version 2."""
    half = False
    while at < end:
        field, kind, value, low, at = read_field(data, at, end)
        if at == CUT:
            return False
        if field == 1 and newer and kind == 0:
            if value >= np.uint64(2**31):
                return False
            if counts[_LABEL] < len(labels):
                labels[counts[_LABEL], 1 if half else 0] = np.int64(value)
            counts[_LABEL] += half
            half = not half
        elif field > 5:
            continue
        elif kind != 2:
            return False
        elif field == 1 and newer:
            last, half = _references(data, low, at, labels, counts[_LABEL], half)
            if last == CUT:
                return False
            counts[_LABEL] = last
        elif field == 1:
            if not _label(data, low, at, labels, counts[_LABEL]):
                return False
            counts[_LABEL] += 1
        elif field == 2:
            if not _sample(data, low, at, time, bits, counts[_SAMPLE]):
                return False
            counts[_SAMPLE] += 1
        elif field == 5:
            if not newer or not _metadata(data, low, at, said):
                return False
        elif (field == 3) == newer:
            n = counts[_HISTOGRAM]
            if n < len(histograms):
                histograms[n, 0], histograms[n, 1], histograms[n, 2] = counts[_SERIES], low, at
            counts[_HISTOGRAM] += 1
        else:
            counts[_EXEMPLAR] += 1
    return not half


@compiled
def _metadata(data: Array, at: Any, end: Any, said: Array) -> Any:
    """Read kind and unit of a series of version 2."""
    while at < end:
        field, kind, value, _, at = read_field(data, at, end)
        if at == CUT or (field <= 4 and kind != 0) or value >= np.uint64(2**31):
            return False
        if field == 1:
            said[0] = np.int64(value)
        elif field == 4:
            said[1] = np.int64(value)
    return True


@compiled
def scan_request(
    data: Array,
    end: Any,
    newer: Any,
    texts: Array,
    series: Array,
    labels: Array,
    time: Array,
    bits: Array,
    counts: Array,
    histograms: Array,
) -> Any:
    """Read a request; return whether all of it could be read.

    Parameters
    ----------
    data : ndarray of uint8, of at least `end`
    newer : bool
        Whether it is of version 2.
    texts : ndarray of int64, shape (s, 2) or (0, 2)
        Filled in, version 2: first byte and length of each text.
    series : ndarray of int64, shape (n, 4) or (0, 4)
        Filled in: how many labels and samples each has; version 2: kind and text of the unit.
    labels : ndarray of int64, shape (k, 4) or (0, 4)
        Filled in: first byte and length of name and of value; version 2: texts of name and value in the first two.
    time : ndarray of int64, shape (m,) or (0,)
        Filled in, ms.
    bits : ndarray of uint64, shape (m,) or (0,)
    counts : ndarray of int64, shape (COUNTS,)
        0 at first; filled in with how many there are of each.
    histograms : ndarray of int64, shape (h, 3) or (0, 3)
        Filled in: series, first byte and the byte behind the last of each, to be read by `scan_histograms`.
    """
    at, said = 0, np.zeros(2, np.int64)
    while at < end:
        field, kind, value, low, at = read_field(data, at, end)
        if at == CUT:
            return False
        if newer and field == 4:
            if kind != 2:
                return False
            if counts[_TEXT] < len(texts):
                texts[counts[_TEXT], 0], texts[counts[_TEXT], 1] = low, np.int64(value)
            counts[_TEXT] += 1
        elif field == (5 if newer else 1):
            n_labels, n_samples = counts[_LABEL], counts[_SAMPLE]
            said[:] = 0
            if kind != 2 or not _series(data, low, at, newer, counts, labels, time, bits, said, histograms):
                return False
            if counts[_SERIES] < len(series):
                row = series[counts[_SERIES]]
                row[0], row[1] = counts[_LABEL] - n_labels, counts[_SAMPLE] - n_samples
                row[2], row[3] = said[0], said[1]
            counts[_SERIES] += 1
    return True
