"""Samples of one hot row: a lean payload without Arrow, and many rows at once as flat arrays.

A scrape is a thousand series with one instant, so what is written is the values, and little else: the instants once
when all series share them, the series numbers as differences, the whole packed by lz4. FORMAT.md draws the bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["MAGIC", "HotSamples", "pack_samples", "unpack_samples"]

_Ints = npt.NDArray[np.int64]

MAGIC = b"hot2"
"""First bytes of a payload; as a length of an Arrow payload's head they would be 845 MB."""

_HEAD = struct.Struct("<4sBBBB4xIIIqqq")
_LZ4 = pa.Codec("lz4_raw")
_SCALES = (10**9, 10**6, 10**3)
_LZ4_MOST = 255  # no lz4 block unpacks to more than this many times its size

_IDS = 2**22
_ids: dict[bytes, _Ints] = {}  # numbers of the targets read last: rows with equal ones share one array


@dataclass(frozen=True, eq=False)
class HotSamples:
    """Samples of n series as one write brought them.

    Attributes
    ----------
    rank : int
        The write's number, which decides between repetitions.
    ids : ndarray of int64, shape (n,)
        Series numbers, all different, in no order. Rows of the same target often share one array.
    each : int
        Samples of every series, or 0 when they differ.
    counts : ndarray of int64, shape (n,), or None
        Samples of each series when they differ.
    instants : ndarray of int64
        Shape (each,) when all series share them, else one per sample, ns; strictly increasing within a series.
    value : ndarray of float64, shape (m,)
    """

    rank: int
    ids: _Ints
    each: int
    counts: _Ints | None
    instants: _Ints
    value: npt.NDArray[np.float64]

    @property
    def shared(self) -> bool:
        """Whether all series have the same instants."""
        return len(self.instants) == self.each

    @cached_property
    def offsets(self) -> _Ints:
        """Series `i` owns samples `offsets[i]` to `offsets[i + 1]`; shape (n + 1,)."""
        if self.counts is None:
            return np.arange(len(self.ids) + 1, dtype=np.int64) * self.each
        offsets = np.zeros(len(self.ids) + 1, np.int64)
        np.cumsum(self.counts, out=offsets[1:])
        return offsets

    @cached_property
    def time(self) -> _Ints:
        """One instant per sample, ns; shape (m,)."""
        return np.tile(self.instants, len(self.ids)) if self.shared else self.instants

    @classmethod
    def of_table(cls, rank: int, table: pa.Table) -> HotSamples:
        """Return the samples of a format-1 payload: columns `series_id` and, as lists, `time` and `value`."""
        time, value = (pa.chunked_array(table[name].chunks).combine_chunks() for name in ("time", "value"))
        counts = np.diff(time.offsets.to_numpy()).astype(np.int64)
        return cls(
            rank, table["series_id"].to_numpy(), 0, counts, time.flatten().to_numpy(), value.flatten().to_numpy()
        )

    def to_table(self) -> pa.Table:
        """Return the table that `of_table` takes."""
        edges = pa.array(self.offsets.astype(np.int32))
        lists = {n: pa.ListArray.from_arrays(edges, pa.array(getattr(self, n))) for n in ("time", "value")}
        return pa.table({"series_id": self.ids, **lists})


def _narrow(values: _Ints, signed: bool) -> npt.NDArray[Any]:
    """Return whole numbers in the narrowest type that holds them."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    for bits in (8, 16, 32):
        if (signed and -(1 << bits - 1) <= low and high < 1 << bits - 1) or (not signed and high < 1 << bits):
            return values.astype(f"<{'i' if signed else 'u'}{bits // 8}")
    return values


def pack_samples(ids: _Ints, offsets: _Ints, time: _Ints, value: npt.NDArray[np.float64]) -> bytes:
    """Return the payload of some samples.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Series numbers, all different, each with at least one sample.
    offsets : ndarray of int64, shape (n + 1,)
        Series `i` owns samples `offsets[i]` to `offsets[i + 1]`, from 0 to m.
    time : ndarray of int64, shape (m,)
    value : ndarray of float64, shape (m,)
    """
    n, m = len(ids), len(value)
    counts, each = offsets[1:] - offsets[:-1], m // n
    even = m == n or (each * n == m and bool((counts == each).all()))
    shared = even and bool((time.reshape(n, each) == time[:each]).all())
    first = int(time[0]) if shared else int(time.min())
    alike = shared and each == 1
    since, scale = (None, _SCALES[0]) if alike else _scaled((time[:each] if shared else time) - first)
    steps = ids[1:] - ids[:-1]
    sections = (
        None if since is None or not since.any() else _narrow(since, signed=False),
        None if (steps == 1).all() else _narrow(steps, signed=True),
        None if even else _narrow(counts, signed=False),
    )
    body = b"".join([value.tobytes(), *(part.tobytes() for part in sections if part is not None)])
    widths = [0 if part is None else part.itemsize for part in sections]
    packed = _LZ4.compress(body, asbytes=True)
    lz4 = len(packed) < len(body)
    head = _HEAD.pack(MAGIC, shared | lz4 << 1, *widths, n, m, each if shared else 0, int(ids[0]), first, scale)
    return head + (packed if lz4 else body)


def _scaled(since: _Ints) -> tuple[_Ints, int]:
    """Return numbers divided by the largest power of a thousand up to 10^9 that divides all of them, and that."""
    for scale in _SCALES:
        whole = since // scale
        if (whole * scale == since).all():
            return whole, scale
    return since, 1


def unpack_samples(payload: bytes, rank: int) -> HotSamples:
    """Return the samples of a payload; arrays may be read-only and shared between rows.

    Raises
    ------
    ValueError
        If the bytes are no such payload.
    """
    try:
        magic, flags, *widths, n, m, each, first_id, first, scale = _HEAD.unpack_from(payload)
    except struct.error as error:
        raise ValueError("it is too short") from error
    shared = flags & 1
    sizes = (each if shared else m, n - 1, n)
    even = not widths[2]
    if magic != MAGIC or not 0 < n <= m or not {*widths} <= {0, 1, 2, 4, 8}:
        raise ValueError("its head makes no sense")
    if (shared and (each * n != m or not even)) or (even and m % n):
        raise ValueError("its head makes no sense")
    ends = list(accumulate(map(mul, sizes, widths), initial=8 * m))
    body = _body(payload, flags, ends[-1])
    value = np.frombuffer(body, "<f8", m)
    if widths[0]:
        instants = np.frombuffer(body, f"<u{widths[0]}", sizes[0], ends[0]).astype(np.int64) * scale + first
    else:
        instants = np.full(sizes[0], first, np.int64)
    ids = _numbers(bytes(body[ends[1] : ends[2]]), n, widths[1], first_id)
    if even:
        return HotSamples(rank, ids, m // n, None, instants, value)
    counts = np.frombuffer(body, f"<u{widths[2]}", n, ends[2]).astype(np.int64)
    if int(counts.sum()) != m or (counts < 1).any():
        raise ValueError("its counts do not add up")
    return HotSamples(rank, ids, 0, counts, instants, value)


def _body(payload: bytes, flags: int, length: int) -> Any:
    """Return what follows the head, unpacked; `length` is what the head says it is."""
    packed = memoryview(payload)[_HEAD.size :]
    if not flags & 2:
        if len(packed) != length:
            raise ValueError(f"it has {len(packed)} bytes where its head says {length}")
        return packed
    if length > _LZ4_MOST * len(packed):
        raise ValueError("its head says more than it can hold")
    try:
        return memoryview(_LZ4.decompress(packed, length))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it does not unpack ({error})") from error


def _numbers(packed: bytes, n: int, width: int, first: int) -> _Ints:
    """Return series numbers from their differences; equal ones are one read-only array."""
    key = packed + _HEAD.pack(MAGIC, 0, width, 0, 0, n, 0, 0, first, 0, 0)
    found = _ids.get(key)
    if found is None:
        steps = np.frombuffer(packed, f"<i{width}", n - 1) if width else np.ones(n - 1, np.int64)
        found = np.empty(n, np.int64)
        found[0] = first
        np.cumsum(steps, out=found[1:])
        found[1:] += first
        found.flags.writeable = False
        if len(_ids) * n >= _IDS:
            _ids.clear()
        _ids[key] = found
    return found
