"""Records of native histograms in a log: what was written is what is read, and any bytes are a record or are counted."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.test_remote_write_histograms import whole
from tests.sources.tsdb_files import uvarint, varint
from tests.store.native_strategies import histograms, said
from workbench.signals import Histogram
from workbench.signals.histograms import CUSTOM, check_histograms
from workbench.sources.tsdb.histograms import logged


def be(value: float) -> bytes:
    return struct.pack(">d", value)


def runs(cells: dict[int, float]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    last = 0
    for i in sorted(cells):
        if found and i == last:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((i - last, 1))
        last = i + 1
    return found


def body(h: Histogram, *, floats: bool) -> bytes:
    def number(value: float) -> bytes:
        return be(value) if floats else uvarint(int(value))

    out = bytes([h.hint]) + varint(h.schema) + be(h.zero_threshold) + number(h.zero_count) + number(h.count) + be(h.sum)
    for side in (h.positive, h.negative):
        spans = runs(side)
        out += uvarint(len(spans)) + b"".join(varint(offset) + uvarint(n) for offset, n in spans)
    for side in (h.positive, h.negative):
        values = [side[i] for i in sorted(side)]
        steps = [int(b) - int(a) for a, b in zip([0, *values], values, strict=False)] if not floats else []
        out += uvarint(len(values)) + b"".join(map(be, values) if floats else map(varint, steps))
    if h.schema == CUSTOM:
        out += uvarint(len(h.bounds)) + b"".join(map(be, h.bounds))
    return out


Point = tuple[int, int, Histogram]


def record(points: list[Point], *, floats: bool, newer: bool) -> bytes:
    """A record of samples (reference, ms, histogram): of version 2, or of the kinds before it."""
    if newer:
        out, ref, at = bytes([13 if floats else 12]), 0, 0
        for i, (r, t, h) in enumerate(points):
            out += varint(r - ref) + varint(t - at)
            out += varint(5) if i == 0 else [b"\x00", b"\x01", b"\x02" + varint(-3)][i % 3]
            out += body(h, floats=floats)
            ref, at = r, t
        return out
    kind = (10 if floats else 9) if any(h.schema == CUSTOM for _, _, h in points) else (8 if floats else 7)
    first = points[0]
    out = bytes([kind]) + first[0].to_bytes(8, "big") + first[1].to_bytes(8, "big", signed=True)
    return out + b"".join(varint(r - first[0]) + varint(t - first[1]) + body(h, floats=floats) for r, t, h in points)


def points(one: st.SearchStrategy[Histogram]) -> st.SearchStrategy[list[Point]]:
    return st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**42), one), min_size=1, max_size=3)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(points(whole()), st.just(False)) | st.tuples(points(histograms()), st.just(True)), max_size=4),
    st.booleans(),
)
def test_records_say_what_was_written(parts: list[tuple[list[Point], bool]], newer: bool) -> None:
    skips: Counter[str] = Counter()
    refs, time_ms, pool = logged([record(found, floats=floats, newer=newer) for found, floats in parts], skips)
    want = [point for found, _ in parts for point in found]
    assert not skips
    assert list(zip(refs.tolist(), time_ms.tolist(), strict=True)) == [(r, t) for r, t, _ in want]
    got = [said(check_histograms(pool).unpack(i)) for i in range(len(pool))]
    assert got == [said(h) for _, _, h in want]


@settings(max_examples=150)
@given(points(whole()), st.data())
def test_a_damaged_record_gives_nothing_or_what_fits(found: list[Point], data: st.DataObject) -> None:
    sound = record([(1, 1, replace(found[0][2], hint=0))], floats=False, newer=False)
    hurt = bytearray(record(found, floats=data.draw(st.booleans()), newer=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(0, 3))):
        hurt[data.draw(st.integers(1, len(hurt) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(1, len(hurt)))
    skips: Counter[str] = Counter()
    refs, _, pool = logged([sound, bytes(hurt[:end]), sound], skips)
    check_histograms(pool)
    assert (refs[0], refs[-1]) == (1, 1)
    assert said(pool.unpack(0)) == said(pool.unpack(len(pool) - 1))
    assert np.abs(pool.key).max(initial=0) < 2**21
