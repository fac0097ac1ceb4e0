"""Where several machines could write: the refusal says what to do instead."""

from __future__ import annotations

import pytest

from workbench.errors import StoreError
from workbench.store import place


@pytest.mark.parametrize("kind", ["nfs", "smb3", "fuse.s3fs", "fuse.juicefs", "lustre", "davfs"])
def test_the_refusal_names_the_server_catalog_and_reading_as_ways_out(tmp_path, kind, monkeypatch):
    table = tmp_path / "mounts"
    table.write_text(f"rootfs / ext4 rw 0 0\nthere:/x {tmp_path}/far {kind} rw 0 0\n")
    folder = tmp_path / "far" / "s"
    folder.mkdir(parents=True)
    with pytest.raises(
        StoreError, match=rf"\({kind}\).*local folder, keep the catalog on a PostgreSQL server, or mount"
    ):
        place.prepare(folder, True, table)
    assert place.prepare(folder, True, table, shared=True) is False
    (folder / place.CATALOG).touch()
    monkeypatch.setattr(place, "_mounted_read_only", lambda path: True)
    assert place.prepare(folder, False, table) is True


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuseblk"])
def test_local_file_systems_are_taken(tmp_path, kind):
    table = tmp_path / "mounts"
    table.write_text(f"/dev/x {tmp_path} {kind} rw 0 0\n")
    assert place.prepare(tmp_path / "s", True, table) is False
