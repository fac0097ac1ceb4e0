"""What a source is: it recognises bytes by their content and turns them into batches of the five shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import numpy as np

from workbench import settings as settings_table
from workbench.errors import InvalidInput
from workbench.signals import Batch

__all__ = ["HEAD_BYTES", "ROWS_PER_BATCH", "ReadOptions", "Source"]

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
    """

    settings: Mapping[str, Any] = field(default_factory=settings_table.load)
    mapping: Mapping[str, str] | None = None
    time: np.datetime64 = _EPOCH

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
