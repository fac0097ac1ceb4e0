"""The codecs by the id stored beside their bytes, and the best of those that hold values one by one.

`runs` and `dictionary` keep a shorter array inside, which is held by one of these in turn.
"""

from __future__ import annotations

from functools import cache

from workbench.codecs.codec import Array, Codec
from workbench.codecs.narrow import Narrow
from workbench.codecs.page import SLOWER, Page
from workbench.codecs.scale import MANY
from workbench.errors import InvalidInput

__all__ = ["PLAIN", "by_id", "installed", "plain", "weight"]

PLAIN = (9, 8, 12)
"""`narrow`, `sums`, `page`: what `runs` and `dictionary` may hold."""

_QUICK = (9, 12)


@cache
def installed() -> dict[int, Codec]:
    """Return every codec by its id.

    Raises
    ------
    InvalidInput
        If two of them claim one id.
    """
    from workbench import registry

    table: dict[int, Codec] = {}
    for name, made in registry.load_all("workbench.codecs").items():
        codec: Codec = made()
        if codec.id in table:
            raise InvalidInput(f"codecs {table[codec.id].name!r} and {name!r} both claim the id {codec.id}.")
        table[codec.id] = codec
    return table


def by_id(number: int) -> Codec:
    """Return a codec by the id stored beside its bytes.

    Raises
    ------
    ValueError
        If no codec with that id is installed.
    """
    codec = installed().get(number)
    if codec is None:
        raise ValueError(
            f"no codec has the id {number}: known are {sorted(installed())}; install the plug-in that wrote it"
        )
    return codec


def plain(array: Array, effort: str = "best") -> tuple[int, bytes] | None:
    """Return id and bytes of the smallest form without repetitions found, not yet compared with the array.

    Parameters
    ----------
    array : ndarray of float64 or int64, shape (n,), n >= 1, contiguous
    effort : {"best", "fast"}
        Decimals are taken as such where that leaves few exceptions; else "best" tries everything, "fast" takes the
        floats as they are.
    """
    narrow = Narrow(effort).encode(array)
    if narrow is not None and Narrow.exceptions(narrow) * MANY <= len(array):
        return Narrow.id, narrow
    if effort == "fast":
        page = Page(effort).encode(array)
        return None if page is None else (Page.id, page)
    forms = [(i, by_id(i).encode(array)) for i in PLAIN[1:]] if array.dtype.kind == "f" else []
    found = [(i, blob) for i, blob in [(Narrow.id, narrow), *forms] if blob is not None]
    return min(found, key=weight, default=None)


def weight(form: tuple[int, bytes], slower: float = SLOWER) -> float:
    """Return how many bytes of `narrow` or `page` an id and its bytes are worth: the others take longer to decode."""
    return len(form[1]) * (1.0 if form[0] in _QUICK else slower)
