"""Read a file, a folder or an address: find the format, run its source, keep one bad file from stopping the others."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench import registry
from workbench import settings as settings_table
from workbench.errors import InvalidInput, LimitExceeded, NotFound, SourceError, WorkbenchError, closest
from workbench.signals import Batch, TimeLike, parse_time
from workbench.signals.time import MAX_NS
from workbench.sources.source import AddressSource, FolderSource, ReadOptions, Source
from workbench.sources.unpack import peek, unpack

__all__ = ["IGNORED", "address_source", "detect", "read"]

IGNORED = ("truth.json", "README.md")
"""Files of a folder that are never telemetry: the ground truth of a recorded incident, and its card."""

_GROUP = "workbench.sources"


def read(
    path: str | Path,
    *,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    time: TimeLike | None = None,
    window: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None),
    progress: bool = False,
) -> Iterator[tuple[str, Batch]]:
    """Yield everything in a file or folder, or behind an address, as batches of bounded size.

    Parameters
    ----------
    path : str or Path
        A file; a folder that another program keeps, such as a Prometheus data directory; any other folder, which is
        walked with its subfolders by name, hidden files and `IGNORED` passed over; or an address with `://`.
    format : str, optional
        Name of a registered source; found from the content by default.
    mapping : mapping of str to str, optional
        Columns of tables, and constants (see `ReadOptions`).
    settings : mapping, optional
        Settings that override the configured ones.
    time : instant, optional
        For data without timestamps; each file's modification time by default.
    window : start and end, optional
        A hint: what lies outside need not be read.
    progress : bool, optional
        Whether a source that is waited for shows a bar.

    Yields
    ------
    tuple of str and Batch
        The file's name relative to the folder (with `/`), and some of its content. Skips are counted in the batch. A part
        of a folder that another program keeps begins with an empty batch.

    Raises
    ------
    NotFound
        If the path does not exist or the format is not known.
    InvalidInput
        If no source reads such an address, or the format named reads other things.
    SourceError, LimitExceeded
        If the path is a single file of which nothing can be read, or a folder without files. In a folder such a file is
        a counted skip.
    """
    options = ReadOptions(settings_table.load(settings), mapping, window=window, progress=progress)
    sources = _sources(format)
    if "://" in str(path):
        return address_source(str(path), format).read_address(str(path), options)
    root = Path(path)
    at = None if time is None else parse_time(time)
    if root.is_dir():
        return _folder(root, sources, options, at)
    if not root.exists():
        raise NotFound(f"there is no file or folder {str(root)!r}: give the path of telemetry to read.")
    return _single(root, _streams(sources, str(root)), options, at)


def address_source(address: str, format: str | None = None) -> AddressSource:
    """Return the source that reads an address.

    Raises
    ------
    InvalidInput
        If the format named reads no addresses, or none was named and the address does not say which.
    """
    fit = [source for source in _sources(format) if isinstance(source, AddressSource)]
    found = next((source for source in fit if format is not None or source.detect_address(address)), None)
    if found is None:
        able = [name for name in registry.names(_GROUP) if isinstance(registry.load(_GROUP, name)(), AddressSource)]
        raise InvalidInput(
            f"nothing is known to read {address!r}: name a format that reads addresses ({', '.join(able)}), or download"
            " it and give the file."
        )
    return found


def _streams(sources: list[Any], name: str) -> list[Source]:
    """Return the sources that read files."""
    found = [source for source in sources if isinstance(source, Source)]
    if not found:
        raise InvalidInput(
            f"format {sources[0].name!r} does not read files, and {name!r} is one: leave the format away."
        )
    return found


class _UnknownFormatError(SourceError):
    """No source recognises a file's content."""


def _sources(format: str | None) -> list[Any]:
    """Return instances of the one source asked for, or of all, those of other packages first."""
    if format is not None:
        known = registry.plugins(_GROUP)
        if format not in known:
            near = closest(format, known)
            hint = f"; did you mean {near!r}?" if near else "."
            raise NotFound(f"format {format!r} is not known: known are {', '.join(sorted(known))}{hint}")
        return [registry.load(_GROUP, format)()]
    loaded = registry.load_all(_GROUP)
    own = list(registry.BUILTINS[_GROUP])
    order = [name for name in loaded if name not in own] + [name for name in own if name in loaded]
    return [loaded[name]() for name in order]


def _folder(root: Path, sources: list[Any], options: ReadOptions, at: Any) -> Iterator[tuple[str, Batch]]:
    kept = [source for source in sources if isinstance(source, FolderSource)]
    whole = next((source for source in kept if source.detect_folder(root)), None)
    if whole is not None:
        yield from whole.read_folder(root, options)
        return
    if len(sources) == 1 and kept:
        yield from kept[0].read_folder(root, options)
    streams = _streams(sources, str(root))
    count = 0
    for path in _walk(root, kept):
        count += 1
        name = path.relative_to(root).as_posix()
        yielded = False
        try:
            if path.is_dir():
                inner = next(source for source in kept if source.detect_folder(path)).read_folder(path, options)
                parts = ((f"{name}/{part}", batch) for part, batch in inner)
            else:
                parts = ((name, batch) for batch in _file(path, name, streams, options, at))
            for part, batch in parts:
                yielded = yielded or not batch.empty()
                yield part, batch
        except _UnknownFormatError:
            yield name, Batch(skips=Counter({f"{name} is of no known format": 1}))
        except WorkbenchError as error:
            yield (
                name,
                Batch(skips=Counter({f"file not read: {error}" if not yielded else f"rest of file: {error}": 1})),
            )
    if not count:
        raise SourceError(f"folder {str(root)!r} holds no files: give a folder with telemetry in it.")


def _walk(root: Path, kept: list[FolderSource]) -> Iterator[Path]:
    """Yield the files of a folder, and those of its folders that are to be read whole."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        whole = [name for name in folders if any(source.detect_folder(Path(folder, name)) for source in kept)]
        folders[:] = [name for name in folders if name not in whole]
        for name in whole:
            yield Path(folder, name)
        for name in sorted(names):
            if not name.startswith(".") and name not in IGNORED:
                yield Path(folder, name)


def _single(file: Path, sources: list[Source], options: ReadOptions, at: Any) -> Iterator[tuple[str, Batch]]:
    kept = False
    try:
        for batch in _file(file, file.name, sources, options, at):
            kept = kept or not batch.empty()
            yield file.name, batch
    except (SourceError, LimitExceeded) as error:
        if not kept:
            raise
        yield file.name, Batch(skips=Counter({f"rest of file: {error}": 1}))


def _file(
    file: Path, name: str, sources: list[Source], given: ReadOptions, at: np.datetime64 | None
) -> Iterator[Batch]:
    """Yield the batches of one file; operating-system errors become `SourceError`."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{name} is not a regular file: only files can be read.")
        if status.st_size == 0:
            raise SourceError(f"{name} is empty: there is nothing to read.")
        ns = min(max(status.st_mtime_ns, 0), MAX_NS - 1)
        options = replace(given, time=at if at is not None else np.datetime64(ns, "ns"))
        source = sources[0] if len(sources) == 1 else detect(file, name, sources, options)
        with file.open("rb") as raw:
            yield from source.read(unpack(raw, name, options), name, options)
    except OSError as error:
        if isinstance(error, WorkbenchError):
            raise
        raise SourceError(f"{name} cannot be read: {error.strerror or error}.") from error


def detect(file: Path, name: str, sources: list[Source], options: ReadOptions) -> Source:
    """Return the first source that recognises a file's content.

    Raises
    ------
    SourceError
        If none does; the message lists the known formats.
    """
    with file.open("rb") as raw:
        head = peek(unpack(raw, name, options))
    found = next((source for source in sources if source.detect(head, name)), None)
    if found is None:
        raise _UnknownFormatError(
            f"{name} is of no known format (known are {', '.join(sorted(s.name for s in sources))}): name the format,"
            " or convert the file."
        )
    return found
