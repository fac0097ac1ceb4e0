"""speedscope's own JSON: sampled and evented profiles.

Equal stacks of a profile are added up; a profile's name becomes the thread. Times are in nanoseconds whatever the unit
of the file, sample type `time`; other units give the type `samples` or `bytes`. Evented profiles give each stack the
time it was on top. The mapping may hold constants for service and env.

References
----------
jlfwong/speedscope: src/lib/file-format-spec.ts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import numpy as np

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.json_text import head_text, json_document
from workbench.sources.source import ReadOptions
from workbench.sources.stacks import Frame, StackRows

__all__ = ["Speedscope"]

_UNITS = {
    "nanoseconds": ("time", "nanoseconds", 1.0), "microseconds": ("time", "nanoseconds", 1e3),
    "milliseconds": ("time", "nanoseconds", 1e6), "seconds": ("time", "nanoseconds", 1e9),
    "bytes": ("bytes", "bytes", 1.0), "none": ("samples", "count", 1.0),
}  # fmt: skip


class Speedscope:
    """speedscope's file format."""

    name: ClassVar[str] = "speedscope"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the content names speedscope's schema, or has its keys and the name says so."""
        text = head_text(head)
        named = "speedscope.app/file-format-schema" in text
        return text.startswith("{") and (named or (".speedscope." in path and '"profiles"' in text))

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield one batch with all profiles of the file.

        Raises
        ------
        SourceError
            If the content is not JSON, or lacks shared frames or profiles.
        """
        rows = StackRows(options)
        found = json_document(stream, path, options, rows.skips)
        profiles = found.get("profiles") if isinstance(found, dict) else None
        shared = found.get("shared") if isinstance(found, dict) else None
        frames = shared.get("frames") if isinstance(shared, dict) else None
        if not isinstance(profiles, list) or not isinstance(frames, list):
            raise SourceError(f"{path} is no speedscope file: it needs 'shared.frames' and 'profiles'.")
        table = [_frame(frame) for frame in frames]
        tags = options.constants(("service", "env"))
        time = int(options.time.astype(np.int64))
        for profile in profiles:
            try:
                if not isinstance(profile, dict):
                    raise TypeError("not an object")
                _add(rows, profile, table, tags, time)
            except (KeyError, TypeError, ValueError, IndexError, OverflowError):
                rows.skips["speedscope profile that breaks the format"] += 1
        yield rows.flush()


def _frame(frame: Any) -> Frame:
    if not isinstance(frame, dict):
        return "", "", 0
    line = frame.get("line")
    return str(frame.get("name", "")), str(frame.get("file") or ""), line if isinstance(line, int) else 0


def _add(rows: StackRows, profile: dict[str, Any], table: list[Frame], tags: dict[str, str], time: int) -> None:
    name, unit, factor = _UNITS.get(profile.get("unit", "none"), _UNITS["none"])
    if profile["type"] == "sampled":
        totals = _sampled(profile)
    elif profile["type"] == "evented":
        totals = _evented(profile, rows.skips)
    else:
        raise ValueError("unknown type of profile")
    if any(not 0 <= frame < len(table) for stack in totals for frame in stack):
        raise IndexError("frame outside the table")
    rows.unit[name] = unit
    thread = {"thread": str(profile["name"])} if profile.get("name") else {}
    for stack, total in totals.items():
        value = round(total * factor)
        if value:
            rows.add(time, rows.stack([table[frame] for frame in stack]), name, value, {**tags, **thread})


def _sampled(profile: dict[str, Any]) -> dict[tuple[int, ...], float]:
    samples = profile["samples"]
    weights = profile.get("weights") or [1] * len(samples)
    totals: dict[tuple[int, ...], float] = {}
    for stack, weight in zip(samples, weights, strict=True):
        if not math.isfinite(weight):
            raise ValueError("weight that is no number")
        key = tuple(stack)
        totals[key] = totals.get(key, 0) + weight
    return totals


def _evented(profile: dict[str, Any], skips: Counter[str]) -> dict[tuple[int, ...], float]:
    """Return the time every stack was on top; frames left open end with the profile."""
    totals: dict[tuple[int, ...], float] = {}
    stack: list[int] = []
    last = float(profile["startValue"])
    for event in profile["events"]:
        at = float(event["at"])
        if not math.isfinite(at) or at < last:
            skips["speedscope event out of order"] += 1
            continue
        if stack and at > last:
            key = tuple(stack)
            totals[key] = totals.get(key, 0) + at - last
        last = at
        if event["type"] == "O":
            stack.append(event["frame"])
        elif stack and stack[-1] == event["frame"]:
            stack.pop()
        else:
            skips["speedscope event that closes a frame which is not open"] += 1
    end = float(profile.get("endValue", last))
    if stack and end > last:
        totals[tuple(stack)] = totals.get(tuple(stack), 0) + end - last
    return totals
