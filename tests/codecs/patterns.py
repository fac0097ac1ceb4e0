"""What arrays of floats the tests of the codecs are made of, as patterns of 64 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import strategies as st

SPECIAL = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000123, 0x7FF0000000000000, 0xFFF0000000000000,
           0x8000000000000000, 0, 1, 0x000FFFFFFFFFFFFF, 0x4340000000000000, 0x4340000000000001, 0x7FEFFFFFFFFFFFFF,
           0x433FFFFFFFFFFFFF, 0xC340000000000000, 0x43E0000000000000, 0x0010000000000000]  # fmt: skip
"""Stale marker, NaN payloads, infinities, -0.0, denormals, around 2**53 and 2**63, the largest and smallest."""


def pattern(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def floats(patterns: list[int]) -> np.ndarray:
    return np.array(patterns, np.uint64).view(np.float64)


def bits_of(array: np.ndarray) -> list[int]:
    return array.view(np.uint64).tolist()


def series(path: Path) -> list[tuple[str, np.ndarray]]:
    """Labels and values of each series of a table of samples that is ordered by series."""
    data = pq.read_table(path, columns=["labels", "value"]).unify_dictionaries()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in data["labels"].chunks])
    names = data["labels"].chunk(0).dictionary.to_pylist()
    edges = np.flatnonzero(np.diff(codes)) + 1
    values = np.split(data["value"].to_numpy(), edges)
    return [(names[codes[at]], value) for at, value in zip([0, *edges], values, strict=True)]


any_bits = st.one_of(st.sampled_from(SPECIAL), st.integers(0, 2**64 - 1))
decimals = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda i: pattern(i / 1000)),
    st.integers(-(2**53), 2**53).map(lambda i: pattern(float(i))),
    st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 22)).map(lambda p: pattern(p[0] / 10.0 ** p[1])),
    st.integers(-(10**6), 10**6).map(lambda i: pattern(i * 0.001)),
)
mostly_decimals = st.one_of(decimals, decimals, decimals, decimals, decimals, decimals, decimals, any_bits)


def accumulated(increments: list[int]) -> list[int]:
    total, found = 0.0, []
    for increment in increments:
        total = total + increment / 10**9 if increment >= 0 else 0.0
        found.append(pattern(total))
    return found


runs = st.lists(st.tuples(st.one_of(decimals, any_bits), st.integers(1, 40)), min_size=1, max_size=12).map(
    lambda pairs: [value for value, count in pairs for _ in range(count)]
)
few = st.lists(st.one_of(decimals, any_bits), min_size=1, max_size=5, unique=True).flatmap(
    lambda values: st.lists(st.sampled_from(values), min_size=1, max_size=80)
)
float_patterns = st.one_of(
    st.lists(any_bits, min_size=1, max_size=80),
    st.lists(decimals, min_size=1, max_size=80),
    st.lists(mostly_decimals, min_size=1, max_size=80),
    st.lists(st.integers(-1, 10**10), min_size=1, max_size=80).map(accumulated),
    runs,
    few,
)
"""Lists of patterns of every kind some codec was made for, one value at least."""
