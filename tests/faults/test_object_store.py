"""The cold tier on a server process that speaks S3 and fails by a seeded plan: nothing lost, nothing made up."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults import cold
from tests.faults.harness import Nursery, Process
from tests.faults.s3 import Server
from workbench.errors import StoreError
from workbench.signals import Matcher
from workbench.store import tier
from workbench.store.blocks import BLOCK, BlockCache
from workbench.store.buckets import ObstoreBucket
from workbench.store.catalog import open_catalog
from workbench.store.places import Folder, Gone
from workbench.store.publish import open_url, publish
from workbench.store.reader import Reader
from workbench.store.remote import Remote, Unavailable
from workbench.testing import check_tier

DATA = np.random.default_rng(5).bytes(5 * BLOCK + 12_345)
Starter = Callable[..., Process]
QUICK = {"tries": 8, "wait_s": 0.002}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"{server.bucket()}/store"


def test_put_is_only_if_absent_and_everything_comes_back(url: str, server: Server, tmp_path: Path) -> None:
    place = Remote(url, BlockCache(tmp_path, 2**30), **QUICK)
    assert place.put("segments/a.parquet", DATA)
    assert not place.put("segments/a.parquet", b"another")
    assert place.size("segments/a.parquet") == len(DATA)
    assert place.size("segments/b.parquet") is None
    assert place.list("segments/") == ["segments/a.parquet"]
    assert place.list("other/") == []
    assert place.fetch("segments/a.parquet") == DATA
    with place.open("segments/a.parquet") as stream:
        stream.seek(-100, 2)
        assert stream.read() == DATA[-100:]
    place.delete("segments/a.parquet")
    place.delete("segments/a.parquet")
    with pytest.raises(Gone):
        place.fetch("segments/a.parquet")


def test_the_bucket_keeps_the_contract_of_tiers(url: str) -> None:
    check_tier(ObstoreBucket, url)


def test_the_condition_is_the_servers_own(url: str, server: Server) -> None:
    """Of many that put one name at once exactly one is told that it wrote."""
    wrote = []
    work = [
        threading.Thread(target=lambda i=i: wrote.append(Remote(url, **QUICK).put("x", b"%d" % i))) for i in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(wrote) == [False] * 7 + [True]
    assert server.seen()["methods"]["PUT"] == 8


@pytest.mark.parametrize("fault", ["error", "lost", "cut", "short", "slow"])
def test_a_server_that_always_fails_is_asked_a_bounded_number_of_times(url: str, server: Server, fault: str) -> None:
    place = Remote(url, bucket=ObstoreBucket(url, silent_s=0.2), tries=4, wait_s=0.002)
    place.put("x", DATA)
    server.plan(**{fault: 1.0}, slow_s=0.5)
    with pytest.raises(Unavailable, match=r"4 tries.*try again later") as caught:
        place.read("x", [(10, 1000)])
    assert caught.value.retryable
    assert place.requests == 1 + 4
    assert server.seen()["methods"] == {"GET": 4}


def test_a_storm_that_ends_is_waited_out(url: str, server: Server) -> None:
    place = Remote(url, **QUICK)
    place.put("x", DATA)
    server.plan(first=6)
    assert place.read("x", [(0, 10)]) == [DATA[:10]]
    assert server.seen()["methods"] == {"GET": 7}


def test_what_is_refused_is_not_asked_again(url: str, server: Server) -> None:
    place = Remote("s3://no-such-bucket-anywhere", **QUICK)
    with pytest.raises(Gone):
        place.read("x", [(0, 10)])
    assert place.requests == 1
    with pytest.raises(StoreError):
        place.read("../x", [(0, 10)])


def test_a_lost_answer_to_a_put_neither_loses_nor_doubles(url: str, server: Server) -> None:
    place = Remote(url, **QUICK)
    server.plan(lost=0.7, seed=3, only="^PUT")
    for number in range(10):
        place.put(f"x{number}", DATA[: 1000 + number])
    faults = server.seen()["faults"]["lost"]
    server.plan()
    assert faults > 3
    assert [place.fetch(f"x{n}") for n in range(10)] == [DATA[: 1000 + n] for n in range(10)]


def test_a_short_body_is_never_cached(url: str, server: Server, tmp_path: Path) -> None:
    place = Remote(url, BlockCache(tmp_path, 2**30), tries=3, wait_s=0.002)
    place.put("x", DATA)
    for fault in ("short", "cut"):
        server.plan(**{fault: 1.0})
        with pytest.raises(Unavailable):
            place.read("x", [(0, len(DATA))])
        assert place.cache is not None
        assert place.cache.bytes_on_disk() == 0
    server.plan()
    assert place.read("x", [(0, len(DATA))]) == [DATA]


def test_stale_listings_hide_only_from_those_who_list(url: str, server: Server) -> None:
    place = Remote(url, **QUICK)
    place.put("segments/a", b"a")
    assert place.list("segments/") == ["segments/a"]
    place.put("segments/b", b"b")
    place.delete("segments/a")
    server.plan(stale=1.0)
    assert place.list("segments/") == []
    assert place.read("segments/b", [(0, 1)]) == [b"b"]
    assert place.size("segments/a") is None


def test_cached_bytes_are_not_asked_for_again(url: str, server: Server, tmp_path: Path) -> None:
    Remote(url, **QUICK).put("x", DATA)
    server.plan()
    for _ in range(3):
        place = Remote(url, BlockCache(tmp_path, 2**30), **QUICK)
        assert place.read("x", [(5, 10), (3 * BLOCK, 20)]) == [DATA[5:15], DATA[3 * BLOCK :][:20]]
    seen = server.seen()
    assert seen["requests"] == 2
    assert seen["body_bytes"] == 2 * BLOCK


@pytest.fixture(scope="module")
def pair(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Remote, Folder]]:
    """The same file in a bucket and in a folder."""
    root = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        url = f"{server.bucket()}/store"
        bucket = ObstoreBucket(url, silent_s=0.5)
        Remote(url, bucket=bucket).put("x", DATA)
        folder = Folder(root)
        folder.put("x", DATA)
        yield Remote(url, BlockCache(root / "cache", 4 * BLOCK), bucket, tries=40, wait_s=0.0005), folder


RANGES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, len(DATA) + BLOCK), st.sampled_from([0, BLOCK - 1, BLOCK, BLOCK + 1, len(DATA)])),
        st.one_of(st.integers(0, 300), st.integers(0, 3 * BLOCK), st.sampled_from([BLOCK, len(DATA)])),
    ),
    max_size=5,
)


@settings(max_examples=60)
@given(ranges=RANGES, seed=st.integers(0, 1000))
def test_a_remote_file_reads_as_a_local_one_whatever_fails(
    pair: tuple[Remote, Folder], server: Server, ranges: list[tuple[int, int]], seed: int
) -> None:
    remote, folder = pair
    server.plan(seed=seed, error=0.2, lost=0.1, cut=0.15, short=0.15)
    assert remote.read("x", ranges) == folder.read("x", ranges)
    assert remote.cache is not None
    assert remote.cache.bytes_on_disk() <= remote.cache.limit


# ---- tiers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store to be copied, never changed."""
    folder = tmp_path_factory.mktemp("original") / "store"
    cold.build(str(folder))
    return folder


@pytest.fixture(scope="module")
def truth(original: Path) -> str:
    with closing(open_catalog(original)) as catalog:
        return cold.content(cold.reader_of(catalog, Folder(original)))


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "store"))


@pytest.fixture
def start(nursery: Nursery, server: Server) -> Callable[..., Process]:
    """Start a function of `cold` in a process of its own that knows the server."""
    return lambda function, *arguments, **more: nursery.start(
        f"cold:{function}", *arguments, **server.environment, **more
    )


def said(process: Process) -> str:
    """Return the only line a process said; it must have succeeded."""
    lines, status = process.finish(120)
    assert status == 0, process.errors()
    (line,) = lines
    return line


def moved(folder: Path, url: str, cache: Path | None = None, **options: Any) -> tuple[tier.Moved, str]:
    """Move everything in this process; return the report and the content afterwards."""
    with closing(open_catalog(folder)) as catalog:
        tier.settle(catalog, url)
        report = tier.move(catalog, Folder(folder), Remote(url, **options), cold.ALL)
        return report, cold.content(cold.reader_of(catalog, Folder(folder), cache))


def test_everything_moves_and_reads_the_same(store: Path, url: str, truth: str, server: Server, start: Starter) -> None:
    report, after = moved(store, url)
    assert len(report.segments) == 4 * cold.DAYS
    assert after == truth
    assert said(start("move", store, url)) == "0 0", "all are there already; the local files are removed"
    assert [p for p in (store / "segments").glob("**/*") if p.is_file()] == []
    assert said(start("digest", store)) == truth


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_storms_slowness_and_cut_answers_lose_nothing(
    store: Path, url: str, truth: str, server: Server, seed: int
) -> None:
    server.plan(seed=seed, error=0.15, lost=0.1, cut=0.1, short=0.1, slow=0.05, slow_s=0.05, stale=0.05)
    report, after = moved(store, url, tries=30, wait_s=0.001)
    faults = server.seen()["faults"]
    assert min(faults[kind] for kind in ("error", "lost", "cut", "short")) > 0
    assert report.problems == []
    assert len(report.segments) == 4 * cold.DAYS
    assert after == truth


def test_a_storm_without_end_moves_nothing_and_ends(store: Path, url: str, truth: str, server: Server) -> None:
    server.plan(error=1.0)
    with closing(open_catalog(store)) as catalog:
        tier.settle(catalog, url)
        report = tier.move(catalog, Folder(store), Remote(url, **QUICK), cold.ALL)
        assert (report.segments, len(report.problems)) == ([], 1)
        assert server.seen()["requests"] == QUICK["tries"]
        assert cold.content(cold.reader_of(catalog, Folder(store))) == truth


def test_a_bit_that_changes_on_the_way_is_never_an_answer(store: Path, url: str, truth: str, server: Server) -> None:
    """On the way up the segment stays warm; on the way down the reader says which file is damaged."""
    server.plan(flip=1.0)
    report = moved_without_reading(store, url)
    assert report.segments == []
    assert len(report.problems) == 4 * cold.DAYS
    server.plan()
    report, after = moved(store, url)
    assert (len(report.segments), after) == (4 * cold.DAYS, truth)
    server.plan(flip=1.0)
    with closing(open_catalog(store)) as catalog:
        reader = cold.reader_of(catalog, Folder(store))
        with pytest.raises(StoreError, match=url):
            reader.samples([], cold.LOW, cold.HIGH)
        for signal in ("logs", "spans"):
            with pytest.raises(StoreError, match=url):
                reader.rows(signal, cold.LOW, cold.HIGH, None, {})


def moved_without_reading(folder: Path, url: str) -> tier.Moved:
    with closing(open_catalog(folder)) as catalog:
        tier.settle(catalog, url)
        return tier.move(catalog, Folder(folder), Remote(url, **QUICK), cold.ALL)


def test_an_unreachable_place_is_an_error_and_never_a_part_of_the_answer(
    store: Path, url: str, truth: str, server: Server
) -> None:
    moved(store, url)
    with closing(open_catalog(store)) as catalog:
        tiers = tier.Tiers({"warm": Folder(store), "cold": Remote(url, tries=3, wait_s=0.001)})
        reader = Reader(catalog, tiers)
        server.plan(error=1.0)
        for work in (
            lambda: reader.samples([], cold.LOW, cold.HIGH),
            lambda: reader.rows("logs", cold.LOW, cold.HIGH, None, {}),
            lambda: reader.profiles(cold.LOW, cold.HIGH, {}),
        ):
            with pytest.raises(Unavailable, match="try again later"):
                work()
        assert server.seen()["requests"] <= 3 * 3 * cold.DAYS
        server.plan()
        assert cold.content(reader) == truth


def test_of_two_movers_one_wins_each_segment(store: Path, url: str, truth: str, server: Server, start: Starter) -> None:
    server.plan(slow=0.3, slow_s=0.02, seed=1)
    both = [said(process).split() for process in [start("move", store, url) for _ in range(2)]]
    assert sum(int(mine) for mine, _ in both) == 4 * cold.DAYS
    server.plan()
    assert said(start("digest", store)) == truth
    with closing(open_catalog(store)) as catalog, closing(Remote(url)) as place:
        with catalog.read() as connection:
            named = sorted(row[0] for row in connection.execute("SELECT path FROM files"))
        assert place.list("segments/") == named


@pytest.mark.parametrize("point", ["tier.copied", "tier.committed", "tier.deleted"])
@pytest.mark.parametrize("nth", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_a_killed_mover_loses_nothing(store: Path, url: str, truth: str, start: Starter, point: str, nth: int) -> None:
    process = start("move", store, url, WORKBENCH_CRASH_AT=f"{point}:{nth}")
    assert process.finish(120)[1] == -signal.SIGKILL
    with closing(open_catalog(store)) as catalog:
        assert cold.content(cold.reader_of(catalog, Folder(store))) == truth
    said(start("move", store, url))
    assert said(start("digest", store)) == truth
    assert [p for p in (store / "segments").glob("**/*") if p.is_file()] == []
    with closing(open_catalog(store)) as catalog:
        with catalog.read() as connection:
            named = sorted(row[0] for row in connection.execute("SELECT path FROM files"))
            left = connection.execute("SELECT count(*) FROM notes WHERE kind = 'leftover'").fetchone()
        assert Remote(url).list("segments/") == named
        assert left == (0,)


def test_only_what_is_asked_for_is_fetched(store: Path, url: str, server: Server) -> None:
    """Time and tags prune before a byte is fetched: one series, one hour, and what nothing matches."""
    moved_without_reading(store, url)
    sizes = Remote(url).listed("segments/metrics/")
    whole = sum(one.bytes for one in sizes)

    def cost(matchers: list[Matcher], start: int, end: int) -> tuple[int, int]:
        server.plan()
        with closing(open_catalog(store)) as catalog:
            cold.reader_of(catalog, Folder(store)).samples(matchers, start, end)
        seen = server.seen()
        return seen["body_bytes"], seen["requests"]

    assert whole > 1.5e6 * cold.DAYS
    hour = int(cold.T0.astype(np.int64)) + 86_400 * 10**9 + 12 * 3600 * 10**9
    assert cost([Matcher("i", "=", "nobody")], cold.LOW, cold.HIGH) == (0, 0)
    assert cost([], hour + 30 * 86_400 * 10**9, cold.HIGH) == (0, 0)
    fetched, requests = cost([Matcher("i", "=", "7")], cold.LOW, cold.HIGH)
    assert fetched <= 2 * BLOCK * cold.DAYS
    assert requests <= 2 * cold.DAYS
    fetched, requests = cost([], hour, hour + 3600 * 10**9)
    assert fetched <= max(one.bytes for one in sizes), "one day of three"
    fetched, _ = cost([Matcher("i", "=", "7")], hour, hour + 3600 * 10**9)
    assert 0 < fetched <= 2 * BLOCK


def test_a_url_opens_elsewhere(
    store: Path, url: str, truth: str, server: Server, start: Starter, tmp_path: Path
) -> None:
    with closing(open_catalog(store)) as catalog:
        place = Remote(url, **QUICK)
        with pytest.raises(StoreError, match="no published store"):
            open_url(url, BlockCache(tmp_path / "cache", 2**30))
        moved(store, url)
        pointer = publish(catalog, place)
        assert pointer["left_out"] == {"hot_rows": 0, "segments": 0}
    shutil.rmtree(store)
    assert said(start("elsewhere", url, tmp_path / "cache")) == truth
    server.plan()
    assert said(start("elsewhere", url, tmp_path / "cache")) == truth
    assert server.seen()["requests"] == 1, "the pointer is asked for; everything else is in the cache"
    server.plan(seed=5, error=0.2, cut=0.2, short=0.2)
    assert said(start("elsewhere", url, tmp_path / "another cache")) == truth
