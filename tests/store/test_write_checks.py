"""What is checked and looked at with each write: nothing twice, and nothing too few times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ShapeError, StoreError, WorkbenchWarning
from workbench.signals import Batch, Samples, build_samples, check_batch, check_samples, tables
from workbench.signals import batch as batch_module
from workbench.signals.tables import Texts, table_of
from workbench.store.pressure import Pressure

LAST = 9_214_646_400_000_000_000 - 1
names = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=4)
times = st.lists(st.integers(-2, 6) | st.sampled_from([LAST, LAST + 1, -(2**63)]), max_size=6)


def labels_of(pairs):
    return pd.DataFrame({"metric": [p[0] for p in pairs], "i": [p[1] for p in pairs]}).astype("str")


def quick(samples):
    table = table_of(samples.labels)
    return table is not None and table.sound and batch_module._surely_sound(samples, table)


def verdict(work, samples):
    try:
        work(samples)
    except ShapeError as error:
        return str(error)
    return ""


@given(
    names, times, st.lists(st.integers(-1, 7), min_size=5, max_size=5), st.sampled_from(["gauge", "speed"]), st.data()
)
def test_labels_seen_before_spare_no_other_check(pairs, instants, inner, kind, data):
    """The quick test never passes what the whole one refuses, and passes whatever is sound."""
    labels, n, m = labels_of(pairs), len(pairs), len(instants)
    sound = Samples(
        labels,
        np.zeros(n + 1, np.int64),
        np.empty(0, "M8[ns]"),
        np.empty(0),
        np.full(n, "gauge", object),
        np.full(n, "", object),
    )
    first = verdict(lambda s: check_batch(Batch(s)), sound)
    if data.draw(st.booleans()):
        inner = sorted(inner)
    offsets = np.array([0, *inner[: n - 1], m], np.int64)
    time = np.array(instants, np.int64).view("M8[ns]")
    samples = dataclasses.replace(sound, offsets=offsets, time=time, value=np.zeros(m), kind=np.full(n, kind, object))
    expected = verdict(check_samples, samples)
    assert verdict(lambda s: check_batch(Batch(s)), samples) == expected
    if not first:
        assert quick(samples) is not bool(expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.loc.__setitem__((0, "i"), "y"),
        lambda frame: frame.at.__setitem__((0, "i"), "y"),
        lambda frame: frame.iloc.__setitem__((0, 1), "y"),
        lambda frame: frame.__setitem__("i", "y"),
        lambda frame: frame["i"].array.__setitem__(0, "y"),
        lambda frame: frame._mgr.arrays[frame._mgr.blknos[1]].__setitem__(0, "y"),
    ],
)
def test_labels_changed_in_place_are_compared_again(change):
    labels = labels_of([("a", "x"), ("a", "y")])
    samples = Samples(
        labels,
        np.zeros(3, np.int64),
        np.empty(0, "M8[ns]"),
        np.empty(0),
        np.full(2, "gauge", object),
        np.full(2, "", object),
    )
    check_batch(Batch(samples))
    assert quick(samples)
    change(labels)
    if labels.duplicated().any():
        with pytest.raises(ShapeError, match="two series with the labels"):
            check_batch(Batch(samples))


def test_other_kinds_of_columns_are_compared_every_time():
    labels = labels_of([("a", "x"), ("a", "y")]).astype(object)
    samples = build_samples(
        [{"metric": "a", "i": "x"}, {"metric": "a", "i": "y"}], [0, 1], np.array([1, 1]), [1.0, 2.0]
    )
    samples = dataclasses.replace(samples, labels=labels)
    check_batch(Batch(samples))
    labels.to_numpy()
    labels.iloc[0, 1] = "y"
    with pytest.raises(ShapeError, match="two series with the labels"):
        check_batch(Batch(samples))


def test_labels_that_are_gone_are_not_mistaken_for_new_ones_at_their_place(monkeypatch):
    monkeypatch.setattr(tables, "_MOST", 8)
    tables._tables.clear()
    tables._seen.clear()
    for k in range(60):
        labels = labels_of([("a", "x"), ("a", "x" if k % 2 else "y")])
        samples = Samples(
            labels,
            np.zeros(3, np.int64),
            np.empty(0, "M8[ns]"),
            np.empty(0),
            np.full(2, "gauge", object),
            np.full(2, "", object),
        )
        assert ("two series" in verdict(lambda s: check_batch(Batch(s)), samples)) is bool(k % 2)
    assert len(tables._tables) <= 8
    assert len(tables._seen) <= 8


@given(names, names, st.booleans(), st.booleans())
def test_only_equal_tables_are_one(left, right, turned, cut):
    a, b = labels_of(left), labels_of(right)
    if turned:
        b = b[["i", "metric"]]
    if cut:  # a slice of a larger table holds the same text at another place
        b = pd.concat([b, b], ignore_index=True).iloc[len(b) :]
    same = list(a.columns) == list(b.columns) and a.to_numpy().tolist() == b.to_numpy().tolist()
    assert (table_of(a) is table_of(b)) is same
    assert table_of(a.astype(object)) is None
    assert table_of(a.rename(columns={"i": "j"})) is not table_of(a)


def test_odd_tables_are_none():
    several = pd.MultiIndex.from_tuples([("metric", "x")])
    for odd in (labels_of([]), pd.DataFrame([["a"]], dtype="str"), pd.DataFrame([["a"]], columns=several, dtype="str")):
        assert table_of(odd) is None


def test_tables_that_are_kept_have_a_bound_in_bytes(monkeypatch):
    monkeypatch.setattr(tables, "_MOST_BYTES", 20_000)
    tables._tables.clear()
    for k in range(40):
        table_of(labels_of([(f"m{k}", "x" * 1000)]))
    assert sum(table._bytes for table in tables._tables.values()) <= 20_000
    assert len(tables._tables) > 2


@given(
    st.lists(st.sampled_from(["gauge", "counter", ""]), max_size=4),
    st.lists(st.sampled_from(["gauge", "counter", ""]), max_size=4),
)
def test_texts_are_told_by_what_they_say(left, right):
    a, b = (np.array(["".join(list(text)) for text in texts], object) for texts in (left, right))
    held = Texts(a)
    assert held.are(b) is (left == right)
    assert held.are(a)
    if left:
        a[0] = "other"
        assert not held.are(a)


def test_hot_rows_are_counted_at_first_and_then_now_and_again():
    looks: list[int] = []
    pressure = Pressure(300)
    for write in range(21):
        pressure.after({"metrics": 5, "logs": 0}, lambda write=write: looks.append(write))
    assert looks == [0, 10, 20]
    pressure.after({"metrics": 250_000}, lambda: looks.append(-1))
    assert looks[-1] == -1
    every = Pressure(5)
    for _ in range(3):
        every.after({"logs": 1}, lambda: looks.append(9))
    assert looks.count(9) == 3


def test_a_seal_that_fails_after_a_write_is_a_warning():
    def fails():
        raise StoreError("the disk is full; free some space.")

    with pytest.warns(WorkbenchWarning, match="free some space; the write itself was kept"):
        Pressure().after({"logs": 1}, fails)
