"""Running sums of decimals: the chain is the plain one, and clearly smaller than floats as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.codecs.patterns import bits_of, series
from workbench.codecs.page import Page
from workbench.codecs.sums import Sums, add_up


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.lists(st.integers(-3, 10**9), min_size=1, max_size=60),
    st.integers(0, 15),
    st.booleans(),
)
def test_chain_is_that_of_the_twin(first, numbers, exponent, restarts):
    numbers = [n if n >= 0 or i % 8 == 0 else -n for i, n in enumerate(numbers)]
    out = np.empty(len(numbers) + 1)
    add_up(first, np.array(numbers, np.int64), exponent | (0x20 if restarts else 0), out)
    expected = np.array(naive.running_sums(first, numbers, exponent, restarts))
    assert bits_of(out) == bits_of(expected)


def returned(array: np.ndarray) -> int:
    """Bytes of the array after a round trip."""
    blob = Sums().encode(array)
    assert blob is not None
    out = np.empty_like(array)
    Sums().decode(blob, out)
    assert bits_of(out) == bits_of(array)
    return len(blob)


def latencies(n: int, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(10**6, 2**22, n) / 10**9


def test_sums_of_nanoseconds_are_much_smaller_than_their_floats():
    total = np.cumsum(latencies(2000)) + 0.0
    assert returned(total) < 0.88 * len(Page().encode(total))


def test_several_additions_between_samples_and_resets():
    every = np.cumsum(latencies(6000))[::3].copy()
    reset = np.concatenate([every, np.cumsum(latencies(1000, 5)), np.cumsum(latencies(1500, 6))])
    assert returned(every) < 0.95 * len(Page().encode(every))
    assert returned(reset) < 0.95 * len(Page().encode(reset))


def test_values_that_are_no_sums_are_declined():
    rng = np.random.default_rng(1)
    assert Sums().encode(rng.normal(size=200).cumsum()) is None
    assert Sums().encode(np.full(200, 2.5)) is None
    assert Sums().encode(np.array([1.0, np.nan, 2.0])) is None
    assert Sums().encode(np.array([1.0, 2.0])) is None


def test_too_many_chains_are_refused():
    with pytest.raises(ValueError, match="more chains than it may"):
        add_up(0.0, np.full(40, -5), 0x20, np.empty(41))


def test_real_sums_of_seconds_shrink(shared_data):
    wanted = ("prometheus_target_interval_length_seconds_sum", "prometheus_http_request_duration_seconds_sum")
    busy = [
        value
        for labels, value in series(shared_data / "store" / "scrape_1s.parquet")
        if any(f'"{name}"' in labels for name in wanted) and len(np.unique(value)) > 1000
    ]
    assert len(busy) == 2
    for value in busy:
        assert returned(value) < 0.9 * len(Page().encode(value))
