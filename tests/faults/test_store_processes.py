"""Races of real processes that end within a moment: making a store, one key, a fork; and the checker's own test."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.faults import content
from workbench.signals import Samples, build_samples
from workbench.store import Store


def test_a_key_is_written_once_however_many_processes_try(nursery, tmp_path):
    writers = [nursery.start("actors:repeat", tmp_path / "s", 12) for _ in range(3)]
    finished = [process.finish() for process in writers]
    assert [status for _, status in finished] == [0, 0, 0], [process.errors() for process in writers]
    written = np.array([[int(line) for line in lines] for lines, _ in finished])
    assert written.sum(axis=0).tolist() == [4] * 12
    nursery.run("actors:check", tmp_path / "s", {"same": 12}, 0)


def test_a_store_is_made_once_by_many_that_open_it_at_the_same_time(nursery, tmp_path):
    names = [f"w{i}" for i in range(4)]
    for attempt in range(12):
        instant = time.time() + 0.05
        openers = [nursery.start("actors:open_at", tmp_path / f"s{attempt}", name, instant) for name in names]
        for process in openers:
            assert process.finish()[1] == 0, process.errors()
        with Store.open(tmp_path / f"s{attempt}") as store:
            content.check(store, dict.fromkeys(names, 1), 0)


def test_a_forked_child_uses_its_own_connection(nursery, tmp_path):
    nursery.run("actors:fork", tmp_path / "s")


def altered(how: str) -> SimpleNamespace:
    """Return what a store with ten batches would answer, after something happened to it."""
    writer, count = "w0", 10
    parts = [content.batch(writer, number) for number in range(count)]
    shapes = [part.metrics for part in parts if part.metrics is not None]
    labels = shapes[0].labels
    series = np.concatenate([np.repeat(np.arange(len(labels)), np.diff(s.offsets)) for s in shapes])
    instants = np.concatenate([s.time for s in shapes])
    value = np.concatenate([s.value for s in shapes]).copy()
    keep = np.ones(len(value), bool)
    plain = np.flatnonzero((series == 0) & (instants == instants.min()))[0]
    if how == "flipped":
        value.view(np.uint64)[plain] ^= np.uint64(1)
    elif how == "payload of a NaN":
        nan = np.flatnonzero(np.isnan(value))[0]
        value.view(np.uint64)[nan] ^= np.uint64(1)
    elif how == "one sample lost":
        keep[plain] = False
    elif how == "one batch lost":
        first = instants < content.T0 + 6 * content.MINUTE
        keep = first | (instants >= content.T0 + 7 * content.MINUTE)
    elif how == "moved":
        instants[plain] += np.timedelta64(1, "ns")
    elif how == "older one wins":
        late = np.flatnonzero(series == content.LATE)
        value[late[12:24]], value[late[24:36]] = value[late[24:36]].copy(), value[late[12:24]].copy()
    elif how == "of somebody else":
        labels = labels.assign(writer=["w1", *labels["writer"][1:]])
    got = build_samples(labels, series[keep], instants[keep], value[keep])
    frame = content.logs(writer, np.arange(count))
    if how == "record lost":
        frame = frame.drop(index=5)
    elif how == "record doubled":
        frame = frame.iloc[[*range(len(frame)), 5]]
    elif how == "record altered":
        frame.loc[5, "hash"] = "0" * 16
    said = ["damage"] if how == "damage" else []
    native = altered_natives(how, writer, count)
    return SimpleNamespace(
        select=lambda matchers: native if matchers == content.NATIVES else got,
        series=lambda _: pd.DataFrame({"writer": [writer]}), rows=lambda _: frame, verify=lambda: said,
    )  # fmt: skip


def altered_natives(how: str, writer: str, count: int) -> Samples:
    """Return the native histograms of ten batches, after something happened to them."""
    found = content.natives(writer, np.arange(count))
    pool = found.histograms
    assert pool is not None
    if how == "histogram flipped":
        bucket = pool.bucket.copy()
        bucket.view(np.uint64)[3] ^= np.uint64(1)
        return replace(found, histograms=replace(pool, bucket=bucket))
    if how == "histogram with another's bucket":
        return replace(found, histograms=replace(pool, key=pool.key + (np.arange(len(pool.key)) == len(pool.key) - 1)))
    if how == "histogram lost":
        return found.between(content.T0, found.time[-1])
    if how == "number for a histogram":
        return replace(found, row=np.where(np.arange(len(pool)) == 4, -1, np.arange(len(pool))))
    return found.take(np.empty(0, np.int64)) if how == "no histograms" else found


@pytest.mark.parametrize(
    "how",
    ["flipped", "payload of a NaN", "one sample lost", "one batch lost", "moved", "older one wins", "of somebody else",
     "record lost", "record doubled", "record altered", "damage", "histogram flipped", "histogram with another's bucket",
     "histogram lost", "number for a histogram", "no histograms"],
)  # fmt: skip
def test_the_checker_finds_what_is_wrong(how):
    content.check(altered("nothing"), {"w0": 10}, 0)
    content.check(altered("nothing"), {"w0": 9}, 1)
    with pytest.raises(AssertionError):
        content.check(altered(how), {"w0": 10}, 0)


def test_the_checker_finds_a_lost_acknowledgement():
    with pytest.raises(AssertionError, match="11 acknowledged, 10 there"):
        content.check(altered("nothing"), {"w0": 11}, 1)
    with pytest.raises(AssertionError, match="8 acknowledged, 10 there"):
        content.check(altered("nothing"), {"w0": 8}, 1)
