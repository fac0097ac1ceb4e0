"""Rows of profiles under way, for every format of stacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from workbench.signals import Batch, build_profiles
from workbench.sources.source import ReadOptions

__all__ = ["Frame", "StackRows"]

Frame: TypeAlias = tuple[str, str, int]
"""Function, file, line (0 when unknown)."""

_OPTIONAL = ("thread", "trace_id", "span_id")
_MAX_LINE = 2**31 - 1
_MAX_VALUE = 2**63 - 1


class StackRows:
    """Collects samples of call stacks; each distinct stack is kept once until `flush`."""

    def __init__(self, options: ReadOptions) -> None:
        self._cap = options.max_text_chars
        self.unit: dict[str, str] = {}
        self.period = 0
        self.skips: Counter[str] = Counter()
        self._renew()

    def _renew(self) -> None:
        self._stacks: dict[tuple[Frame, ...], int] = {}
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("time", "stack", "sample_type", "value", "service", "env", *_OPTIONAL)
        }

    def __len__(self) -> int:
        """Return the number of samples collected."""
        return len(self._columns["time"])

    def stack(self, frames: Sequence[Frame]) -> int:
        """Return the number of a stack, given from root to leaf."""
        cap = self._cap
        key = tuple((name[:cap], file[:cap], line if 0 <= line <= _MAX_LINE else 0) for name, file, line in frames)
        return self._stacks.setdefault(key, len(self._stacks))

    def add(self, time: int, stack: int, sample_type: str, value: int, tags: Mapping[str, str]) -> None:
        """Add one sample: nanoseconds since 1970, a number `stack` gave, and tags such as service and thread."""
        if not -_MAX_VALUE <= value <= _MAX_VALUE:
            self.skips["profile value beyond 64 bits"] += 1
            return
        columns = self._columns
        columns["time"].append(time)
        columns["stack"].append(stack)
        columns["sample_type"].append(sample_type)
        columns["value"].append(value)
        columns["service"].append(tags.get("service", ""))
        columns["env"].append(tags.get("env", ""))
        for name in _OPTIONAL:
            columns[name].append(tags.get(name))

    def flush(self) -> Batch:
        """Return what is there as a batch and begin anew."""
        batch = Batch(skips=self.skips)
        if len(self):
            columns: dict[str, Any] = dict(self._columns)
            for name in _OPTIONAL:
                values = columns.pop(name)
                if any(value is not None for value in values):
                    columns[name] = pd.array(values, dtype="str")
            batch.profiles = build_profiles(columns, list(self._stacks), self.unit, self.period)
        self.skips = Counter()
        self._renew()
        return batch
