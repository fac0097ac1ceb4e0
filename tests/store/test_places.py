"""A folder as a place: ranges, refusals, names that would lead out of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import StoreError
from workbench.store.buckets import FolderBucket
from workbench.store.places import Folder, Gone, joined
from workbench.store.remote import Remote

DATA = np.random.default_rng(3).bytes(60_000)


def test_what_was_put_is_read_by_ranges_and_only_once(tmp_path):
    place = Folder(tmp_path)
    assert place.put("a/b/c", bytes(range(200)))
    assert not place.put("a/b/c", b"other")
    assert place.read("a/b/c", [(150, 10), (0, 3), (198, 9)]) == [bytes(range(150, 160)), b"\x00\x01\x02", b"\xc6\xc7"]
    assert place.list("a/") == ["a/b/c"]
    assert place.size("a/b/c") == 200
    place.delete("a/b/c")
    place.delete("a/b/c")
    assert place.size("a/b/c") is None
    with pytest.raises(Gone):
        place.read("a/b/c", [(0, 1)])


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", ".."])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "x").write_bytes(b"secret")
    place, bucket = Folder(folder), FolderBucket(folder.as_uri())
    for work in (
        lambda: place.read(name, [(0, 6)]), lambda: place.open(name), lambda: place.put(name, b""),
        lambda: place.delete(name), lambda: place.size(name), lambda: bucket.get(name, 0, 6),
        lambda: bucket.put(name, b"", False), lambda: bucket.delete(name), lambda: bucket.size(name),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="is no name of a file in a store"):
            work()
    assert (tmp_path / "x").read_bytes() == b"secret"


def test_near_ranges_are_read_together():
    found = list(joined([(100, 10), (0, 10), (15, 10)], gap=5))
    assert found == [(0, 25, [(1, 0, 10), (2, 15, 10)]), (100, 110, [(0, 100, 10)])]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder, and the same bytes behind a URL."""
    folder = tmp_path_factory.mktemp("places")
    local, remote = Folder(folder / "local"), Remote((folder / "remote").as_uri())
    assert local.put("x", DATA)
    assert remote.put("x", DATA)
    return local, remote


@given(ranges=st.lists(st.tuples(st.integers(0, 60_100), st.sampled_from([0, 1, 7, 300, 9_000])), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_ranges_read_as_one_array_are_those_read_one_by_one(places, ranges):
    wanted = naive.cut(DATA, ranges)
    offset, length = (np.array([r[i] for r in ranges], np.int64) for i in (0, 1))
    for place in places:
        assert place.read("x", ranges) == wanted
        data, at = place.read_joined("x", offset, length)
        for part, a, n in zip(wanted, at.tolist(), length.tolist(), strict=True):
            assert (a == -1) if len(part) < n else data[a : a + n].tobytes() == part


def test_what_is_gone_or_leads_elsewhere_is_told_for_arrays_too(places):
    one = np.ones(1, np.int64)
    for place in places:
        with pytest.raises(Gone):
            place.read_joined("y", one, one)
    with pytest.raises(StoreError, match="is no name of a file"):
        places[0].read_joined("../x", one, one)
