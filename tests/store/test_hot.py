"""Hot rows of samples: what is packed comes back bit for bit, and many rows are one sorted whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.store import hot
from workbench.store.hot_flat import hot_flat
from workbench.store.hot_samples import HotSamples, pack_samples, unpack_samples

MAX = 9_214_646_400_000_000_000
T0 = 1_767_225_600_000_000_000
BITS = [
    0,
    1,
    1 << 63,
    0x7FF0000000000000,
    0xFFF0000000000000,
    0x7FF0000000000002,
    0x7FF8000000000001,
    0xFFF8000000000123,
]
instants = st.one_of(
    st.integers(0, 30),
    st.integers(0, 30).map(lambda k: T0 + k * 15_000_000_000),
    st.integers(0, 30).map(lambda k: T0 + k * 1_000_000),
    st.sampled_from([0, 1, MAX - 1]),
)
bits = st.one_of(st.sampled_from(BITS), st.integers(0, 2**64 - 1))
series = st.one_of(st.integers(1, 12), st.sampled_from([200, 40_000, 2**31, 2**40]))


@st.composite
def writes(draw, numbers=series):
    """A row of samples as (series, time, bits): each series its own instants, or all of them the same."""
    ids = draw(st.lists(numbers, min_size=1, max_size=8, unique=True))
    same = draw(st.one_of(st.none(), st.lists(instants, min_size=1, max_size=4, unique=True)))
    return [
        (number, time, draw(bits))
        for number in ids
        for time in sorted(same or draw(st.lists(instants, min_size=1, max_size=5, unique=True)))
    ]


def arrays(rows):
    ids = np.array(list(dict.fromkeys(r[0] for r in rows)), np.int64)
    offsets = np.concatenate([[0], np.cumsum([sum(r[0] == i for r in rows) for i in ids])]).astype(np.int64)
    time, value = np.array([r[1] for r in rows], np.int64), np.array([r[2] for r in rows], np.uint64).view(np.float64)
    return ids, offsets, time, value


def as_rows(samples):
    owner = np.repeat(samples.ids, np.diff(samples.offsets))
    return list(zip(owner.tolist(), samples.time.tolist(), samples.value.view(np.uint64).tolist(), strict=True))


@given(writes())
def test_what_is_packed_comes_back(rows):
    payload = pack_samples(*arrays(rows))
    got = hot.samples_of(payload, 7)
    assert as_rows(got) == rows
    assert got.rank == 7
    assert as_rows(HotSamples.of_table(7, hot.unpack(payload)["metrics"])) == rows


@given(writes())
def test_rows_of_the_first_format_are_read(rows):
    payload = hot.pack({"metrics": unpack_samples(pack_samples(*arrays(rows)), 0).to_table()})
    assert as_rows(hot.samples_of(payload, 3)) == rows


@given(st.lists(writes(st.integers(1, 12)), max_size=6), st.none() | st.sets(st.integers(1, 12)))
def test_many_rows_are_sorted_and_the_last_write_wins(story, chosen):
    ranked = list(enumerate(story, start=5))
    rows = [hot.samples_of(pack_samples(*arrays(rows)), rank) for rank, rows in reversed(ranked)]
    wanted = None
    if chosen is not None:
        wanted = np.isin(np.arange(13), list(chosen))
        ranked = [(rank, [r for r in rows if r[0] in chosen]) for rank, rows in ranked]
    got = hot_flat(rows, wanted)
    found = zip(*(a.tolist() for a in (got.series, got.time, got.value.view(np.uint64), got.rank)), strict=True)
    assert list(found) == naive.hot_samples(ranked)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.booleans(), st.integers(0, 2**32))
def test_scrapes_of_one_target_are_transposed(n, count, each, own, seed):
    """Enough rows for several tiles; some come late, some again."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(50)[:n].astype(np.int64) + 1
    story, rows = [], []
    for rank in range(count):
        start = (rank if rng.random() < 0.8 else int(rng.integers(0, count))) * each
        time = np.tile(T0 + np.arange(start, start + each) * 10**9, n)
        time = time + (np.repeat(rng.integers(0, 2, n), each) * 10**6 if own else 0)
        value = rng.normal(size=n * each)
        samples = unpack_samples(pack_samples(ids, np.arange(n + 1) * each, time, value), rank)
        story.append((rank, as_rows(samples)))
        rows.append(samples)
    assert len({id(row.ids) for row in rows}) == 1
    got = hot_flat(rows)
    found = zip(*(a.tolist() for a in (got.series, got.time, got.value.view(np.uint64), got.rank)), strict=True)
    assert list(found) == naive.hot_samples(story)


def test_no_rows_are_no_samples():
    assert [len(a) for a in hot_flat([])] == [0, 0, 0, 0]


def test_a_scrape_is_little_more_than_its_values():
    n = 1000
    ids, value = np.arange(n) + 70_000, np.random.default_rng(1).normal(size=n)
    payload = pack_samples(ids, np.arange(n + 1), np.full(n, T0), value)
    assert len(payload) <= 8 * n + 48
    assert not unpack_samples(payload, 1).value.flags.writeable


@given(writes(), st.data())
def test_bytes_that_are_no_payload_are_refused_and_never_read_beyond(rows, data):
    """The row's checksum comes first; this is what is left when that was made to match."""
    payload = bytearray(pack_samples(*arrays(rows)))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    for broken in (bytes(payload), cut):
        try:
            got = hot.samples_of(broken, 1)
        except ValueError:
            continue
        assert len(got.value) == len(got.time) == got.offsets[-1]
        assert len(got.ids) == len(got.offsets) - 1


@pytest.mark.parametrize("broken", [b"", b"hot2", b"\x02\x00\x00\x00{}", b"hot2" + bytes(44), b"hot2" + b"\xff" * 60])
def test_strange_payloads_are_refused(broken):
    with pytest.raises(ValueError, match=r"^its? "):
        hot.samples_of(broken, 1)
