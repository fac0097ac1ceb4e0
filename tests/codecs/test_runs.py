"""Repetitions: runs and dictionaries hold each value once, and say no to lengths and places that cannot be."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.patterns import bits_of, few, floats, runs
from workbench.codecs import integers, varint
from workbench.codecs.dictionary import Dictionary
from workbench.codecs.narrow import Narrow
from workbench.codecs.runs import Runs


@pytest.mark.parametrize("effort", ["best", "fast"])
@given(pattern=runs)
def test_runs_are_those_of_groupby(effort, pattern):
    blob = Runs(effort).encode(floats(pattern))
    groups = [len(list(group)) for _, group in groupby(pattern)]
    if len(groups) > len(pattern) // 2 + 1:
        assert blob is None
        return
    assert varint.read(blob, 1)[0] == len(groups)
    out = np.empty(len(pattern))
    Runs().decode(blob, out)
    assert bits_of(out) == pattern


@given(few)
def test_dictionary_holds_each_value_once(pattern):
    blob = Dictionary().encode(floats(pattern))
    distinct = len(set(pattern))
    if distinct > len(pattern) // 2:
        assert blob is None
        return
    assert varint.read(blob, 1)[0] == distinct
    out = np.empty(len(pattern))
    Dictionary().decode(blob, out)
    assert bits_of(out) == pattern


def forged(lengths: list[int], count: int) -> bytes:
    """A chunk of runs 0, 1, 2, ... whose lengths less one (but the last) are the ones given."""
    body = integers.pack_narrow(np.array(lengths), ("none",))
    values = Narrow().encode(np.arange(float(count)))
    return bytes([9]) + varint.write(count) + varint.write(len(body)) + body + values


def test_lengths_that_cannot_be_are_refused():
    out = np.empty(20)
    Runs().decode(forged([4, 4], 3), out)
    assert out.tolist() == [0.0] * 5 + [1.0] * 5 + [2.0] * 10
    for lengths in ([-1, 4], [10, 10], [2**62, 2**62], [-(2**63), 5], [19, 0]):
        with pytest.raises(ValueError, match="longer than its values"):
            Runs().decode(forged(lengths, 3), out)


def test_places_outside_the_dictionary_are_refused():
    values = Narrow().encode(np.arange(3.0))
    for places in ([0, 1, 2, 3], [0, -1, 2, 1]):
        body = integers.pack_narrow(np.array(places), ("none",))
        with pytest.raises(ValueError, match="not in it"):
            Dictionary().decode(bytes([9]) + b"\x03" + varint.write(len(values)) + values + body, np.empty(4))


@given(st.sampled_from([1, 4, 7, 10, 11, 99]))
def test_only_plain_forms_may_be_inside(inner):
    for one, blob in ((Runs(), forged([4, 4], 3)), (Dictionary(), Dictionary().encode(np.resize([1.0, 2.0], 20)))):
        with pytest.raises(ValueError, match="broken head"):
            one.decode(bytes([inner]) + blob[1:], np.empty(20))
