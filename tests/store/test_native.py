"""Native histograms in the store: written, sealed, joined, moved and read back to the bit, whole or not at all."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store import native_strategies as native
from tests.store.worlds import T0, S
from workbench.errors import LimitExceeded, ShapeError, StoreError, WorkbenchWarning
from workbench.query.promql import evaluate
from workbench.query.promql.evaluate import Limits
from workbench.signals import Batch, Histogram, Matcher, build_samples, pack_histograms
from workbench.store import Store
from workbench.store.native import MOST, PART, TOO_LARGE, shred
from workbench.store.native_join import join


@given(native.points())
def test_what_is_shredded_is_joined_again(points):
    given = native.samples_of(points)
    made = shred(given)
    assert native.told(join(made.samples)) == native.told(given)
    assert made.left_out == 0
    assert (made.owner[: len(given)] == np.arange(len(given))).all()


@settings(max_examples=30)
@given(
    st.lists(native.points(), min_size=1, max_size=4), st.lists(st.sampled_from(["", "seal", "compact"]), min_size=4)
)
def test_the_last_write_of_an_instant_is_read_whole(tmp_path_factory, writes, steps):
    want = {}
    with Store.open(tmp_path_factory.mktemp("native") / "s") as store:
        for points, step in zip(writes, steps, strict=False):
            store.write(Batch(native.samples_of(points)))
            want |= points
            if step:
                (store.seal if step == "seal" else lambda: store.compact(everything=True))()
        assert native.told(store.select([])) == native.told(native.samples_of(want))
        assert store.verify() == []


H = [Matcher("metric", "=", "h")]
END = T0 + 1000 * S


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "s") as opened:
        yield opened


def test_parts_are_nobodys_to_see(store):
    given = native.growing()
    numbers = build_samples([{"metric": "x", "job": "j0"}], [0], [T0], [4.0])
    store.write(Batch(given))
    store.write(Batch(numbers))
    for _ in range(2):
        assert store.series()[["metric", "job"]].values.tolist() == [["h", "j0"], ["h", "j1"], ["x", "j0"]]
        assert PART not in store.series().columns
        assert PART not in store.select([]).labels.columns
        assert store.select(H).kind.tolist() == ["histogram", "histogram"]
        for op, value in (("=~", ".+"), ("=", "h0"), ("!=", "")):
            assert len(store.select([Matcher(PART, op, value)])) == 0
        assert native.told(store.select([*H, Matcher(PART, "=", "")])) == native.told(given)
        array = store.array([], T0, END, "15s")
        assert array["metric"].values.tolist() == ["x"]
        assert store.rollup([], "max", T0, END, "60s")["metric"].values.tolist() == ["x"]
        store.compact(everything=True)
    assert store.status()["rollups"]["rows"] > 0


def test_count_is_what_select_reads_at_least(store):
    given = native.growing(series=3)
    store.write(Batch(given))
    store.write(Batch(build_samples([{"metric": "x"}], [0, 0], [T0, T0 + 600 * S], [4.0, 5.0])))
    for _ in range(3):
        for low, high in ((None, None), (T0, T0 + 300 * S), (T0 + 590 * S, T0 + 600 * S), (T0 - 9 * S, T0)):
            found, (series, samples) = store.select([], low, high), store.count([], low, high)
            assert series >= len(found)
            words = 0
            if found.row is not None:
                pool = found.histograms.take(found.row[found.row >= 0])
                words = 6 * len(pool) + len(pool.key)
            assert samples >= found.n_samples + words
        assert store.count([Matcher("metric", "=", "x")], T0, T0 + 600 * S) == (1, 1)
        assert store.count(H)[0] == 3
        assert store.count([Matcher("metric", "=", "nothing")]) == (0, 0)
        store.compact(everything=True)


def test_what_would_be_too_much_is_not_read(store, monkeypatch):
    store.write(Batch(native.growing()))
    store.seal()
    monkeypatch.setattr("workbench.store.reader.gather", None)
    with pytest.raises(LimitExceeded, match="2 series"):
        evaluate(store, "h", T0, T0, S, limits=Limits(1, 10**9))
    with pytest.raises(LimitExceeded, match=r"\d+ samples; at most 100"):
        evaluate(store, "rate(h[5m])", T0 + 300 * S, T0 + 300 * S, S, limits=Limits(10, 100))


def test_a_source_at_its_limit_loses_whole_histograms(store, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STORE_MAX_SERIES_PER_SOURCE", "25")
    pool = [Histogram(9.0, 2.0, 0, 0.0, 0.0, dict.fromkeys(range(9), 1.0))] * 2
    labels = [{"metric": "h", "job": f"j{i}"} for i in range(3)]
    given = build_samples(
        labels,
        [0, 1, 2, 2],
        [T0, T0, T0, T0 + S],
        [0.0, 0.0, 1.0, 2.0],
        row=[0, 1, -1, -1],
        histograms=pack_histograms(pool),
    )
    batch = Batch(given)
    assert store.write(batch, source="s")["metrics"] == 3
    assert sum(batch.skips.values()) == 1
    got = store.select([])
    assert got.labels["job"].tolist() == ["j0", "j2"]
    assert native.told(got) == native.told(given.take(np.array([0, 2])))


def test_what_is_too_large_is_counted_and_left_out(store):
    pool = [
        Histogram(1.0, 2.0, 0, 0.0, 0.0, {1: 1.0}),
        Histogram(1.0, 2.0, 0, 0.0, 0.0, dict.fromkeys(range(MOST + 1), 1.0)),
    ]
    labels = [{"metric": "h"}, {"metric": "i"}]
    batch = Batch(build_samples(labels, [0, 1], [T0, T0], [0.0, 0.0], row=[0, 1], histograms=pack_histograms(pool)))
    assert store.write(batch)["metrics"] == 1
    assert batch.skips == {TOO_LARGE: 1}
    assert store.select([]).labels["metric"].tolist() == ["h"]


def test_the_label_of_parts_is_refused(store):
    with pytest.raises(ShapeError, match=PART):
        store.write(Batch(build_samples([{"metric": "h", PART: "h0"}], [0], [T0], [1.0])))


def test_a_large_batch_goes_straight_to_a_segment(store, monkeypatch):
    monkeypatch.setattr("workbench.store.write._HOT_BYTES", 1000)
    given = native.growing()
    assert store.write(Batch(given))["metrics"] == given.n_samples
    assert store.status()["bytes"]["hot"] == 0
    assert native.told(store.select([])) == native.told(given)


def test_a_damaged_chunk_costs_whole_histograms(store):
    """Every blob of the segment, one after the other: what is read is as it was, what is not is gone whole."""
    given = native.growing(n=12, series=1)
    store.write(Batch(given))
    store.seal()
    want = native.told(given)
    (path,) = store.path.glob("segments/metrics/*/*.parquet")
    sound = path.read_bytes()
    with Store.open(store.path) as fresh:
        (_, chunks), *_ = fresh._reader.plan([], 0, 2**62).chunks
    seen = set()
    for offset in chunks.index.offset.tolist():
        path.write_bytes(sound[:offset] + bytes([sound[offset] ^ 64]) + sound[offset + 1 :])
        with Store.open(store.path) as fresh:
            with pytest.raises(StoreError, match="is damaged where it holds"):
                fresh.select([])
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                got = native.told(fresh.select([], damaged="skip"))
        assert [item for item in want if item in got] == got
        assert len(got) < len(want)
        assert any(issubclass(w.category, WorkbenchWarning) for w in told)
        seen.add(len(got))
    assert max(seen) > 0, "later buckets are in few of the histograms"
    path.write_bytes(sound)


def test_a_lost_catalog_is_rebuilt_with_its_histograms(tmp_path):
    given = native.growing()
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(given))
        store.seal()
    (tmp_path / "s" / "catalog.sqlite").unlink()
    assert Store.rebuild(tmp_path / "s")["lost"] == []
    with Store.open(tmp_path / "s") as store:
        assert native.told(store.select([])) == native.told(given)
        assert len(store.series()) == 2


def test_cold_histograms_are_read_by_url(tmp_path):
    given = native.growing()
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(given))
        store.tier((tmp_path / "cold").as_uri(), now="2027-01-01")
        assert store.status()["bytes"]["cold"] > 0
        assert native.told(store.select([])) == native.told(given)
    with Store.open((tmp_path / "cold").as_uri()) as elsewhere:
        assert native.told(elsewhere.select([])) == native.told(given)


def test_dense_histograms_are_small(store):
    """Of a histogram of some forty buckets that rise, a bucket takes less than a byte."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (1000, 40)).cumsum(axis=0).astype(float)
    pool = [
        Histogram(float(row.sum()), float(row.sum()), 3, 1e-128, 0.0, dict(enumerate(row.tolist()))) for row in counts
    ]
    time = T0 + np.arange(1000) * 15 * S
    given = build_samples(
        [{"metric": "h"}],
        np.zeros(1000, int),
        time,
        np.zeros(1000),
        row=np.arange(1000),
        histograms=pack_histograms(pool),
    )
    store.write(Batch(given))
    store.compact(everything=True)
    assert store.status()["signals"]["metrics"]["bytes"] < 40_000
    assert native.told(store.select([])) == native.told(given)


def test_a_histogram_that_lacks_a_part_is_left_out_with_a_warning():
    given = native.growing(n=6, series=1)
    made = shred(given).samples
    want = native.told(given)
    for series in range(1, len(made)):
        keep = np.ones(made.n_samples, bool)
        keep[made.offsets[series]] = False  # the first number of this part
        offsets = np.append(0, np.cumsum(keep))[made.offsets]
        less = replace(made, offsets=offsets, time=made.time[keep], value=made.value[keep])
        with pytest.warns(WorkbenchWarning, match="1 native histograms lack some of their numbers"):
            got = native.told(join(less))
        gone = [item for item in want if item not in got]
        assert len(gone) == 1
        assert gone[0][1] == int(made.time[made.offsets[series]].view(np.int64))
