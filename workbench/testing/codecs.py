"""What every codec of the group `workbench.codecs` keeps: bits, inputs, and its temper on damaged bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.codecs import Codec, same_bits
from workbench.codecs.codec import Array
from workbench.testing.require import require

__all__ = ["check_codec"]

DTYPES = ("float64", "int64")


def check_codec(codec: Codec, seed: int = 0) -> None:
    """Check one codec.

    It has an id from 1 to 255, a name and its dtypes; what it encodes comes back bit for bit (NaN payloads, -0.0 and
    the extremes included), alike every time, leaving its input alone; it takes at least one array of every dtype it
    names; damaged bytes give `ValueError` or other values, never another error.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    require(isinstance(codec.id, int) and 1 <= codec.id <= 255, f"id is {codec.id!r}; it must be 1 to 255.")
    require(isinstance(codec.name, str) and bool(codec.name), f"name is {codec.name!r}; it must be text.")
    require(
        len(codec.dtypes) > 0 and set(codec.dtypes) <= set(DTYPES),
        f"dtypes are {codec.dtypes!r}; allowed are {', '.join(DTYPES)}.",
    )
    generator = np.random.default_rng(seed)
    for dtype in codec.dtypes:
        taken = [_round_trip(codec, name, array) for name, array in _arrays(dtype, generator)]
        require(any(taken), f"{codec.name} takes none of {len(taken)} arrays of {dtype}, which it says it can.")


def _round_trip(codec: Codec, what: str, array: Array) -> bool:
    given = array.copy()
    blob = codec.encode(array)
    require(same_bits(given, array), f"{codec.name} changed its input, {what}.")
    if blob is None:
        return False
    require(isinstance(blob, bytes), f"{codec.name} encoded {what} as {type(blob).__name__}; it must be bytes.")
    require(codec.encode(array) == blob, f"{codec.name} encoded {what} differently the second time.")
    out = np.full(len(array), 7, array.dtype)
    codec.decode(blob, out)
    require(same_bits(out, array), f"{codec.name} gave other bits back for {what}.")
    for damaged in _damaged(blob):
        try:
            codec.decode(damaged, np.empty_like(array))
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError(f"{codec.name} raised {error!r} on damaged bytes; allowed is ValueError.") from error
    return True


def _damaged(blob: bytes) -> Iterator[bytes]:
    yield from (b"", blob[: len(blob) // 2], blob[:-1], blob + b"\x00")
    for at in sorted({0, 1, len(blob) // 3, len(blob) - 1} & set(range(len(blob)))):
        yield blob[:at] + bytes([blob[at] ^ 0xFF]) + blob[at + 1 :]


def _arrays(dtype: str, generator: np.random.Generator) -> Iterator[tuple[str, Array]]:
    if dtype == "int64":
        extremes = np.iinfo(np.int64)
        steps = 1_700_000_000_000_000_000 + np.arange(480, dtype=np.int64) * 15_000_000_000
        yield "regular timestamps", steps
        yield "jittered timestamps", steps + generator.integers(-(10**6), 10**6, 480)
        yield "the extremes of int64", np.array([extremes.min, extremes.max, 0, -1, extremes.min])
        yield "one number", np.array([42])
        yield "equal numbers", np.full(100, -7)
        yield "random numbers", generator.integers(extremes.min, extremes.max, 500)
        return
    yield "equal values", np.full(480, 1.5)
    yield "one value", np.array([0.1])
    yield "counts", np.cumsum(generator.poisson(3.0, 480)).astype(np.float64)
    yield "decimals", np.round(generator.normal(20.0, 3.0, 480), 2)
    yield "noise", generator.normal(size=480)
    yield "random bits", generator.integers(0, 2**64 - 1, 300, dtype=np.uint64).view(np.float64)
    bits = np.array([0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000000, 1 << 63, 0, 1], np.uint64)
    yield "NaN payloads, the stale marker, both zeros", np.append(bits.view(np.float64), [np.inf, -np.inf, 5e-324])
    yield "equal stale markers", np.full(50, bits.view(np.float64)[0])
