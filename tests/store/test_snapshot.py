"""Segments as the catalog names them: checked once, looked at again when their row changes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.store import worlds
from workbench.errors import StoreError
from workbench.signals import Batch
from workbench.store import Store, snapshot
from workbench.store.snapshot import load_segments

LIVE = ("signal = ? AND retired IS NULL", ("metrics",))


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "s") as one:
        for start in (0, 20, 40):
            one.write(Batch(worlds.samples(start=start)))
            one.seal()
        yield one


def loaded(store, known):
    with store._catalog.read() as connection:
        return load_segments(connection, *LIVE, known)


def change(store, statement):
    with store._catalog.write() as connection:
        connection.execute(statement)


def test_a_segment_is_checked_once_as_long_as_its_row_stays(store, monkeypatch):
    known = {}
    first = loaded(store, known)
    assert [s.id for s in first] == sorted(known)
    monkeypatch.setattr(snapshot, "row_crc", lambda *values: pytest.fail("looked at again"))
    assert loaded(store, known) == first
    assert all(a is b for a, b in zip(first, loaded(store, known), strict=True))
    monkeypatch.undo()
    store.write(Batch(worlds.samples(start=60)))
    store.seal()
    assert len(loaded(store, known)) == 4
    assert loaded(store, known)[:3] == first


def test_a_row_that_changed_is_looked_at_again(store):
    known = {}
    one = loaded(store, known)[0]
    change(store, f"UPDATE segments SET tier = 'cold' WHERE id = {one.id}")
    assert [s.tier for s in loaded(store, known)] == ["cold", "warm", "warm"]
    change(store, f"UPDATE segments SET t_max = t_max + 1 WHERE id = {one.id}")
    with pytest.raises(StoreError, match=f"row of segment {one.id} is damaged"):
        loaded(store, known)


def test_what_is_kept_has_a_bound(store, monkeypatch):
    monkeypatch.setattr(snapshot, "_MOST_KNOWN", 2)
    known = {}
    assert len(loaded(store, known)) == len(loaded(store, known)) == 3
    assert len(known) <= 2


@pytest.mark.parametrize("damage", ["signal = 'mdtrics'", "t_min = t_min + (1 << 60)", "t_max = 7", "retired = 0"])
def test_a_row_that_no_question_would_find_is_told(store, damage):
    """Damage may hide a segment from every condition, so each row is looked at once, whatever is asked."""
    one = loaded(store, {})[1]
    change(store, f"UPDATE segments SET {damage} WHERE id = {one.id}")
    with Store.open(store.path) as again, pytest.raises(StoreError, match=f"row of segment {one.id} is damaged"):
        again.select([])


@pytest.mark.parametrize("damage", ["t_min = t_min + (1 << 60), t_max = t_max + (1 << 60)", "t_max = 0, t_min = 0"])
def test_a_hot_row_whose_times_are_damaged_is_told_in_every_window_it_belongs_to(store, damage):
    """Its checksum says so, although the window was asked for by the damaged times."""
    store.write(Batch(worlds.samples(start=60)))
    low, high = store.extent("metrics")
    inside = store.select([], high - np.timedelta64(1, "s")).n_samples
    assert inside
    change(store, f"UPDATE hot SET {damage}")
    with Store.open(store.path) as again:
        with pytest.raises(StoreError, match=r"hot row \d+ of metrics is damaged"):
            again.select([], high - np.timedelta64(1, "s"), high + np.timedelta64(1, "s"))
        assert again.select([], low, low + np.timedelta64(1, "s")).n_samples, "what lies elsewhere is read"
