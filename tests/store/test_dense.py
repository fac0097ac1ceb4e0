"""Samples on a grid: the block path says the same as sorting everything, which says the same as a loop."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.store import worlds
from workbench.signals import Batch, build_samples
from workbench.store import Store, dense, write

T0, S = worlds.T0, worlds.S

part = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=25)


@given(
    st.lists(st.tuples(part, st.booleans()), min_size=1, max_size=4),
    st.integers(-5, 40), st.integers(1, 7), st.integers(0, 30),
)  # fmt: skip
def test_any_mixture_of_writes_is_the_naive_grid(tmp_path_factory, parts, start, step, n):
    number, truth = 0, {}
    with Store.open(tmp_path_factory.mktemp("dense") / "s") as store:
        for rows, direct in parts:
            rows = sorted(dict.fromkeys(rows))
            values = np.arange(number, number + len(rows), dtype=float)
            number += len(rows)
            truth |= dict(zip(rows, values.tolist(), strict=True))
            which, when = (np.array(c) for c in zip(*rows, strict=True))
            labels = [{"metric": f"m{i}"} for i in range(3)]
            with patch.object(write, "_HOT_BYTES", 0 if direct else 2**24):
                store.write(Batch(build_samples(labels, which, T0 + when * S, values)))
        first, last = T0 + start * S, T0 + (start + (n - 1) * step) * S
        want = naive.dense_grid(truth, start, step, n)
        for _ in range(3):
            got = store.array([], first, last, step * S) if n else store.array([], T0, T0 - S, step * S)
            assert {
                m: row.tolist() for m, row in zip(got["metric"].values, np.nan_to_num(got.values, nan=-1), strict=True)
            } == want
            store.compact(everything=True)


def test_the_fast_path_is_taken_for_compacted_data(tmp_path):
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(worlds.samples(n=4, t=50)))
        store.compact(everything=True)
        with patch.object(dense, "of_flat", side_effect=AssertionError("sorted everything")):
            got = store.array([], T0, T0 + 49 * 15 * S, "15s")
        want = worlds.samples(n=4, t=50)
        assert got.values.tobytes() == want.value.reshape(4, 50).tobytes()
