"""How loops are compiled. Import this inside the function that needs it: numba takes long to load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled at its first call, and kept on disk where there is a place for it.

    Divisions are those of IEEE 754, as numpy's are; the interpreter's lock is let go.
    """
    try:
        made: Callable[..., Any] = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # nowhere to write a cache: compile in every process
        made = njit(nogil=True, error_model="numpy")(function)
    return made
