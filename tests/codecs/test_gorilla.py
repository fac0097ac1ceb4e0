"""Gorilla: the stream of bits is that of the bit-by-bit twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests import naive
from tests.codecs.patterns import bits_of, float_patterns, floats
from workbench.codecs.gorilla import Gorilla


def text(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


@given(float_patterns)
def test_bits_are_those_of_the_twin(pattern):
    data = Gorilla().encode(floats(pattern))
    stream = naive.xor_values(pattern)
    assert text(data) == f"{pattern[0]:064b}{stream}{'0' * (-len(stream) % 8)}"
    out = np.empty(len(pattern))
    Gorilla().decode(data, out)
    assert bits_of(out) == naive.xor_values_back(pattern[0], text(data[8:]), len(pattern)) == pattern


def test_stream_with_more_or_fewer_values_is_refused():
    data = Gorilla().encode(np.arange(100.0))
    for n in (99, 101, 1):
        with pytest.raises(ValueError, match=f"the {n} values expected"):
            Gorilla().decode(data, np.empty(n))


def test_ones_behind_the_last_value_are_refused():
    data = Gorilla().encode(np.arange(3.0))
    assert len(text(data)) - 64 > len(naive.xor_values(bits_of(np.arange(3.0)))), "the case needs bits to fill up"
    with pytest.raises(ValueError, match="the 3 values expected"):
        Gorilla().decode(data[:-1] + bytes([data[-1] | 1]), np.empty(3))


def test_long_walk_returns():
    walk = np.random.default_rng(5).normal(size=20_000).cumsum()
    out = np.empty_like(walk)
    Gorilla().decode(Gorilla().encode(walk), out)
    assert bits_of(out) == bits_of(walk)
