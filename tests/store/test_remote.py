"""Places that are not this folder: the three kinds of bucket behave alike, and trouble is waited out or named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench import registry
from workbench.errors import InvalidInput, NotFound, StoreError
from workbench.store.blocks import BLOCK, BlockCache
from workbench.store.buckets import Again, Beyond, MemoryBucket, ObstoreBucket, bucket_of
from workbench.store.places import Gone
from workbench.store.remote import Remote, Unavailable

DATA = np.random.default_rng(3).bytes(3 * BLOCK + 777)


class Trouble(MemoryBucket):
    """A bucket that does what a test says before it answers."""

    def __init__(self, before: Callable[[str], None] = lambda kind: None) -> None:
        super().__init__(f"memory://{id(self)}-{os.getpid()}")
        self._held.clear()
        self.before = before
        self.short = 0

    def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
        self.before("get")
        data, total = super().get(name, offset, length)
        return data[: len(data) - self.short], total

    def put(self, name: str, data: bytes, replace: bool) -> str:
        self.before("put")
        return super().put(name, data, replace)


@pytest.fixture(params=["file", "memory", "obstore"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    if request.param == "memory":
        return Remote(f"memory://{tmp_path.name}")
    url = (tmp_path / "far away").as_uri()
    if request.param == "file":
        return Remote(url)
    (tmp_path / "far away").mkdir()
    return Remote(url, bucket=ObstoreBucket(url))


def test_every_kind_of_bucket_keeps_the_same_rules(place: Remote) -> None:
    assert place.list("") == []
    assert place.put("a/b/x", DATA)
    assert not place.put("a/b/x", b"other")
    assert place.put("a/c", b"")
    assert place.fetch("a/b/x") == DATA
    assert place.size("a/b/x") == len(DATA)
    assert place.size("a/c") == 0
    assert place.size("a/b") is None
    assert place.size("nothing") is None
    assert place.list("a/") == ["a/b/x", "a/c"]
    assert place.list("a/b/") == ["a/b/x"]
    assert place.list("a/c") == ["a/c"]
    assert place.read("a/b/x", []) == []
    assert place.read("a/b/x", [(7, 0), (len(DATA), 5), (9 * BLOCK, 1)]) == [b"", b"", b""]
    with pytest.raises(Gone, match="nothing"):
        place.read("nothing", [(0, 1)])
    with pytest.raises(Gone):
        place.open("nothing")
    place.replace("a/c", b"new")
    assert place.fetch("a/c") == b"new"
    place.delete("a/b/x")
    place.delete("a/b/x")
    assert place.list("") == ["a/c"]
    assert place.listed("")[0].modified > 1_700_000_000 * 10**9
    place.close()


@given(
    ranges=st.lists(st.tuples(st.integers(0, len(DATA) + 99), st.integers(0, 2 * BLOCK)), max_size=6),
    cached=st.booleans(),
)
def test_ranges_are_the_bytes_at_their_offsets(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int]], cached: bool
) -> None:
    cache = BlockCache(tmp_path_factory.getbasetemp() / "ranges", 2**30) if cached else None
    place = Remote("memory://ranges", cache)
    place.put("x", DATA)
    assert place.read("x", ranges) == naive.cut(DATA, ranges)


def test_near_blocks_come_in_one_request_and_far_ones_in_several(tmp_path: Path) -> None:
    place = Remote("memory://near", BlockCache(tmp_path, 2**30), Trouble())
    place.put("x", bytes(100 * BLOCK))
    at = place.requests
    place.read("x", [(0, 10), (BLOCK, 10), (3 * BLOCK, 10)])
    assert place.requests == at + 1
    place.read("x", [(0, 10), (2 * BLOCK, 10)])
    assert place.requests == at + 1, "the block between was fetched along"
    place.read("x", [(50 * BLOCK, 1), (60 * BLOCK, 1), (70 * BLOCK, 1)])
    assert place.requests == at + 4
    assert place.fetched == 7 * BLOCK
    place.read("x", [(0, 100 * BLOCK)])
    assert place.requests <= at + 4 + 8


def test_a_stream_reads_seeks_and_ends(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"n": np.arange(300_000), "text": [f"row {i % 1000}" for i in range(300_000)]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=50_000)
    place = Remote("memory://stream", BlockCache(tmp_path, 2**30))
    place.put("x.parquet", sink.getvalue())
    with place.open("x.parquet") as stream:
        assert pq.ParquetFile(stream).read().equals(table)
        assert stream.seek(0, 2) == place.size("x.parquet")
        assert stream.read() == b""


def test_passing_trouble_is_waited_out_and_lasting_trouble_named() -> None:
    left = [3]

    def busy(kind: str) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise Again("busy")

    place = Remote("memory://x", bucket=Trouble(busy), wait_s=0.001)
    assert place.put("x", DATA)
    assert place.requests == 5, "and one for the size"
    left[0] = 10**6
    with pytest.raises(Unavailable, match=r"x in 8 tries \(busy\): try again later") as caught:
        place.fetch("x")
    assert caught.value.retryable
    assert place.requests == 13


def test_a_short_answer_is_asked_for_again_and_never_kept(tmp_path: Path) -> None:
    bucket = Trouble()
    place = Remote("memory://x", BlockCache(tmp_path, 2**30), bucket, tries=3, wait_s=0.001)
    place.put("x", DATA)
    bucket.short = 1
    with pytest.raises(Unavailable, match="instead of"):
        place.read("x", [(0, 10)])
    with pytest.raises(Unavailable, match="instead of"):
        place.fetch("x")
    bucket.short = 0
    assert place.cache is not None
    assert place.cache.bytes_on_disk() == 0
    assert place.read("x", [(0, 10)]) == [DATA[:10]]


def test_an_object_that_changes_is_noticed(tmp_path: Path) -> None:
    bucket = Trouble()
    place = Remote("memory://x", BlockCache(tmp_path, 2**30), bucket)
    place.put("x", DATA)
    place.read("x", [(0, 10)])
    bucket.put("x", DATA[:-1], True)
    with pytest.raises(StoreError, match="has changed"):
        place.read("x", [(2 * BLOCK, 10)])


def test_an_end_that_comes_and_goes_is_not_believed() -> None:
    class Forgetful(Trouble):
        def get(self, name: str, offset: int, length: int) -> tuple[bytes, int]:
            raise Beyond(name)

    place = Remote("memory://x", bucket=Forgetful(), tries=2, wait_s=0.001)
    place.put("x", b"abc")
    with pytest.raises(Unavailable, match="said to end"):
        place.read("x", [(1, 1)])


def test_what_was_not_stored_as_sent_is_noticed() -> None:
    class Lossy(Trouble):
        def put(self, name: str, data: bytes, replace: bool) -> str:
            return super().put(name, data[:-1], replace)

    with pytest.raises(StoreError, match="not stored as it was sent"):
        Remote("memory://x", bucket=Lossy()).put("x", b"abc")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_names_cannot_leave_the_place(name: str) -> None:
    place = Remote("memory://x")
    for work in (lambda: place.read(name, [(0, 1)]), lambda: place.put(name, b""), lambda: place.delete(name)):
        with pytest.raises(StoreError, match="not the name of a file"):
            work()


def test_urls_are_checked_and_schemes_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="not the URL"):
        bucket_of("just/a/folder")
    with pytest.raises(NotFound, match="did you mean 's3'"):
        bucket_of("s33://x")
    monkeypatch.setattr(registry, "_extra", {})
    registry.register("workbench.tiers", "shelf", "workbench.store.buckets:MemoryBucket")
    assert isinstance(bucket_of("shelf://x"), MemoryBucket)


def test_a_folder_where_links_are_refused_still_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    place = Remote(tmp_path.as_uri())
    assert place.put("x", b"abc")
    assert not place.put("x", b"other")
    assert place.fetch("x") == b"abc"


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="check the folder"):
        Remote((tmp_path / "file").as_uri()).put("x", b"abc")


FORKED = """
import os, sys
from workbench.errors import StoreError
from workbench.store.buckets import ObstoreBucket
from workbench.store.remote import Remote
url = sys.argv[1]
place = Remote(url, bucket=ObstoreBucket(url))
place.put("x", b"abc")
assert place.fetch("x") == b"abc"
child = os.fork()
if child == 0:
    try:
        place.fetch("x")
    except StoreError as error:
        sys.stdout.write(str(error)); sys.stdout.flush()
    try:
        Remote(url, bucket=ObstoreBucket(url)).fetch("x")
    except StoreError as error:
        sys.stdout.write(str(error)); sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_process_is_told_and_does_not_hang(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, tmp_path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("cannot be used after a fork: start processes by spawn") == 2
