"""Native histograms in the store: written, sealed, joined, moved and read back to the bit, whole or not at all."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store import native_strategies as native
from workbench.signals import Batch
from workbench.store import Store
from workbench.store.native import shred
from workbench.store.native_join import join


@given(native.points())
def test_what_is_shredded_is_joined_again(points):
    given = native.samples_of(points)
    made = shred(given)
    assert native.told(join(made.samples)) == native.told(given)
    assert made.left_out == 0
    assert (made.owner[: len(given)] == np.arange(len(given))).all()


@settings(max_examples=30)
@given(
    st.lists(native.points(), min_size=1, max_size=4), st.lists(st.sampled_from(["", "seal", "compact"]), min_size=4)
)
def test_the_last_write_of_an_instant_is_read_whole(tmp_path_factory, writes, steps):
    want = {}
    with Store.open(tmp_path_factory.mktemp("native") / "s") as store:
        for points, step in zip(writes, steps, strict=False):
            store.write(Batch(native.samples_of(points)))
            want |= points
            if step:
                (store.seal if step == "seal" else lambda: store.compact(everything=True))()
        assert native.told(store.select([])) == native.told(native.samples_of(want))
        assert store.verify() == []
