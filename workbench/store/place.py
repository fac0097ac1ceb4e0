"""Where a store may lie: what is looked at before a folder is opened, and every way to refuse it in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import StoreError
from workbench.store.places import make_folder

__all__ = ["CATALOG", "FORMAT", "REFERENCE", "SAME", "file_system", "prepare"]

CATALOG = "catalog.sqlite"
"""File name of the catalog inside a store's folder."""

REFERENCE = "catalog.json"
"""File that names the catalog of a store whose catalog is on a database server."""

FORMAT = 3
"""Version of the layout in FORMAT.md; a store of a newer one is refused."""

SAME = 2
"""The oldest format with the tables of the present one: it can hold no native histograms, and is read as it is."""

_NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse", "fuse.sshfs",
    "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.blobfuse", "fuse.juicefs", "glusterfs",
    "fuse.glusterfs", "ceph", "fuse.ceph", "lustre", "beegfs", "gpfs", "pvfs2", "orangefs", "ocfs2", "gfs2", "davfs",
    "fuse.davfs2", "fuse.curlftpfs",
})  # fmt: skip
"""Also what several machines mount at once: SQLite's log needs memory that all its writers share."""


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system a path lies on, as in `ext4`, or "" where that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = str(path.resolve())
    best, kind = "", ""
    for line in lines:
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    return kind


def prepare(path: Path, create: bool, mounts: Path = Path("/proc/mounts"), *, shared: bool = False) -> bool:
    """Check a store's folder, make it if allowed, and return whether it can only be read.

    Parameters
    ----------
    path : Path
    create : bool
        Whether a new store may be made in a missing or empty folder.
    mounts : Path
        The kernel's table of mounted file systems.
    shared : bool
        Whether the catalog is on a database server, so that the folder may be on a network file system.

    Raises
    ------
    StoreError
        If there is no store and none may be made, the path is no folder, the folder holds something else, or it lies
        on a network file system and is not read-only.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"store {path} is a file: name a folder, or import the file with `workbench ingest`.")
    if not _has_catalog(path):
        _make(path, create)
    writable = os.access(path, os.W_OK) and not _mounted_read_only(path)
    kind = file_system(path, mounts)
    if writable and kind in _NETWORK and not shared:
        raise StoreError(
            f"store {path} lies on a network file system ({kind}), where several writers would damage it: use a local"
            " folder, keep the catalog on a PostgreSQL server, or mount it read-only to read."
        )
    return not writable


def _has_catalog(path: Path) -> bool:
    return (path / CATALOG).exists() or (path / REFERENCE).exists()


def _mounted_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _make(path: Path, create: bool) -> None:
    if not create:
        raise StoreError(f"there is no store at {path}: give the folder of one, or open it with create=True.")
    try:
        if not path.is_dir():
            make_folder(path)
        foreign = [p.name for p in path.iterdir() if not p.name.startswith((CATALOG, REFERENCE))]
    except OSError as error:
        raise StoreError(f"store folder {path} cannot be made: {error.strerror}; choose a writable place.") from error
    if foreign and not _has_catalog(path):
        raise StoreError(f"folder {path} is not a store, it holds {foreign[0]!r}: choose an empty or a new folder.")
    if not os.access(path, os.W_OK) or _mounted_read_only(path):
        raise StoreError(f"store folder {path} is read-only and holds no store: choose a writable place.")
