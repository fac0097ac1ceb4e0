"""Native histograms as arrays: packed and unpacked, cut and joined, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ShapeError, WorkbenchError
from workbench.signals import Histogram, Histograms, concat_histograms, pack_histograms
from workbench.signals.histograms import CUSTOM, GAUGE, RESET, UNKNOWN

counts = st.integers(0, 9).map(float)
hints = st.sampled_from([UNKNOWN, RESET, GAUGE])
exponential = st.builds(
    Histogram, count=counts, sum=st.floats(-9, 9), schema=st.integers(-4, 8), zero_threshold=st.sampled_from([0.0, 0.01]),
    zero_count=counts, positive=st.dictionaries(st.integers(-900, 900), counts, max_size=5),
    negative=st.dictionaries(st.integers(-900, 900), counts, max_size=5), hint=hints,
)  # fmt: skip


@st.composite
def custom(draw: st.DrawFn) -> Histogram:
    bounds = tuple(sorted(draw(st.sets(st.sampled_from([-1.0, 0.5, 1.0, 2.0, 8.0])))))
    buckets = draw(st.dictionaries(st.integers(0, len(bounds)), counts))
    return Histogram(draw(counts), 3.0, CUSTOM, positive=buckets, bounds=bounds, hint=draw(hints))


several = st.lists(exponential | custom(), max_size=6)


def unpacked(pool: Histograms) -> list[Histogram]:
    return [pool.unpack(i) for i in range(len(pool))]


@settings(max_examples=40)
@given(several)
def test_what_is_packed_comes_out_again(histograms: list[Histogram]) -> None:
    pool = pack_histograms(histograms)
    assert unpacked(pool) == histograms
    for i in range(len(pool)):
        assert (np.diff(pool.key[pool.offsets[i] : pool.offsets[i + 1]]) > 0).all()
    assert len({tuple(bounds) for bounds in pool.bounds}) == len(pool.bounds)
    assert pool.owner().tolist() == [i for i, h in enumerate(histograms) for _ in [*h.positive, *h.negative]]


@settings(max_examples=40)
@given(several, several)
def test_joined_parts_are_the_parts(left: list[Histogram], right: list[Histogram]) -> None:
    both = concat_histograms([pack_histograms(left), pack_histograms(right), pack_histograms([])])
    assert unpacked(both) == left + right
    assert len({tuple(bounds) for bounds in both.bounds}) == len(both.bounds)


@settings(max_examples=40)
@given(several.filter(bool), st.data())
def test_rows_are_taken_in_any_order_and_number(histograms: list[Histogram], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(histograms) - 1), max_size=8))
    assert unpacked(pack_histograms(histograms).take(np.array(rows, np.int64))) == [histograms[i] for i in rows]


@settings(max_examples=40)
@given(several)
def test_compact_takes_out_only_empty_buckets(histograms: list[Histogram]) -> None:
    def full(h: Histogram) -> Histogram:
        kept = ({i: n for i, n in buckets.items() if n} for buckets in (h.positive, h.negative))
        return replace(h, **dict(zip(("positive", "negative"), kept, strict=True)))

    assert unpacked(pack_histograms(histograms).compact()) == [full(h) for h in histograms]


@pytest.mark.parametrize(
    ("histogram", "says"),
    [
        (Histogram(schema=9), "schema 9; known are -4 to 8 and -53"),
        (Histogram(schema=CUSTOM, bounds=(1.0, 1.0)), "must rise"),
        (Histogram(schema=CUSTOM, bounds=(1.0, math.nan)), "must rise"),
        (Histogram(schema=CUSTOM, bounds=(1.0,), positive={2: 1.0}), "outside them: [2]"),
        (Histogram(schema=CUSTOM, bounds=(1.0,), negative={0: 1.0}), "outside them"),
        (Histogram(positive={1 << 20: 1.0}), "beyond the largest number"),
    ],
)
def test_what_no_histogram_can_be_is_refused(histogram: Histogram, says: str) -> None:
    with pytest.raises(ShapeError) as caught:
        pack_histograms([Histogram(), histogram])
    assert says in str(caught.value)
    assert isinstance(caught.value, WorkbenchError)
