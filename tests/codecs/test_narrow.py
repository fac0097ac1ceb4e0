"""Decimals and integers: the integers are the plain ones, the exceptions few, the type the narrowest."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.patterns import SPECIAL, bits_of, decimals, floats, mostly_decimals
from workbench.codecs import integers, scale, varint
from workbench.codecs.narrow import Narrow

int64s = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-200, 200),
    st.integers(2**40, 2**40 + 300),
    st.sampled_from([-128, 127, 128, -129, 2**15 - 1, 2**15, 2**31 - 1, 2**31, -(2**63), 2**63 - 1]),
)


@given(st.lists(int64s, min_size=1, max_size=60), st.sampled_from([("first",), ("none", "second", "steps")]))
def test_integers_come_back(numbers, deltas):
    array = np.array(numbers, np.int64)
    blob = integers.pack(array, deltas)
    out = np.empty_like(array)
    integers.unpack(b"before" + blob, 6, out)
    assert out.tolist() == numbers
    if max(map(abs, numbers)) <= 2**53:
        real = np.empty(len(numbers))
        integers.unpack(blob, 0, real)
        assert real.tolist() == numbers


@pytest.mark.parametrize(
    ("numbers", "mark"),
    [
        ([-128, 127], 0), ([0, 128, 5, 128], 4), ([0, 256, 5, 700], 1), ([10**12, 10**12 + 9], 4),
        ([0, 2**31 - 1, 5], 2), ([0, 2**32 + 1, 2**40], 3),
    ],
)  # fmt: skip
def test_the_narrowest_type_is_taken(numbers, mark):
    assert integers.pack(np.array(numbers), ("none",))[0] == mark


def test_steady_growth_is_kept_as_differences():
    counter = 10**9 + np.cumsum(np.random.default_rng(1).integers(0, 100, 60)) * 10
    counter[::2] += 3
    mark = integers.pack(counter // 10, ("none", "first", "second", "steps"))[0]
    assert mark == 8 | 4 | 0, "differences behind a base, one byte each"


@given(st.integers(0, 2**35 - 1), st.binary(max_size=3))
def test_varints_come_back(number, before):
    data = before + varint.write(number)
    assert varint.read(data + b"\xff", len(before)) == (number, len(data))
    with pytest.raises(ValueError, match="does not end"):
        varint.read(data[:-1], len(before))


@given(st.lists(decimals, min_size=1, max_size=40), st.booleans())
def test_integers_stand_for_their_values_exactly(pattern, inverse):
    """Twin in exact arithmetic: the value is the float nearest to k / 10**e, or the product of k and the float 10**-e."""
    array = floats(pattern)
    found = scale.find(array, inverse=inverse)
    if found is None:
        return
    bad = set(found.bad.tolist())
    for i, (value, k) in enumerate(zip(array.tolist(), found.integers.tolist(), strict=True)):
        back = k * float(f"1e-{found.exponent}") if found.times else float(Fraction(k, 10**found.exponent))
        right = back == value and np.signbit(back) == np.signbit(value) and abs(k) <= 2**53
        assert (i in bad) or right


@given(st.lists(mostly_decimals, min_size=8, max_size=60))
def test_at_most_one_value_in_eight_is_an_exception(pattern):
    found = scale.find(floats(pattern))
    assert found is None or len(found.bad) * 8 <= len(pattern)


@pytest.mark.parametrize("special", SPECIAL[:6])
def test_exceptions_keep_their_bits(special):
    array = np.append(np.round(np.random.default_rng(1).normal(size=99), 3), floats([special]))
    for at in (0, 50, 99):
        moved = np.roll(array, at)
        blob = Narrow().encode(moved)
        assert blob is not None
        out = np.empty(100)
        Narrow().decode(blob, out)
        assert bits_of(out) == bits_of(moved)


def test_products_with_a_thousandth_are_decimals_too():
    array = np.random.default_rng(1).integers(0, 10**6, 500).cumsum() * 0.001
    assert scale.find(array) is None
    blob = Narrow().encode(array)
    assert blob[0] == 0x40 | 3
    assert len(blob) < 1600


def test_values_that_are_no_decimals_are_declined():
    assert Narrow().encode(np.random.default_rng(1).normal(size=100)) is None
    assert Narrow().encode(np.full(4, np.nan)) is None
