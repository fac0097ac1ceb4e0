"""Sealing: of two at once one wins; runs never leap over an overlapping segment; leftovers are swept."""

from __future__ import annotations

import os
import time
from unittest.mock import patch

import numpy as np
import pytest

from tests.store import worlds
from workbench.signals import Batch, build_samples
from workbench.store import Store, seal, snapshot
from workbench.store import write as write_module


def test_two_that_seal_the_same_rows_neither_lose_nor_double(tmp_path):
    with Store.open(tmp_path / "s") as one, Store.open(tmp_path / "s") as two:
        one.write(worlds.everything())
        before = one.select([])
        real = seal._write

        def late(*arguments):
            made = real(*arguments)
            with patch.object(seal, "_write", real):
                two.seal()
            return made

        with patch.object(seal, "_write", late):
            assert set(one.seal().values()) == {0}
        worlds.assert_same_samples(one.select([]), before)
        assert len(one.rows("logs")) == 50
        assert len(list((tmp_path / "s").glob("segments/**/*.parquet"))) == 7, "the loser's files are removed"


def test_a_run_ends_where_an_overlapping_segment_was_written_in_between(tmp_path):
    def value(number, at=5):
        return Batch(build_samples([{"metric": "m"}], [0], np.array([at]), [number]))

    with Store.open(tmp_path / "s") as store:
        for number, hot_bytes in ((1.0, 2**24), (2.0, 0), (3.0, 2**24)):
            with patch.object(write_module, "_HOT_BYTES", hot_bytes):
                store.write(value(number, 7 if number == 3.0 else 5))
        store.write(value(4.0, 9))
        assert [len(run) for run in seal._runs(store._catalog, "metrics")] == [1, 2]
        store.seal()
        assert store.select([]).value.tolist() == [2.0, 3.0, 4.0]


def test_a_reader_with_an_old_snapshot_reads_again(tmp_path):
    with Store.open(tmp_path / "s") as store:
        store.write(worlds.everything())
        store.seal()
        place = next((tmp_path / "s").glob("segments/logs/**/*.parquet"))
        hidden = place.with_suffix(".hidden")
        place.rename(hidden)
        real = snapshot.take

        def restored(*arguments):
            if real(*arguments).segments and len(calls) == 1:
                hidden.rename(place)
            calls.append(1)
            return real(*arguments)

        calls: list[int] = []
        with patch("workbench.store.reader.take", restored):
            assert len(store.rows("logs")) == 50
        assert len(calls) == 2


def test_files_without_a_name_are_swept_when_old(tmp_path):
    with Store.open(tmp_path / "s") as store:
        store.write(worlds.everything())
        store.seal()
        folder = tmp_path / "s" / "segments" / "logs" / "2026-01-01"
        old, young = folder / "orphan-old.parquet", folder / "orphan-young.parquet"
        torn = tmp_path / "s" / "tmp" / "torn.parquet"
        for place in (old, young, torn):
            place.write_bytes(b"PAR1")
        past = time.time() - 10_000
        os.utime(old, (past, past))
        os.utime(torn, (past, past))
        store.seal()
        assert [p.exists() for p in (old, young, torn)] == [False, True, False]
        assert store.verify() == []
        assert len(store.rows("logs")) == 50


def test_retired_segments_go_after_the_grace_period(tmp_path):
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(logs=worlds.logs()))
        store.seal()
        place = next((tmp_path / "s").glob("segments/logs/**/*.parquet"))
        past = time.time() - 10_000
        os.utime(place, (past, past))
        for age, gone in ((0, False), (10_000, True)):
            with store._catalog.write() as connection:
                connection.execute("UPDATE segments SET retired = ?", (time.time_ns() - age * 10**9,))
            assert len(store.rows("logs")) == 0
            store.seal()
            assert place.exists() is not gone


@pytest.mark.parametrize("sealed", [False, True])
def test_sealing_gives_the_space_back(tmp_path, sealed, catalog):
    with Store.open(tmp_path / "s") as store:
        for k in range(5):
            store.write(Batch(worlds.samples(n=50, t=400, start=400 * k, seed=k)))
        if sealed:
            store.seal()
        index = store.status()["bytes"]["index"]
    limit = 200_000 if catalog == "sqlite" else 500_000  # a server's tables and indexes begin with larger pages
    assert (index < limit) is sealed or not sealed
