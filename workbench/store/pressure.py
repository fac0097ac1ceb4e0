"""When a writer looks whether hot rows should be sealed: counting them at every write would cost more than the write."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

from workbench.errors import StoreError, WorkbenchWarning

__all__ = ["Pressure"]

_WRITES = 64
_ROWS = 250_000


class Pressure:
    """What one process has written since it last looked; the first write always looks.

    Parameters
    ----------
    limit : int
        Hot rows at which they are sealed; with several writers there may be a thirtieth more per writer.
    """

    def __init__(self, limit: int = 2000) -> None:
        self._every = min(max(1, limit // 30), _WRITES)
        self._writes = self._every
        self._rows = 0

    def after(self, counts: Mapping[str, int], seal: Callable[[], object]) -> None:
        """Take note of a write, and call `seal` when it is time to look.

        What was written is durable by now, so a seal that fails is a warning: an error would have the write repeated.
        """
        self._writes += 1
        self._rows += sum(counts.values())
        if self._writes < self._every and self._rows < _ROWS:
            return
        self._writes = self._rows = 0
        try:
            seal()
        except StoreError as error:
            text = str(error).rstrip(".")
            warnings.warn(f"{text}; the write itself was kept, sealing is tried again.", WorkbenchWarning, stacklevel=3)
