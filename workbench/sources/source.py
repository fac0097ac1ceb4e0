"""What a source is: it recognises bytes by their content and turns them into batches of the five shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import numpy as np

from workbench import settings as settings_table
from workbench.errors import InvalidInput
from workbench.signals import Batch

__all__ = ["HEAD_BYTES", "ROWS_PER_BATCH", "AddressSource", "FolderSource", "ReadOptions", "Source"]

HEAD_BYTES = 65_536
"""How much of the unpacked content `Source.detect` is shown."""

ROWS_PER_BATCH = 50_000
"""A batch is given out when it holds about this many rows or samples."""

_EPOCH = np.datetime64(0, "ns")


@dataclass(frozen=True)
class ReadOptions:
    """What the reader of one file may be told.

    Attributes
    ----------
    settings : mapping of str to Any
        Every setting by name; the caps of group `intake` matter here.
    mapping : mapping of str to str, optional
        For tables: workbench column -> column of the file; a value that begins with `=` is a constant for every row,
        as in `{"service": "=checkout"}`. Formats that carry no service of their own take constants from it too.
    time : datetime64[ns]
        The instant of data without timestamps; a file's modification time by default.
    window : start and end, datetime64[ns], optional
        What will be kept: a source need not read what lies outside [start, end).
    progress : bool
        Whether a source that is waited for shows a bar of its own.
    """

    settings: Mapping[str, Any] = field(default_factory=settings_table.load)
    mapping: Mapping[str, str] | None = None
    time: np.datetime64 = _EPOCH
    window: tuple[np.datetime64 | None, np.datetime64 | None] = (None, None)
    progress: bool = False

    @property
    def max_body_bytes(self) -> int:
        """Cap on one document, body or message after decompression."""
        return int(self.settings["intake.max_body_bytes"])

    @property
    def max_text_chars(self) -> int:
        """Longest text kept whole."""
        return int(self.settings["intake.max_text_chars"])

    @property
    def max_columns(self) -> int:
        """Most attribute columns of one frame."""
        return int(self.settings["intake.max_columns"])

    def constants(self, allowed: tuple[str, ...]) -> dict[str, str]:
        """Return the constants of the mapping, without their `=`.

        Raises
        ------
        InvalidInput
            If the mapping names something that is not a constant, or not in `allowed`.
        """
        found: dict[str, str] = {}
        for name, value in (self.mapping or {}).items():
            if name not in allowed or not value.startswith("="):
                raise InvalidInput(
                    f"mapping {name}={value!r} is not understood by this format: it takes constants for"
                    f" {', '.join(allowed)}, written as in service==checkout."
                )
            found[name] = value[1:]
        return found


@runtime_checkable
class Source(Protocol):
    """A reader of one format: registry group `workbench.sources`, made without arguments.

    `read` gets the unpacked content (gzip and zstd are undone before) and yields batches of bounded size. It raises
    `SourceError` when the content is not what it should be; rows it cannot keep it counts in `Batch.skips`.
    """

    name: ClassVar[str]

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether content that begins with `head` (at most `HEAD_BYTES`) is of this format."""
        ...

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield everything in the stream; `path` is only for hints and messages."""
        ...


@runtime_checkable
class FolderSource(Protocol):
    """A reader of whole folders that another program keeps: of the same registry group, made without arguments."""

    name: ClassVar[str]

    def detect_folder(self, folder: Path) -> bool:
        """Return whether a folder is such a one."""
        ...

    def read_folder(self, folder: Path, options: ReadOptions) -> Iterator[tuple[str, Batch]]:
        """Yield the content part by part: the name of each part within the folder with an empty batch, then its batches.

        Raises `SourceError` when nothing of it can be read; otherwise what cannot be kept is counted in `Batch.skips`.
        """
        ...


@runtime_checkable
class AddressSource(Protocol):
    """A reader of a system that is asked over the network: of the same registry group, made without arguments."""

    name: ClassVar[str]

    def detect_address(self, address: str) -> bool:
        """Return whether an address (with `://`) can only be meant for this source."""
        ...

    def read_address(self, address: str, options: ReadOptions) -> Iterator[tuple[str, Batch]]:
        """Yield what the system holds in the window, named by what was asked."""
        ...
