"""Every error this package raises on purpose, in one tree.

    WorkbenchError
    +-- ShapeError         (ValueError)    an array or frame is not one of the five shapes
    +-- InvalidInput       (ValueError)    an argument, option or parameter is not allowed
    |   +-- QueryError                     a query could not be understood; has a position
    +-- NotFound           (LookupError)   a name, file, series or run does not exist
    +-- SourceError        (ValueError)    bytes from outside could not be read
    +-- LimitExceeded      (ValueError)    something is larger than a configured cap
    +-- StoreError         (OSError)       the store cannot be opened, written or trusted
    +-- MissingDependency  (ImportError)   an optional package is needed and absent
    +-- RunbookError       (RuntimeError)  a notebook run failed

A message is one sentence: what was given, what is allowed, what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "InvalidInput",
    "LimitExceeded",
    "MissingDependency",
    "NotFound",
    "QueryError",
    "RunbookError",
    "ShapeError",
    "SourceError",
    "StoreError",
    "WorkbenchError",
    "WorkbenchWarning",
    "check_one_of",
    "closest",
]


class WorkbenchError(Exception):
    """Base class of every deliberate error of this package."""


class ShapeError(WorkbenchError, ValueError):
    """An array or frame does not have the columns, dims or dtypes of its shape."""


class InvalidInput(WorkbenchError, ValueError):
    """An argument, option or parameter has a value that is not allowed."""


class QueryError(InvalidInput):
    """A query could not be understood.

    Parameters
    ----------
    message : str
        What was found and what was expected; alone in `message`, with the place in the text of the error.
    query : str
        The whole query text.
    position : int
        Zero-based character offset of the offending token.
    """

    def __init__(self, message: str, query: str = "", position: int = 0) -> None:
        self.message = message
        self.query = query
        self.position = position
        marker = f"\n  {query}\n  {' ' * position}^" if query and "\n" not in query and len(query) <= 200 else ""
        super().__init__(f"{message} (at character {position + 1}){marker}" if query else message)


class NotFound(WorkbenchError, LookupError):
    """A name, file, series or run does not exist."""


class SourceError(WorkbenchError, ValueError):
    """Bytes from outside could not be read as the format they claim to be."""


class LimitExceeded(WorkbenchError, ValueError):
    """Something is larger than a configured cap; the message names both figures."""


class StoreError(WorkbenchError, OSError):
    """The store cannot be opened, written or trusted."""


class MissingDependency(WorkbenchError, ImportError):
    """An optional package is needed for this and is not installed."""


class RunbookError(WorkbenchError, RuntimeError):
    """A notebook run failed; the executed notebook was still written."""


class WorkbenchWarning(UserWarning):
    """Something was skipped or degraded, and the work goes on."""


def closest(given: str, allowed: Iterable[str]) -> str:
    """Return the allowed name that looks most like the given one, or an empty string."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(given, list(allowed), n=1, cutoff=0.6)), "")


def check_one_of(given: str, allowed: Iterable[str], what: str) -> str:
    """Return `given` if it is one of `allowed`, else raise `InvalidInput` that names the choices and the closest."""
    choices = sorted(allowed)
    if given in choices:
        return given
    near = closest(given, choices)
    hint = f"; did you mean {near!r}?" if near else "."
    raise InvalidInput(f"{what} {given!r} is not known: use one of {', '.join(map(repr, choices))}{hint}")
