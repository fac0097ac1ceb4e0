"""pprof: profiles as Go, Java, Python and many others write them, alone or in a recorded stream.

Every value of a sample becomes a row of its own sample type; zeros are left out. Text labels `service`, `env`,
`thread`, `trace_id`, `span_id` fill the columns of those names. Inlined calls are frames of their own.

References
----------
google/pprof: proto/profile.proto, and doc/README.md on what each field means.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import numpy as np
from google.protobuf.message import DecodeError

from workbench.errors import LimitExceeded, SourceError
from workbench.signals import Batch
from workbench.signals.time import MAX_NS
from workbench.sources.pprof_schema import parse_profile
from workbench.sources.source import ROWS_PER_BATCH, ReadOptions
from workbench.sources.stacks import Frame, StackRows
from workbench.sources.unpack import document, look_ahead, messages, unpack
from workbench.sources.wire import is_delimited_stream, is_profile

__all__ = ["Pprof"]

_TAGS = ("service", "env", "thread", "trace_id", "span_id")


class Pprof:
    """Profiles as `perftools.profiles.Profile` messages."""

    name: ClassVar[str] = "pprof"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the bytes begin as a profile message, alone or in a delimited stream."""
        return is_profile(head) or is_delimited_stream(head, is_profile)

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield the samples of one profile or of a stream of profiles.

        The mapping may hold constants for service and env, for profiles without labels of those names.

        Raises
        ------
        SourceError
            If nothing is a profile, or a stream ends inside a message (after what came before it).
        """
        rows = StackRows(options)
        head, stream = look_ahead(stream)
        good = 0
        failure: SourceError | LimitExceeded | None = None
        try:
            for body in _bodies(head, stream, path, options, rows.skips):
                try:
                    _add(rows, _profile(body, path, options), options)
                    good += 1
                except SourceError as error:
                    if not is_delimited_stream(head, is_profile):
                        raise
                    rows.skips["profile message that cannot be decoded"] += 1
                    failure = None if good else error
                if len(rows) >= ROWS_PER_BATCH:
                    yield rows.flush()
        except (SourceError, LimitExceeded) as error:
            failure = error
        batch = rows.flush()
        if not batch.empty() or (batch.skips and failure is None):
            yield batch
        if failure is not None:
            raise failure


def _bodies(head: bytes, stream: BinaryIO, path: str, options: ReadOptions, skips: Counter[str]) -> Iterator[bytes]:
    if not is_profile(head) and is_delimited_stream(head, is_profile):
        yield from messages(stream, path, options.max_body_bytes, skips)
    else:
        yield document(stream, path, options.max_body_bytes)


def _profile(body: bytes, path: str, options: ReadOptions) -> Any:
    """Return a decoded profile whose tables are sound enough to be read."""
    if body.startswith(b"\x1f\x8b"):
        body = document(unpack(io.BytesIO(body), path, options), path, options.max_body_bytes)
    try:
        profile = parse_profile(body)
    except DecodeError as error:
        raise SourceError(f"{path} holds a damaged pprof profile: {error}; get the file anew.") from error
    if not profile.sample_type or not profile.string_table or profile.string_table[0] != "":
        raise SourceError(
            f"{path} is no pprof profile: it has no sample types, or its string table does not begin with ''."
        )
    return profile


def _add(rows: StackRows, profile: Any, options: ReadOptions) -> None:
    strings = list(profile.string_table)
    n = len(strings)

    def text(index: int) -> str:
        return strings[index] if 0 <= index < n else ""

    types = [(text(kind.type), text(kind.unit)) for kind in profile.sample_type]
    for name, unit in types:
        rows.unit[name] = unit
    period = profile.period if text(profile.period_type.unit) == "nanoseconds" else 0
    rows.period = max(rows.period, period)
    time = profile.time_nanos
    if time == 0:
        time = int(options.time.astype(np.int64))
    if not 0 <= time < MAX_NS:
        rows.skips["profile outside 1970-2261"] += 1
        return
    frames = _frames(profile, text)
    constants = options.constants(("service", "env"))
    stacks: dict[tuple[int, ...], int] = {}
    for sample in profile.sample:
        ids = tuple(sample.location_id)
        stack = stacks.get(ids)
        if stack is None:
            whole = [frame for i in reversed(ids) for frame in frames.get(i, ())]
            stack = stacks[ids] = rows.stack(whole)
        labels = {text(label.key): text(label.str) for label in sample.label if label.str}
        tags = {**constants, **{name: labels[name] for name in _TAGS if name in labels}}
        if len(sample.value) != len(types):
            rows.skips["profile sample with a wrong number of values"] += 1
            continue
        for (name, _), value in zip(types, sample.value, strict=True):
            if value:
                rows.add(time, stack, name, value, tags)


def _frames(profile: Any, text: Any) -> dict[int, list[Frame]]:
    """Return the frames of every location by its id, callers first: inlined calls come innermost first in the file."""
    functions = {f.id: (text(f.name) or text(f.system_name), text(f.filename)) for f in profile.function}
    mappings = {m.id: text(m.filename) for m in profile.mapping}
    found: dict[int, list[Frame]] = {}
    for location in profile.location:
        lines = [(*functions.get(line.function_id, ("", "")), line.line) for line in reversed(location.line)]
        if not lines:
            lines = [(f"0x{location.address:x}", mappings.get(location.mapping_id, ""), 0)]
        found[location.id] = lines
    return found
