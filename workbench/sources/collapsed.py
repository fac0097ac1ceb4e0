"""Collapsed stacks: `root;caller;callee 12` a line, the exchange format of flame graph tools.

Each distinct stack of a file becomes one sample of type `samples` at the file's time; equal stacks are added up. The
mapping may hold constants for service, env, thread and sample_type. Frame names are kept verbatim.

References
----------
brendangregg/FlameGraph, README, "2. Fold stacks".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

import numpy as np

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.json_text import head_text
from workbench.sources.source import ReadOptions
from workbench.sources.stacks import StackRows
from workbench.sources.unpack import lines

__all__ = ["Collapsed"]

_LINE = re.compile(r"(.+)[ \t](\d{1,18})(?:\.\d+)?[ \t]*")
_HINTS = ("collapsed", "folded", "stackcollapse", "stacks")
_MAX_FRAMES = 4096


class Collapsed:
    """Collapsed stacks."""

    name: ClassVar[str] = "collapsed"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether most first lines end in a count, and one holds a semicolon or the name says so."""
        shown = [line.strip() for line in head_text(head).split("\n")[:200]]
        shown = [line for line in (shown[:-1] or shown) if line and not line.startswith("#")]
        counted = [line for line in shown if _LINE.fullmatch(line)]
        hinted = any(";" in line for line in counted) or any(hint in path.lower() for hint in _HINTS)
        return bool(counted) and hinted and len(counted) >= 0.9 * len(shown)

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield one batch with every distinct stack.

        Raises
        ------
        SourceError
            If no line is a stack with a count.
        """
        rows = StackRows(options)
        tags = options.constants(("service", "env", "thread", "sample_type"))
        counts: Counter[str] = Counter()
        for line in lines(stream, options.max_body_bytes, rows.skips):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None or found[1].count(";") >= _MAX_FRAMES:
                rows.skips["line that is no collapsed stack"] += 1
            else:
                counts[found[1]] += int(found[2])
        if not counts:
            raise SourceError(f"{path} holds no collapsed stacks: each line must be 'root;...;leaf COUNT'.")
        kind = tags.pop("sample_type", "samples")
        rows.unit[kind] = "count" if kind == "samples" else ""
        time = int(options.time.astype(np.int64))
        for text, count in counts.items():
            rows.add(time, rows.stack([(name, "", 0) for name in text.split(";")]), kind, count, tags)
        yield rows.flush()
