"""The byte loops over Prometheus' files, compiled. Import this inside the function that needs it.

Every kernel is given where its input ends and looks at nothing behind that; the arrays it fills were sized by a first
pass of the same kernel (with empty arrays), or by the fewest bytes that one entry takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled
from workbench.codecs.crc32c import crc32c
from workbench.codecs.xor_kernels import CUT, uvarint, varint

__all__ = [
    "frame_chunks",
    "scan_fragments",
    "scan_head_chunks",
    "scan_samples",
    "scan_series",
    "scan_symbols",
    "scan_texts",
]


@compiled
def _be32(data: Array, at: Any) -> Any:
    return (
        np.uint32(data[at]) << np.uint32(24)
        | np.uint32(data[at + 1]) << np.uint32(16)
        | np.uint32(data[at + 2]) << np.uint32(8)
        | np.uint32(data[at + 3])
    )


@compiled
def _be64(data: Array, at: Any) -> Any:
    return np.uint64(_be32(data, at)) << np.uint64(32) | np.uint64(_be32(data, at + 4))


@compiled
def scan_symbols(data: Array, at: Any, end: Any, begin: Array, size: Array) -> Any:
    """Fill in where each of the symbols of an index lies; return how many could be read."""
    for i in range(len(begin)):
        length, at = uvarint(data, at, end)
        if at == CUT or length > np.uint64(end - at):
            return i
        begin[i], size[i] = at, np.int64(length)
        at += np.int64(length)
    return len(begin)


@compiled
def scan_series(data: Array, at: Any, end: Any, n_symbols: Any, tables: Array, found: Array) -> Any:
    """Find the series entries of an index from byte `at`, a multiple of 16, to `end`, and check them.

    Where an entry is damaged the next one is looked for at every multiple of 16.

    Parameters
    ----------
    found : ndarray of int64, shape ((end - at) // 16 + 1, 4)
        Filled in with first byte and the byte behind the last of each entry, and the numbers of its labels and chunks.

    Returns
    -------
    tuple of two int
        Numbers of series and of damaged stretches.
    """
    n, damaged, lost = 0, 0, False
    none = np.empty((0, 3), np.int64)
    while at < end:
        length, place = uvarint(data, at, end)
        if place != CUT and length == 0:
            at += 16
            continue
        limit = np.uint64(65_536) if lost else np.uint64(2**28)
        good = place != CUT and length <= limit and length + np.uint64(4) <= np.uint64(end - place)
        if good:
            stop = place + np.int64(length)
            good = crc32c(data, place, stop, tables) == _be32(data, stop)
            if good:
                n_labels, n_chunks = _entry(data, place, stop, n_symbols, none, 0, none, 0)
                good = n_labels >= 0
        if not good:
            damaged += not lost
            lost = True
            at += 16
            continue
        lost = False
        found[n, 0], found[n, 1], found[n, 2], found[n, 3] = place, stop, n_labels, n_chunks
        n, at = n + 1, (stop + 4 + 15) & ~15
    return n, damaged


@compiled
def read_series(data: Array, found: Array, n_symbols: Any, labels: Array, chunks: Array) -> None:
    """Fill in what the entries say that `scan_series` found.

    Parameters
    ----------
    found : ndarray of int64, shape (n, 4)
    labels : ndarray of int64, shape (sum of the third column, 3)
        Filled in with the symbols of name and value.
    chunks : ndarray of int64, shape (sum of the fourth column, 3)
        Filled in with first and last time in ms, and reference.
    """
    label, chunk = 0, 0
    for i in range(len(found)):
        _entry(data, found[i, 0], found[i, 1], n_symbols, labels, label, chunks, chunk)
        label += found[i, 2]
        chunk += found[i, 3]


@compiled
def _entry(data: Array, at: Any, end: Any, n_symbols: Any, labels: Array, label: Any, chunks: Array, chunk: Any) -> Any:
    """Read one series entry, into arrays that are not empty; return its numbers of labels and chunks, or (CUT, CUT)."""
    bad = (CUT, CUT)
    n_labels, at = uvarint(data, at, end)
    if at == CUT or n_labels > np.uint64(end - at):
        return bad
    for i in range(np.int64(n_labels)):
        name, at = uvarint(data, at, end)
        if at == CUT:
            return bad
        value, at = uvarint(data, at, end)
        if at == CUT or name >= np.uint64(n_symbols) or value >= np.uint64(n_symbols):
            return bad
        if len(labels):
            labels[label + i, 0], labels[label + i, 1] = np.int64(name), np.int64(value)
    n_chunks, at = uvarint(data, at, end)
    if at == CUT or n_chunks > np.uint64(end - at):
        return bad
    low, high, ref = np.int64(0), np.int64(0), np.int64(0)
    for i in range(np.int64(n_chunks)):
        if i == 0:
            low, at = varint(data, at, end)
        else:
            step, at = uvarint(data, at, end)
            low = high + np.int64(step)
        if at == CUT:
            return bad
        span, at = uvarint(data, at, end)
        if at == CUT:
            return bad
        high = low + np.int64(span)
        if i == 0:
            first, at = uvarint(data, at, end)
            ref = np.int64(first)
        else:
            change, at = varint(data, at, end)
            ref += change
        if at == CUT:
            return bad
        if len(chunks):
            chunks[chunk + i, 0], chunks[chunk + i, 1], chunks[chunk + i, 2] = low, high, ref
    return (CUT, CUT) if at != end else (np.int64(n_labels), np.int64(n_chunks))


@compiled
def frame_chunks(data: Array, at: Array, end: Any, tables: Array, begin: Array, stop: Array, encoding: Array) -> None:
    """Find the data of the chunks that begin at some bytes of a segment file, and check them.

    Parameters
    ----------
    at : ndarray of int64, shape (k,), 0 <= at
        Where the lengths of the chunks stand.
    begin, stop : ndarray of int64, shape (k,)
        Filled in with where their data lie.
    encoding : ndarray of int64, shape (k,)
        Filled in with their encodings; -1 where one does not lie before `end`, -2 where its checksum is wrong.
    """
    for i in range(len(at)):
        encoding[i], begin[i], stop[i] = -1, 0, 0
        if at[i] >= end:
            continue
        length, place = uvarint(data, at[i], end)
        if place == CUT or end - place < 5 or length > np.uint64(end - place - 5):
            continue
        last = place + 1 + np.int64(length)
        if crc32c(data, place, last, tables) != _be32(data, last):
            encoding[i] = -2
            continue
        begin[i], stop[i], encoding[i] = place + 1, last, data[place]


@compiled
def scan_fragments(data: Array, at: Any, end: Any, tables: Array, found: Array) -> Any:
    """Read the fragments of records in a segment of a log, written in pages of 32 KiB.

    Parameters
    ----------
    found : ndarray of int64, shape (n, 3)
        Filled in with kind, first byte and the byte behind the last of each fragment.

    Returns
    -------
    tuple of three int
        How many fragments were read, the byte behind the last, and why reading stopped: 0 it did not, all is read, or
        `found` is full; 1 the rest is cut short; 2 a checksum is wrong; 3 a kind or a length that no fragment has.
    """
    n = 0
    while at < end:
        if n == len(found):
            return n, at, 0
        left = 32_768 - (at & 32_767)
        kind = np.int64(data[at])
        if kind == 0:
            stop = min(at + left, end)
            for i in range(at, stop):
                if data[i] != 0:
                    return n, at, 3
            at = stop
            continue
        if left < 7:
            return n, at, 3
        if end - at < 7:
            return n, at, 1
        length = np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
        if length > left - 7 or kind & 7 > 4 or kind & 7 == 0:
            return n, at, 3
        if length > end - at - 7:
            return n, at, 1
        if crc32c(data, at + 7, at + 7 + length, tables) != _be32(data, at + 3):
            return n, at, 2
        found[n, 0], found[n, 1], found[n, 2] = kind, at + 7, at + 7 + length
        n, at = n + 1, at + 7 + length
    return n, at, 0


@compiled
def scan_samples(data: Array, begin: Array, end: Array, refs: Array, times: Array, bits: Array, counts: Array) -> Any:
    """Read records of samples, version 1 and 2, of which start times are passed over; return how many were read.

    Parameters
    ----------
    begin, end : ndarray of int64, shape (r,)
        Where each record lies, its type included.
    refs, times : ndarray of int64, shape (m,)
    bits : ndarray of uint64, shape (m,)
        Of at least as many as `end - begin` hold at ten bytes each.
    counts : ndarray of int64, shape (r,)
        Filled in with how many each record gave, or -1 where it could not be read: then it gave none.
    """
    n = 0
    for record in range(len(begin)):
        at, stop, first = begin[record] + 1, end[record], n
        newer = data[begin[record]] == 11
        ref, base, time = np.int64(0), np.int64(0), np.int64(0)
        if not newer and stop - at >= 16:
            ref, base = np.int64(_be64(data, at)), np.int64(_be64(data, at + 8))
            at += 16
        elif not newer and stop - at > 0:
            at = CUT
        start = ref
        while at != CUT and at < stop:
            change, at = varint(data, at, stop)
            if at == CUT:
                break
            shift, at = varint(data, at, stop)
            if at == CUT:
                break
            if newer:
                ref = ref + change
                base, time = (shift, shift) if n == first else (base, base + shift)
                at = _start_time(data, at, stop, n == first)
            else:
                ref, time = start + change, base + shift
            if at == CUT or stop - at < 8:
                at = CUT
                break
            refs[n], times[n], bits[n] = ref, time, _be64(data, at)
            n, at = n + 1, at + 8
        counts[record] = n - first
        if at == CUT:
            counts[record], n = -1, first
    return n


@compiled
def _start_time(data: Array, at: Any, end: Any, first: Any) -> Any:
    """Return the byte behind a start time: a number, or a mark that says none, as before, or that a number follows."""
    if not first:
        if at >= end:
            return CUT
        at += 1
        if data[at - 1] < 2:
            return at
    _, at = varint(data, at, end)
    return at


@compiled
def scan_texts(data: Array, begin: Array, end: Array, series: Array, texts: Array) -> Any:
    """Read records of series of a log.

    Parameters
    ----------
    series : ndarray of int64, shape (s, 2) or (0, 2)
        Filled in with reference and number of labels.
    texts : ndarray of int64, shape (2 l, 2) or (0, 2)
        Filled in with first byte and length of name and value of each label.

    Returns
    -------
    tuple of three int
        Numbers of series and labels, and of records that could not be read to their ends.
    """
    n: Any = 0
    k: Any = 0
    broken: Any = 0
    for record in range(len(begin)):
        at, stop = begin[record] + 1, end[record]
        while at != CUT and at < stop:
            if stop - at < 8:
                at = CUT
                break
            ref = np.int64(_be64(data, at))
            said, at = uvarint(data, at + 8, stop)
            if at == CUT or said > np.uint64(stop - at):
                at = CUT
                break
            n_labels = np.int64(said)
            for i in range(2 * n_labels):
                size, at = uvarint(data, at, stop)
                if at == CUT or size > np.uint64(stop - at):
                    at = CUT
                    break
                if 2 * k + i < len(texts):  # of a series cut short some labels are read, and not counted
                    texts[2 * k + i, 0], texts[2 * k + i, 1] = at, np.int64(size)
                at += np.int64(size)
            if at == CUT:
                break
            if len(series):
                series[n, 0], series[n, 1] = ref, n_labels
            n, k = n + 1, k + n_labels
        broken += at == CUT
    return n, k, broken


@compiled
def scan_head_chunks(data: Array, at: Any, end: Any, tables: Array, found: Array) -> Any:
    """Read the chunks of one file of the head.

    Parameters
    ----------
    found : ndarray of int64, shape (n, 4)
        Filled in with series reference, encoding, first byte and the byte behind the last of the data; an encoding of
        -2 says that the checksum is wrong.

    Returns
    -------
    tuple of three int
        How many chunks were read, the byte behind the last, and whether that is not the end of what was written.
    """
    n = 0
    while n < len(found) and end - at >= 25:
        if _be64(data, at) == 0 and data[at + 24] == 0:
            break
        length, place = uvarint(data, at + 25, end)
        if place == CUT or end - place < 4 or length > np.uint64(end - place - 4):
            return n, at, True
        stop = place + np.int64(length)
        found[n, 0], found[n, 1] = np.int64(_be64(data, at)), np.int64(data[at + 24])
        found[n, 2], found[n, 3] = place, stop
        if crc32c(data, at, stop, tables) != _be32(data, stop):
            found[n, 1] = -2
        n, at = n + 1, stop + 4
    for i in range(at, end):
        if data[i] != 0:
            return n, at, n < len(found)
    return n, at, False
