"""The label index: whatever was registered, folded and asked, it agrees with plain dictionaries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.benchmarks import bench_index
from tests.store import server, worlds
from workbench.errors import StoreError
from workbench.signals import Matcher, tables
from workbench.store import label_block, label_fold, label_known, label_pack, label_register
from workbench.store.catalog import Catalog, open_catalog
from workbench.store.series import (
    SeriesIndex,
    SeriesWriter,
    canonical,
    cardinality,
    count_series,
    fold,
    verify_series,
)


@contextmanager
def tiny():
    """Blocks, pieces and limits so small that a few series need many of them."""
    with ExitStack() as stack:
        for module, name, value in (
            (label_fold, "MOST", 11), (label_register, "FEW", 4), (label_pack, "_SMALL", 9), (label_pack, "_PIECE", 4),
            (label_pack, "_TEXT", 12), (label_pack, "_FEW_SERIES", 1), (label_block, "_FEW", 1), (label_block, "_SMALL", 3),
            (tables, "_MOST", 2),
        ):  # fmt: skip
            stack.enter_context(patch.object(module, name, value))
        yield


def table(rows) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    frame = pd.DataFrame([row[0] for row in rows], index=range(len(rows)), dtype=object).fillna("")
    return frame, np.array([row[1] for row in rows], object), np.array([row[2] for row in rows], object)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype("str")


def refreshed(catalog: Catalog, index: SeriesIndex | None = None) -> SeriesIndex:
    index = SeriesIndex(catalog) if index is None else index
    with catalog.read() as connection:
        index.refresh(connection)
    return index


def folded(catalog: Catalog, factor: int = 1) -> None:
    with catalog.write() as connection:
        fold(connection, factor=factor)


def sound(catalog: Catalog) -> list[str]:
    with catalog.read() as connection:
        return verify_series(connection)


def pods(n: int, start: int = 0) -> pd.DataFrame:
    number = np.arange(start, start + n)
    columns = {"metric": [f"m{i % 7}" for i in number], "pod": [f"pod-{i:06}" for i in number]}
    return pd.DataFrame({**columns, "zone": [("a", "b", "")[i % 3] for i in number]}).astype("str")


def about(n: int, kind: str = "gauge", unit: str = "1") -> tuple[np.ndarray, np.ndarray]:
    return np.full(n, kind, object), np.full(n, unit, object)


value = st.sampled_from(["", "a", "b", "aa", "ab", "b.", "a|b", "ä", "x" * 300, "a\x00b", "\U0001f600", '"', "a\n"])
name = st.sampled_from(["metric", "pod", "ö", "a\x00", "kind"])
# A process says the same of a series only once, so of several kinds that are claimed in turn any may be the last.
row = st.tuples(
    st.dictionaries(name, value, max_size=4), st.sampled_from(["unknown", "kä"]), st.sampled_from(["", "1"])
)
step = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 2), st.lists(row, max_size=9), st.booleans()),
    st.tuples(st.just("fold"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("refresh"), st.integers(0, 1)),
)
pattern = st.sampled_from(
    [
        "a",
        "a.*",
        "a|b",
        "ab?",
        "a\\|b",
        "b\\.",
        ".*b",
        "",
        "(?i)A",
        "aa|",
        "a+",
        "x.*",
        "[ab]",
        "a\\x00b",
        "a\\n",
        "ä.*",
        "b\\.?",
    ]
)
condition = st.one_of(
    st.tuples(name, st.sampled_from(["=", "!="]), value), st.tuples(name, st.sampled_from(["=~", "!~"]), pattern)
)


@given(st.lists(step, max_size=9), st.lists(st.lists(condition, max_size=3), min_size=1, max_size=5), st.data())
@settings(max_examples=120)
def test_any_story_of_writes_and_folds_agrees_with_dictionaries(story, questions, data):
    known: list[list] = []
    with tiny(), TemporaryDirectory() as folder:
        catalogs = [open_catalog(Path(folder)), open_catalog(Path(folder), create=False)]
        writers = [SeriesWriter(catalogs[0]), SeriesWriter(catalogs[1]), SeriesWriter(catalogs[0])]
        indexes = [SeriesIndex(catalog) for catalog in catalogs]
        for what, *rest in story:
            if what == "write":
                frame, kind, unit = table(rest[1])
                ids, kept = writers[rest[0]].resolve(as_text(frame) if rest[2] else frame, kind, unit)
                assert ids.tolist() == naive.register_series(known, rest[1])
                assert kept.all()
            elif what == "fold":
                folded(catalogs[rest[0]], rest[1])
            else:
                refreshed(catalogs[rest[0]], indexes[rest[0]])
            for index in indexes:  # one that looks at blocks folded away looks again by itself
                seen = index.size
                got = [
                    n for n in index.match([Matcher(*questions[0][0])] if questions[0] else []).tolist() if n <= seen
                ]
                assert got == [n for n in naive.match_series(known, questions[0][:1]) if n <= seen]
        for catalog, index in zip(catalogs, indexes, strict=True):
            check_all(refreshed(catalog, index), known, questions, data)
            check_all(refreshed(catalog), known, questions, data)
            assert sound(catalog) == []
            catalog.close()


def check_all(index: SeriesIndex, known, questions, data) -> None:
    assert index.size == len(known)
    for conditions in questions:
        got = index.match([Matcher(*c) for c in conditions])
        assert got.dtype == np.int64
        assert got.tolist() == naive.match_series(known, conditions)
    ids = np.array(data.draw(st.lists(st.integers(1, len(known)), max_size=12)) if known else [], np.int64)
    frame = index.frame(ids)
    have = sorted({n for i in ids for n in known[i - 1][0]} | {"metric"})
    assert frame.columns.tolist() == have
    assert set(frame.dtypes.astype(str)) == {"str"}
    assert frame.to_dict("records") == [{n: known[i - 1][0].get(n, "") for n in have} for i in ids]
    kind, unit = index.describe(ids)
    assert [*zip(kind, unit, strict=True)] == [tuple(known[i - 1][1:]) for i in ids]
    assert index.texts(ids) == [naive.canonical_labels(known[i - 1][0]) for i in ids]


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(tmp_path, request):
    (tmp_path / "s").mkdir()
    url = None if request.param == "sqlite" else server.start().url()
    one = open_catalog(tmp_path / "s", url=url)
    yield one
    one.close()


def test_a_table_given_again_is_known_and_a_changed_one_is_not(opened):
    writer, frame = SeriesWriter(opened), pods(50)
    said = about(50)
    first, _ = writer.resolve(frame, *said)
    with patch.object(label_known.Keyring, "labels", side_effect=AssertionError("looked at every label again")):
        assert writer.resolve(frame, *said)[0].tolist() == first.tolist()
        assert writer.resolve(frame.copy(deep=False), *map(np.copy, said))[0].tolist() == first.tolist()
        again = pd.DataFrame({name: ["".join(list(text)) for text in frame[name]] for name in frame}).astype("str")
        texts = [np.array(["".join(list(text)) for text in array], object) for array in said]
        assert writer.resolve(again, *texts)[0].tolist() == first.tolist()
    assert writer.resolve(frame.copy(), *said)[0].tolist() == first.tolist()
    frame.loc[3, "pod"] = "another"
    assert writer.resolve(frame, *said)[0].tolist() == [*range(1, 4), 51, *range(5, 51)]
    turned = frame[["pod", "metric", "zone"]].set_axis(["metric", "pod", "zone"], axis=1)
    assert (writer.resolve(turned, *said)[0] > 51).all()
    said[0][0] = "counter"
    writer.resolve(frame, *said)
    assert refreshed(opened).describe(np.array([1, 2]))[0].tolist() == ["counter", "gauge"]


def test_series_whose_keys_meet_are_told_apart_by_their_labels(opened):
    real = label_known.Keyring.lanes

    def crowded(self, name, values, n):
        out = real(self, name, values, n)
        out[0] &= np.uint64(1)
        return out

    with patch.object(label_known.Keyring, "lanes", crowded), tiny():
        for writer in (SeriesWriter(opened), SeriesWriter(opened)):
            for part in (slice(0, 30), slice(20, 60), slice(0, 60)):
                ids, _ = writer.resolve(pods(60).iloc[part], *about(part.stop - part.start))
                assert ids.tolist() == list(range(part.start + 1, part.stop + 1))
    assert refreshed(opened).frame(np.arange(1, 61)).to_dict("list") == pods(60)[["metric", "pod", "zone"]].to_dict(
        "list"
    )


def test_what_is_returned_may_be_changed_by_the_caller(opened):
    writer, frame = SeriesWriter(opened), pods(5)
    for _ in range(3):
        ids, _ = writer.resolve(frame, *about(5))
        assert ids.tolist() == [1, 2, 3, 4, 5]
        ids[:] = 7


def test_equal_labels_are_one_series_whatever_else_differs(opened):
    writer = SeriesWriter(opened)
    frame = pd.DataFrame({"metric": ["a", "a", "a"], "b": ["", None, np.nan], "c": [1, "1", 1]}, dtype=object)
    ids, _ = writer.resolve(frame, np.array(["unknown", "gauge", "unknown"], object), np.array(["", "", "s"], object))
    assert ids.tolist() == [1, 1, 1]
    index = refreshed(opened)
    assert index.describe(np.array([1]))[0].tolist() == ["gauge"]
    assert index.describe(np.array([1]))[1].tolist() == ["s"]
    assert index.frame(np.array([1])).to_dict("records") == [{"metric": "a", "c": "1"}]


def test_text_that_utf8_cannot_hold_is_written_out(opened):
    writer = SeriesWriter(opened)
    frame = pd.DataFrame({"metric": ["a\ud800", "a\\ud800", "b"], "x": ["", "", "\udc00"]}, dtype=object)
    said = np.array(["k\ud800"] * 3, object), np.array(["u\x00"] * 3, object)
    for _ in range(2):
        assert writer.resolve(frame, *said)[0].tolist() == [1, 1, 2]
        assert SeriesWriter(opened).resolve(frame, *said)[0].tolist() == [1, 1, 2]
        index = refreshed(opened)
        assert index.texts(np.array([1, 2])) == [canonical(frame)[1], canonical(frame)[2]]
        assert index.describe(np.array([2]))[0].tolist() == ["k\\ud800"]
        assert index.match([Matcher("metric", "=", "a\ud800")]).tolist() == []
        assert index.match([Matcher("metric", "=", "a\\ud800")]).tolist() == [1]
        folded(opened)


def test_hostile_text_survives_folding(opened):
    frame = pd.DataFrame({"who": worlds.HOSTILE, "name'\"": ["v"] * len(worlds.HOSTILE)})
    SeriesWriter(opened).resolve(frame, *about(len(frame)))
    folded(opened)
    index = refreshed(opened)
    everything = np.arange(1, len(frame) + 1)
    assert index.frame(everything)["who"].tolist() == worlds.HOSTILE
    for i, text in enumerate(worlds.HOSTILE, 1):
        assert index.match([Matcher("who", "=", text)]).tolist() == [i]
    assert sound(opened) == []


def test_kinds_and_units_of_folded_series_can_still_be_corrected(opened):
    frame = pods(30)
    writer = SeriesWriter(opened)
    writer.resolve(frame, *about(30, "unknown", ""))
    folded(opened)
    index, everything = refreshed(opened), np.arange(1, 31)
    assert set(index.describe(everything)[0]) == {"unknown"}
    writer.resolve(frame.iloc[10:20], *about(10, "counter", "By"))
    for _ in range(2):
        kind, unit = refreshed(opened, index).describe(everything)
        assert kind.tolist() == ["unknown"] * 10 + ["counter"] * 10 + ["unknown"] * 10
        assert unit.tolist() == [""] * 10 + ["By"] * 10 + [""] * 10
        assert index.frame(everything)["pod"].tolist() == frame["pod"].tolist()
        assert sound(opened) == []
        folded(opened)
    assert count(opened, "SELECT count(*) FROM recent") == 0
    SeriesWriter(opened).resolve(frame, *about(30, "unknown", ""))
    assert refreshed(opened).describe(everything)[0].tolist().count("counter") == 10


def count(catalog: Catalog, query: str) -> int:
    with catalog.read() as connection:
        return int(connection.execute(query).fetchone()[0])


def test_a_block_that_is_only_corrected_keeps_the_rows_of_its_labels(opened):
    with patch.object(label_pack, "_SMALL", 100), patch.object(label_pack, "_FEW_SERIES", 0):
        writer = SeriesWriter(opened)
        writer.resolve(pods(500), *about(500, "unknown", ""))
        folded(opened)
        before = count(opened, "SELECT count(*) FROM labels")
        writer.resolve(pods(3), *about(3, "counter"))
        last = count(opened, "SELECT max(id) FROM labels")
        folded(opened)
    assert count(opened, f"SELECT count(*) FROM labels WHERE id > {last}") <= 2
    assert count(opened, "SELECT count(*) FROM labels") <= before + 2
    assert refreshed(opened).describe(np.arange(1, 6))[0].tolist() == ["counter"] * 3 + ["unknown"] * 2
    assert sound(opened) == []


def test_many_small_registrations_leave_few_rows_and_few_blocks(opened):
    writer = SeriesWriter(opened)
    with patch.object(label_register, "FEW", 20):
        for k in range(60):
            writer.resolve(pods(7, 7 * k), *about(7))
    assert count(opened, "SELECT count(*) FROM recent") <= 20
    assert count(opened, "SELECT count(*) FROM labels WHERE id < 0") <= 12
    folded(opened)
    assert count(opened, "SELECT count(*) FROM labels") <= 2
    assert refreshed(opened).frame(np.arange(1, 421))["pod"].tolist() == pods(420)["pod"].tolist()


def test_a_batch_of_many_series_becomes_blocks_at_once(opened):
    with patch.object(label_fold, "MOST", 700):
        ids, _ = SeriesWriter(opened).resolve(pods(3000), *about(3000))
    assert ids.tolist() == list(range(1, 3001))
    assert count(opened, "SELECT count(*) FROM labels WHERE id < 0") == 5
    index = refreshed(opened)
    assert index.match([Matcher("pod", "=~", "pod-0007.*"), Matcher("zone", "!=", "")]).tolist() == [
        n for n in range(701, 801) if (n - 1) % 3 != 2
    ]
    assert sound(opened) == []


def test_writers_that_register_the_same_series_at_once_agree(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    open_catalog(folder).close()
    found: list[list[tuple[int, int]]] = [[] for _ in range(4)]

    def work(k: int) -> None:
        with closing(open_catalog(folder)) as mine:  # a connection of its own, as another process has
            writer = SeriesWriter(mine)
            for part in np.array_split(np.random.default_rng(k).permutation(200), 8):
                ids, _ = writer.resolve(pods(200).iloc[part], *about(len(part)))
                found[k] += zip(part.tolist(), ids.tolist(), strict=True)

    with patch.object(label_register, "FEW", 30), ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len({tuple(sorted(pairs)) for pairs in found}) == 1
    assert sorted(number for _, number in found[0]) == list(range(1, 201))
    with closing(open_catalog(folder)) as one:
        assert sound(one) == []


PROCESS = """
import sys, pathlib, numpy as np, pandas as pd
from workbench.store.catalog import open_catalog
from workbench.store.series import SeriesIndex, SeriesWriter, fold
seed, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
catalog = open_catalog(folder)
writer, out = SeriesWriter(catalog), []
for part in np.array_split(np.random.default_rng(seed).permutation(3000), 6):
    frame = pd.DataFrame({"metric": [f"m{i % 7}" for i in part], "pod": [f"pod-{i}" for i in part]})
    ids, _ = writer.resolve(frame, np.full(len(part), "gauge", object), np.full(len(part), "", object))
    out += [f"{i} {n}" for i, n in zip(part, ids)]
    with catalog.write() as connection:
        fold(connection)
print(*sorted(out), sep=chr(10))
"""


def test_processes_that_register_and_fold_at_once_agree(tmp_path):
    (tmp_path / "s").mkdir()
    command = [sys.executable, "-c", PROCESS]
    running = [
        subprocess.Popen([*command, str(k), str(tmp_path / "s")], stdout=subprocess.PIPE, text=True) for k in range(2)
    ]
    told = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert told[0] == told[1]
    assert sorted(int(line.split()[1]) for line in told[0].split("\n") if line) == list(range(1, 3001))
    with closing(open_catalog(tmp_path / "s")) as one:
        assert sound(one) == []


def test_registration_that_cannot_be_committed_leaves_nothing_behind(opened):
    writer = SeriesWriter(opened)
    writer.resolve(pods(5), *about(5))
    for few in (1024, 2):
        with (
            patch.object(label_register, "FEW", few),
            patch.object(type(opened), "_commit", side_effect=StoreError("the disk is full.")),
            pytest.raises(StoreError, match="full"),
        ):
            writer.resolve(pods(20), *about(20))
    assert refreshed(opened).size == 5
    other = pd.DataFrame({"metric": ["other"]})
    assert writer.resolve(other, *about(1))[0].tolist() == [6]
    assert writer.resolve(pods(20), *about(20))[0].tolist() == [*range(1, 6), *range(7, 22)]
    assert sound(opened) == []


def test_a_source_cannot_register_more_than_its_limit(opened):
    writer = SeriesWriter(opened)
    ids, kept = writer.resolve(pods(4), *about(4), source="good", limit=5)
    ids, kept = writer.resolve(pods(8), *about(8), source="bomb\x00", limit=5)
    assert ids.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    ids, kept = writer.resolve(pods(12), *about(12), source="bomb\x00", limit=5)
    assert ids.tolist() == [*range(1, 10), -1, -1, -1]
    assert kept.tolist() == [True] * 9 + [False] * 3
    ids, _ = SeriesWriter(opened).resolve(pods(3, 20), *about(3), source="bomb\x00", limit=5)
    assert ids.tolist() == [-1, -1, -1]
    assert writer.resolve(pods(9), *about(9), source="bomb\x00", limit=5)[0].tolist() == list(range(1, 10))
    with opened.read() as connection:
        told = {"good": {"series": 4, "refused": 0}, "bomb\x00": {"series": 5, "refused": 6}}
        assert cardinality(connection) == told
        assert count_series(connection) == 9
    assert writer.resolve(pods(3, 20), *about(3))[0].tolist() == [10, 11, 12]
    assert sound(opened) == []


def test_the_limit_comes_from_the_settings(opened, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STORE_MAX_SERIES_PER_SOURCE", "2")
    assert SeriesWriter(opened).resolve(pods(3), *about(3), source="s")[0].tolist() == [1, 2, -1]


def test_an_index_without_a_catalog_reads_everything_at_once(opened):
    with tiny():
        SeriesWriter(opened).resolve(pods(30), *about(30))
        index = SeriesIndex()
        with opened.read() as connection:
            index.refresh(connection)
            assert index.match([Matcher("pod", "=", "pod-000007")]).tolist() == [8]


def test_reading_an_index_of_many_series_touches_what_is_asked_for_only(opened):
    SeriesWriter(opened).resolve(pods(80_000), *about(80_000))
    read: list[str] = []
    real = label_block.Stored._raw

    def spied(self, place, wanted, keep=True):
        read.append(self._entry.name)
        return real(self, place, wanted, keep)

    index = refreshed(opened)
    with patch.object(label_block.Stored, "_raw", spied):
        assert len(index.match([Matcher("zone", "=", "a")])) == 26_667
        assert set(read) == {"zone"}
        assert index.match([Matcher("pod", "=", "pod-000123")]).tolist() == [124]


@pytest.mark.parametrize("folder", ["store-1"])
def test_a_store_of_format_1_keeps_its_series(tmp_path, folder):
    golden = Path(__file__).parents[1] / "golden" / folder
    shutil.copytree(golden, tmp_path / "s")
    import sqlite3

    old = sqlite3.connect(tmp_path / "s" / "catalog.sqlite")
    rows = old.execute("SELECT id, labels, kind, unit FROM series ORDER BY id").fetchall()
    old.close()
    catalog = open_catalog(tmp_path / "s", create=False)
    index = refreshed(catalog)
    ids = np.array([r[0] for r in rows])
    assert index.texts(ids) == [r[1] for r in rows]
    assert [*zip(*index.describe(ids), strict=True)] == [r[2:] for r in rows]
    assert sound(catalog) == []
    assert count(catalog, "SELECT count(*) FROM sqlite_master WHERE name IN ('series', 'pairs', 'postings')") == 0
    new, _ = SeriesWriter(catalog).resolve(index.frame(ids), *index.describe(ids))
    assert new.tolist() == ids.tolist()
    catalog.close()


@pytest.mark.slow
def test_the_measurements_of_the_index_run(tmp_path):
    found = bench_index.run(bench_index.options(["--series", "3000", "--batch", "1000", "--best", "1"]), tmp_path)
    assert found["bytes"] < 60 * 3000
    assert "labels of 1,000 anywhere" in bench_index.report(found)
