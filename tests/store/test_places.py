"""A folder as a place: ranges, refusals, names that would lead out of it."""

from __future__ import annotations

import pytest

from workbench.errors import StoreError
from workbench.store.buckets import FolderBucket
from workbench.store.places import Folder, Gone, joined


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
