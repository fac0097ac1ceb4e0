"""What every source of the group `workbench.sources` keeps: it knows its bytes and survives hostile ones."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from workbench.errors import ShapeError, WorkbenchError
from workbench.signals import Batch, check_batch
from workbench.sources import ReadOptions, Source
from workbench.testing.require import require

__all__ = ["check_source"]

HEAD = 65_536


def check_source(
    source: Source,
    example: bytes,
    path: str = "example",
    options: ReadOptions | None = None,
    *,
    detected: bool = True,
) -> None:
    """Check one source with one small file of its format.

    Parameters
    ----------
    source : Source
        Made without arguments; it may keep no state between files.
    example : bytes
        The content of a sound file, unpacked, at least one row.
    path : str, optional
        Its name, for sources that look at the ending.
    options : ReadOptions, optional
    detected : bool, optional
        Whether the example is recognised; False for a format that is read only when it is named.

    Raises
    ------
    AssertionError
        If the example is not recognised as told, or gives nothing; a batch is no shape; a second reading, or one in
        small pieces, differs; or cut, flipped or random bytes give any other error than this package's own.
    """
    told = options if options is not None else ReadOptions()
    require(isinstance(getattr(source, "name", None), str), f"{type(source).__name__} has no name.")
    recognised = source.detect(example[:HEAD], path)
    require(recognised is detected, f"{source.name} says {recognised!r} to its own example, not {detected}.")
    for foreign in (b"", b"\x00" * 64, np.random.default_rng(0).bytes(512)):
        require(
            source.detect(foreign, "unknown") is False, f"{source.name} claims {foreign[:8]!r}..., which is not its."
        )
    first = _read(source, io.BytesIO(example), path, told)
    require(sum(first.values()) > 0, f"{source.name} reads nothing from its example.")
    require(
        _read(source, io.BytesIO(example), path, told) == first, f"{source.name} reads its example differently twice."
    )
    require(
        _read(type(source)(), io.BufferedReader(_Trickle(example), 16), path, told) == first,
        f"{source.name} depends on how bytes arrive.",
    )
    for damaged in _damaged(example):
        source.detect(damaged[:HEAD], path)
        try:
            _read(source, io.BytesIO(damaged), path, told)
        except ShapeError as error:
            raise AssertionError(f"{source.name} made a malformed batch of damaged content: {error}") from error
        except WorkbenchError as error:
            require("\n" not in str(error), f"{source.name} explains damaged content in several lines: {error}")
        except Exception as error:
            raise AssertionError(
                f"{source.name} raised {error!r} on damaged content; allowed are SourceError."
            ) from error


def _read(source: Source, stream: BinaryIO, path: str, options: ReadOptions) -> Counter[str]:
    counts: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in source.read(stream, path, options):
            require(isinstance(batch, Batch), f"{source.name} yields {type(batch).__name__}; it must yield Batch.")
            counts.update(check_batch(batch).counts())
    return +counts


def _damaged(example: bytes, seed: int = 0) -> Iterator[bytes]:
    for share in (0.1, 0.5, 0.9):
        yield example[: int(len(example) * share)]
    yield example[:-1]
    yield example + b"\xff\x00{"
    generator = np.random.default_rng(seed)
    for _ in range(30):
        flipped = np.frombuffer(example, np.uint8).copy()
        at = generator.integers(0, len(flipped), 1 + len(flipped) // 200)
        flipped[at] = generator.integers(0, 256, len(at))
        yield flipped.tobytes()


class _Trickle(io.RawIOBase):
    """A stream that gives at most 7 bytes at a time, as a pipe may."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._inner.read(min(7, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)
