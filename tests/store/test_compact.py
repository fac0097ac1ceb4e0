"""Compaction: fewer files, the same data; of two at once one wins; what may not be joined is left alone."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store import worlds
from workbench.signals import Batch, build_samples
from workbench.store import Store, compact, files, write

T0, S = worlds.T0, worlds.S
DAY = 86_400


def files_of(folder: Path) -> list[Path]:
    """The files of segments, rollups aside."""
    return [f for f in (folder / "segments").glob("**/*") if f.is_file() and "rollup" not in str(f.relative_to(folder))]


def live(store: Store, signal: str) -> int:
    return store.status()["signals"][signal]["segments"]


def test_all_signals_read_alike_before_and_after(tmp_path):
    with Store.open(tmp_path / "s") as store:
        for start in (0, 3, 100, 40, 7):
            store.write(worlds.everything(start))
            store.seal()
        samples, flame = store.select([]), worlds.flame(store.profiles())
        frames = {name: store.rows(name) for name in ("logs", "spans", "events")}
        assert store.compact(everything=True) == dict.fromkeys(("metrics", "logs", "spans", "profiles", "events"), 5)
        for signal in ("metrics", "logs", "spans", "profiles", "events"):
            assert live(store, signal) == 1
        worlds.assert_same_samples(store.select([]), samples)
        for name, frame in frames.items():
            pd.testing.assert_frame_equal(store.rows(name), frame)
        assert worlds.flame(store.profiles()) == flame
        assert store.verify() == []
        assert sum(store.compact(everything=True).values()) == 0, "there is nothing left to do"
        assert store.vacuum(grace_s=0) > 0
        assert len(files_of(tmp_path / "s")) == 7, "one file each, three for profiles"
        worlds.assert_same_samples(store.select([]), samples)


def test_days_end_at_midnight_and_a_large_write_is_cut_into_them(tmp_path):
    midnight = np.datetime64("2026-01-03", "ns")
    time = midnight + np.array([-DAY, -1, 0, 1, DAY, DAY + 1]) * S
    with Store.open(tmp_path / "s") as store:
        with patch.object(write, "_HOT_BYTES", 0):
            store.write(Batch(build_samples([{"metric": "m"}], np.zeros(6, int), time, np.arange(6.0))))
        assert live(store, "metrics") == 1
        store.compact()
        assert live(store, "metrics") == 4
        got = store.select([])
        assert got.value.tolist() == list(range(6))
        assert store.select([], midnight - S, midnight + S).value.tolist() == [1, 2]
        spans = [compact.day_of_sample(int(t)) for t in time.view(np.int64)]
        assert spans == [20454, 20455, 20455, 20456, 20456, 20457]


def test_an_open_day_waits_until_there_are_many_segments(tmp_path):
    now = np.datetime64("now", "ns")
    with Store.open(tmp_path / "s") as store:
        for i in range(9):
            store.write(Batch(build_samples([{"metric": "m"}], [0], [now + i * S], [float(i)])))
            replaced = store.compact()["metrics"]
            assert replaced == (8 if i == 7 else 0)
        assert store.compact(everything=True)["metrics"] == 2
        assert store.select([]).value.tolist() == list(range(9))


part = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=12)


@given(st.lists(st.tuples(part, st.sampled_from(["hot", "sealed", "direct", "compacted"])), min_size=1, max_size=6))
def test_the_latest_write_is_read_whatever_was_compacted_in_between(tmp_path_factory, parts):
    truth: dict[tuple[int, int], float] = {}
    number = 0
    with Store.open(tmp_path_factory.mktemp("compact") / "s") as store:
        for rows, how in parts:
            rows = list(dict.fromkeys(rows))
            values = np.arange(number, number + len(rows), dtype=float)
            number += len(rows)
            truth |= dict(zip(rows, values.tolist(), strict=True))
            which, when = (np.array(c) for c in zip(*rows, strict=True))
            labels = [{"metric": f"m{i}"} for i in range(3)]
            with patch.object(write, "_HOT_BYTES", 0 if how == "direct" else 2**24):
                store.write(Batch(build_samples(labels, which, T0 + when * 7200 * S, values)))
            if how == "sealed":
                store.seal()
            if how == "compacted":
                store.compact(everything=True)
        got = store.select([])
        hours = ((got.time - T0) / (7200 * S)).astype(int)
        names = got.labels["metric"].to_numpy(dtype=object)[got.series_of_sample()]
        assert {(int(n[1]), h): v for n, h, v in zip(names, hours.tolist(), got.value.tolist(), strict=True)} == truth


def test_parts_are_not_joined_over_a_write_between_them(tmp_path):
    """An unsealed row lies between two segments in the order of writes, and over both in time."""
    one = [{"metric": "m"}]
    with Store.open(tmp_path / "s") as store:
        with patch.object(write, "_HOT_BYTES", 0):
            store.write(Batch(build_samples(one, [0], [T0], [1.0])))
        store.write(Batch(build_samples(one, [0], [T0], [2.0])))
        with patch.object(write, "_HOT_BYTES", 0):
            store.write(Batch(build_samples(one, [0], [T0 + S], [3.0])))
        with patch.object(Store, "seal"):
            assert store.compact(everything=True)["metrics"] == 0
        assert store.select([]).value.tolist() == [2.0, 3.0]
        store.compact(everything=True)
        assert store.select([]).value.tolist() == [2.0, 3.0]
        assert live(store, "metrics") == 1


def test_of_two_that_compact_at_once_one_wins(tmp_path):
    with Store.open(tmp_path / "s") as store:
        for start in range(0, 60, 20):
            store.write(worlds.everything(start))
            store.seal()
        truth = store.select([])
        together = threading.Barrier(2)
        done: list[int] = []

        def work() -> None:
            with Store.open(tmp_path / "s") as mine:
                together.wait()
                done.append(sum(mine.compact(everything=True).values()))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(done) == 15
        worlds.assert_same_samples(store.select([]), truth)
        assert len(store.rows("logs")) == 3 * 50
        assert store.verify() == []
        store.vacuum(grace_s=0)
        assert len(files_of(tmp_path / "s")) == 7


def test_rows_of_other_types_are_left_apart(tmp_path):
    with Store.open(tmp_path / "s") as store:
        for values in ([1] * 4, ["x"] * 4):
            store.write(Batch(logs=worlds.logs(4, **{"code": values})))
            store.seal()
        before = store.rows("logs")
        assert store.compact(everything=True)["logs"] == 0
        pd.testing.assert_frame_equal(store.rows("logs"), before)


def test_a_damaged_segment_is_not_compacted_away(tmp_path):
    from workbench.errors import StoreError

    with Store.open(tmp_path / "s") as store:
        for start in (0, 20):
            store.write(Batch(worlds.samples(start=start)))
            store.seal()
        place = next((tmp_path / "s" / "segments" / "metrics").glob("**/*.parquet"))
        data = bytearray(place.read_bytes())
        at = data.find(b"PAR1", 4)
        data[at // 3] ^= 1
        for byte in range(4, at):
            data[byte] ^= 255
        place.write_bytes(data)
        with pytest.raises(StoreError, match="is damaged where it holds"):
            store.compact(everything=True)
        assert place.exists()
        assert live(store, "metrics") == 2


def test_a_retired_segment_stays_for_its_readers(tmp_path):
    with Store.open(tmp_path / "s") as store:
        for start in (0, 20):
            store.write(Batch(worlds.samples(start=start)))
            store.seal()
        store.compact(everything=True)
        assert store.vacuum() == 0
        assert files.GRACE_S >= 60
        assert len(list((tmp_path / "s" / "segments" / "metrics").glob("**/*.parquet"))) == 3
