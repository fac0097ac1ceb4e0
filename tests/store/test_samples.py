"""Samples: what was written comes back bit for bit, hot or sealed, in any mixture of writes."""

from __future__ import annotations

import tempfile
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.store import worlds
from workbench.signals import Batch, Matcher, build_samples, check_samples
from workbench.store import Store
from workbench.store import write as write_module

SPECIAL = [
    0x7FF0000000000002,
    0x7FF8000000000001,
    0xFFF8000000000123,
    0x7FF0000000000000,
    1 << 63,
    0,
    1,
    0x3FF0000000000000,
]
sample = st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.sampled_from(SPECIAL))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hot"), st.lists(sample, max_size=12)),
        st.tuples(st.just("direct"), st.lists(sample, max_size=12)),
        st.tuples(st.just("seal"), st.just([])),
    ),
    max_size=7,
)


def as_batch(rows):
    names = sorted({r[0] for r in rows}) or ["a"]
    which = [names.index(r[0]) for r in rows]
    values = np.array([r[2] for r in rows], np.uint64).view(np.float64)
    return Batch(build_samples([{"metric": n} for n in names], which, np.array([r[1] for r in rows], np.int64), values))


@given(steps, st.integers(0, 6), st.integers(6, 13))
@settings(deadline=None, max_examples=60)
def test_any_mixture_of_writes_and_seals_reads_as_the_latest_write(story, start, end):
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        writes = []
        for what, rows in story:
            if what == "seal":
                store.seal()
                continue
            with patch.object(write_module, "_HOT_BYTES", 2**24 if what == "hot" else 0):
                store.write(as_batch(rows))
            writes.append(rows)
        got = check_samples(store.select([], np.datetime64(start, "ns"), np.datetime64(end, "ns")))
        owner = got.labels["metric"].to_numpy()[got.series_of_sample()]
        found: dict[str, dict[int, int]] = {}
        for label, time, bits in zip(
            owner, got.time.view(np.int64).tolist(), got.value.view(np.uint64).tolist(), strict=True
        ):
            found.setdefault(label, {})[time] = bits
        assert found == naive.stored_samples(writes, start, end)
        assert store.verify() == []


def test_hot_sealed_and_reopened_read_alike(tmp_path):
    store = Store.open(tmp_path / "s")
    for k in range(3):
        store.write(Batch(worlds.samples(n=7, t=40, start=30 * k, seed=k)))
    hot = store.select([])
    assert store.seal()["metrics"] == 7 * 100
    worlds.assert_same_samples(store.select([]), hot)
    store.close()
    with Store.open(tmp_path / "s", create=False) as again:
        worlds.assert_same_samples(again.select([]), hot)
        assert again.status()["bytes"]["hot"] == 0


def test_long_series_are_cut_into_chunks_that_share_timestamps(tmp_path):
    import pyarrow.parquet as pq

    given_samples = worlds.samples(n=6, t=5000)
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(given_samples))
        store.seal()
        worlds.assert_same_samples(store.select([]), given_samples)
        window = store.select([], worlds.T0 + 100 * worlds.S, worlds.T0 + 200 * worlds.S)
        expected = given_samples.between(worlds.T0 + 100 * worlds.S, worlds.T0 + 200 * worlds.S)
        worlds.assert_same_samples(window, expected)
    table = pq.read_table(next((tmp_path / "s" / "segments").glob("**/*.parquet")))
    assert len(table) == 6 * 3
    assert table["time_blob"].null_count == 6 * 3 - 3
    assert max(table["count"].to_pylist()) - min(table["count"].to_pylist()) <= 1


@pytest.mark.parametrize("sealed", [False, True])
def test_matchers_select_series(tmp_path, sealed):
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(worlds.samples(n=9)))
        if sealed:
            store.seal()
        for matchers, rows in (
            ([Matcher("service", "=", "s3")], ["s3"]),
            ([Matcher("service", "=~", "s[12]"), Matcher("metric", "!=", "m1")], ["s2"]),
            ([Matcher("absent", "=", "")], [f"s{i}" for i in range(9)]),
            ([Matcher("absent", "!=", "")], []),
            ([Matcher("absent", "=~", ".+")], []),
        ):
            assert store.select(matchers).labels.get("service", pd.Series(dtype="str")).tolist() == rows
        assert store.series([Matcher("service", "=", "s3")]).to_dict("records") == [
            {"metric": "m0", "service": "s3", "kind": "gauge", "unit": "1"}
        ]


def test_window_is_half_open_and_cuts_both_kinds(tmp_path):
    with Store.open(tmp_path / "s") as store:
        for k in (0, 1):
            store.write(Batch(worlds.samples(n=1, t=4, start=4 * k)))
            store.seal() if k == 0 else None
        got = store.select([], worlds.T0 + 30 * worlds.S, worlds.T0 + 90 * worlds.S)
        assert got.time.tolist() == (worlds.T0 + np.array([30, 45, 60, 75]) * worlds.S).tolist()


def test_kinds_and_units_learned_later_reach_other_handles(tmp_path):
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        rows = ([{"metric": "m"}], [0], np.array([1]), [1.0])
        one.write(Batch(build_samples(*rows)))
        assert two.series()[["kind", "unit"]].iloc[0].tolist() == ["unknown", ""]
        one.write(Batch(build_samples(*rows, ["counter"], ["By"])))
        one.write(Batch(build_samples(*rows)))
        assert two.series()[["kind", "unit"]].iloc[0].tolist() == ["counter", "By"]
        assert two.select([]).kind.tolist() == ["counter"]


def test_hostile_and_absent_labels_come_back(tmp_path):
    labels = [{"metric": "m", "who": text, f"name {i}'\"": "v", "kind": "k"} for i, text in enumerate(worlds.HOSTILE)]
    labels.append({"metric": ""})
    given_samples = build_samples(
        labels, range(len(labels)), np.full(len(labels), 5), np.arange(len(labels), dtype=float)
    )
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(given_samples))
        for _ in range(2):
            worlds.assert_same_samples(store.select([]), given_samples)
            for i, text in enumerate(worlds.HOSTILE[:-1]):
                assert store.select([Matcher("who", "=", text)]).value.tolist() == [i]
            store.seal()
        assert store.series()["kind_"].tolist() == ["k"] * len(worlds.HOSTILE) + [""]
        assert store.verify() == []


def test_series_without_samples_and_empty_batches_store_nothing(tmp_path):
    with Store.open(tmp_path / "s") as store:
        nothing = {"metrics": 0, "logs": 0, "spans": 0, "profiles": 0, "events": 0}
        assert store.write(Batch()) == nothing
        bare = build_samples([{"metric": "a"}, {"metric": "b"}], [1], np.array([5]), [1.0])
        assert store.write(Batch(bare))["metrics"] == 1
        assert store.select([]).labels["metric"].tolist() == ["b"]
        assert store.write(Batch(), key="k") == nothing
        assert store.has("k")


def test_many_small_writes_are_sealed_without_being_asked(tmp_path):
    from workbench.store import seal

    with patch.object(seal, "HOT_ROWS", 5), Store.open(tmp_path / "s") as store:
        for k in range(12):
            store.write(Batch(worlds.samples(n=2, t=3, start=3 * k)))
        assert store.status()["signals"]["metrics"]["segments"] == 2
        assert store.select([]).n_samples == 12 * 6


def test_threads_share_one_store(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with Store.open(tmp_path / "s") as store:

        def work(k):
            labels = [{"metric": "m", f"label{k}": str(i)} for i in range(20)]
            store.write(Batch(build_samples(labels, np.arange(20), np.full(20, k), np.full(20, float(k)))))
            if k % 5 == 0:
                store.seal()
            got = check_samples(store.select([Matcher(f"label{k}", "!=", "")]))
            assert got.value.tolist() == [float(k)] * 20
            return len(store.rows("logs"))

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(work, range(30))) == {0}
        assert store.select([]).n_samples == 600


def test_segments_are_plain_parquet_for_others(tmp_path):
    import duckdb

    with Store.open(tmp_path / "s") as store:
        store.write(Batch(worlds.samples(n=4, t=10)))
        store.seal()
    place = next((tmp_path / "s").glob("segments/**/*.parquet"))
    query = f"SELECT labels, kind, sum(count), max(t_max) FROM '{place}' GROUP BY ALL ORDER BY 1"
    rows = duckdb.sql(query).fetchall()
    last = int((worlds.T0 + 9 * 15 * worlds.S).astype(np.int64))
    assert rows[0] == ('{"metric":"m0","service":"s0"}', "gauge", 10, last)
    assert len(rows) == 4
