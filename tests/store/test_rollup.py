"""Rollups of a real store: made once, replaced when late samples come, joined over time, never wrong."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.signals import Batch, Matcher, build_samples
from workbench.signals.samples import STALE_NAN
from workbench.store import Store, rollup_build, rollup_merge
from workbench.store.rollup_build import SETTLED_NS, due_days
from workbench.store.rollup_plan import RawSpans, RollupSegment, load_raw_spans, load_rollups
from workbench.store.rollup_segment import DAY, File
from workbench.store.rollup_store import Rollups

S = 10**9
D0 = 20_000
ORIGIN = D0 * DAY
NOW = ORIGIN + 40 * DAY


def of(store: Store) -> Rollups:
    return Rollups(store._folder, store._catalog, store._reader)


def write(store: Store, first: float, last: float, every: int = 15, seed: int = 0, series: int = 4) -> None:
    """Write days (first, last] of some series: a boundary of everything among the instants, odd values among them."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(series):
        time = ORIGIN + np.arange(int(first * 86_400), int(last * 86_400) + 1, every) * S
        time = time[(rng.random(len(time)) < 0.9) | (time % (300 * S) == 0)]
        value = np.round(rng.normal(size=len(time)).cumsum(), 2) if number % 2 else rng.random(len(time)).cumsum()
        if number == 2:
            value[rng.random(len(time)) < 0.01] = 0.0
            value[rng.random(len(time)) < 0.02] = np.nan
        if number == 3:
            value[rng.random(len(time)) < 0.02] = STALE_NAN
            value[rng.random(len(time)) < 0.001] = np.inf
        parts.append((np.full(len(time), number), time, value))
    labels = pd.DataFrame({"metric": ["m"] * series, "service": [f"s{i}" for i in range(series)]})
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    store.write(Batch(build_samples(labels, columns[0], columns[1].astype("datetime64[ns]"), columns[2])))


def live(store: Store) -> list[RollupSegment]:
    with store._catalog.read() as transaction:
        return load_rollups(transaction, 0, 2**63 - 1)


QUESTIONS = [
    ("avg", 300, 300), ("sum", 3600, 3600), ("min", 3600, 86_400), ("max", 900, 300), ("count", 300, 3600),
    ("first", 3600, 7200), ("last", 300, 300), ("delta", 300, 300), ("increase", 7200, 3600), ("increase", 300, 300),
]  # fmt: skip


def answers(rollups: Rollups, days: float, marks: list[set[int]] | None = None) -> list[np.ndarray]:
    out = []
    for function, step, window in QUESTIONS:
        span = (ORIGIN + step * S, ORIGIN + int(days * DAY), step * S)
        _, values, used = rollups.ask([], function, span, window * S)
        out.append(values)
        if marks is not None:
            marks.append({u["step"] // S for u in used})
    return out


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for (function, _, _), a, b in zip(QUESTIONS, left, right, strict=True):
        if function in ("avg", "sum", "increase"):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        else:
            np.testing.assert_array_equal(a, b)


def test_rollups_answer_as_samples_do_while_days_come_late_and_are_joined(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 2.5)
        rollups = of(store)
        plain = answers(rollups, 3)
        assert rollups.update(NOW - 38 * DAY + SETTLED_NS) == {"days": 3, "joined": 0}, "and the midnight before"
        marks: list[set[int]] = []
        assert_same(answers(rollups, 3, marks), plain)
        assert {0, 300} in marks
        assert {0, 3600} in marks
        write(store, 2.5, 6, seed=1)
        plain = answers(of(store), 7)  # days 0 and 1 from rollups still
        assert rollups.update(NOW)["days"] == 4, "the third day again, and three more"
        steps = {(s.step // S, s.days[1] - s.days[0]) for s in live(store)}
        assert steps == {(300, 8), (3600, 64)}, "what periods are over is joined"
        marks = []
        assert_same(answers(rollups, 7, marks), plain)
        for (_, step, window), used in zip(QUESTIONS, marks, strict=True):
            assert (0 in used) == (window > step), "only the one sample at the midnight before is not rolled up"
        assert rollups.update(NOW) == {"days": 0, "joined": 0}
        assert store.verify() == []


def test_late_samples_are_read_at_once_and_rolled_up_next_time(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 3)
        rollups = of(store)
        rollups.update(NOW)
        span = (ORIGIN + 3600 * S, ORIGIN + 3 * DAY, 3600 * S)
        late = build_samples([{"metric": "m", "service": "s1"}], [0], [np.datetime64(ORIGIN + DAY + 5, "ns")], [1e6])
        store.write(Batch(late))
        for wanted in ({0, 3600}, {3600}):
            ids, values, used = rollups.ask([Matcher("service", "=", "s1")], "max", span)
            assert values[0].max() == values[0, 24] == 1e6
            assert {u["step"] // S for u in used} == wanted
            rollups.update(NOW)
        assert len(ids) == 1
        newest = {s.days: s.rank for s in live(store)}
        assert len(newest) <= 3, "joined again"


def test_a_rollup_older_than_late_samples_is_not_joined(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 3)
        rollups = of(store)
        rollups.update(ORIGIN + 3 * DAY + SETTLED_NS)
        before = live(store)
        write(store, 1.2, 1.3, seed=9)
        with store._catalog.read() as transaction:
            raw = load_raw_spans(transaction)
        assert due_days(raw, before, NOW) == [D0 + 1]
        parts = [s for s in before if s.step == 3600 * S]
        assert not rollup_merge._true(parts, raw)
        expired = RawSpans(raw.seq, raw.seq, raw.t_min, raw.t_max)
        late = expired.seq > max(s.rank for s in before)
        only_late = RawSpans(*(getattr(expired, name)[late] for name in ("since", "seq", "t_min", "t_max")))
        assert rollup_merge._true(parts, only_late), "what they were made of is gone"
        assert due_days(only_late, before, NOW) == []


def test_of_two_that_roll_up_at_once_one_wins(tmp_path, monkeypatch):
    path = tmp_path / "s"
    with Store.open(path) as store:
        write(store, 0, 1)
        plain = answers(of(store), 1)
    barrier, done = threading.Barrier(2), []
    real = rollup_build.reach

    def reach(point: str) -> None:
        if point == "rollup.written" and len(done) == 0:
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(30)
        real(point)

    monkeypatch.setattr(rollup_build, "reach", reach)

    def work() -> None:
        with Store.open(path) as other:
            done.append(of(other).update(ORIGIN + DAY + SETTLED_NS)["days"])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert sum(done) == 2, "the day, and the midnight before it"
    with Store.open(path) as store:
        assert len({(s.step, s.days) for s in live(store)}) == len(live(store))
        assert_same(answers(of(store), 1), plain)
        files = {str(p.relative_to(path)) for p in (path / "segments" / "rollup").glob("**/*.parquet")}
        assert files == {s.file.path for s in live(store)}, "the loser took its files away"


def test_when_the_write_fails_nothing_is_left(tmp_path, monkeypatch):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 1)

        def stop(point: str) -> None:
            if point == "rollup.written":
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(rollup_build, "reach", stop)
            with pytest.raises(KeyboardInterrupt):
                of(store).update(NOW)
        assert live(store) == []
        assert of(store).update(NOW)["days"] == 2


def test_series_without_a_number_are_left_out(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 1)
        store.write(Batch(build_samples([{"metric": "other"}], [0], [np.datetime64(ORIGIN + 9 * DAY, "ns")], [1.0])))
        ids, values, _ = of(store).ask([], "avg", (ORIGIN + 300 * S, ORIGIN + DAY, 300 * S))
        assert len(ids) == len(values) == 4


def test_an_index_lost_from_the_catalog_is_read_from_the_file(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 1)
        of(store).update(NOW)
        plain = answers(of(store), 1)
        with store._catalog.write() as transaction:
            marks = ", ".join(str(s.id) for s in live_inside(transaction))
            transaction.execute(f"UPDATE chunks SET crc32 = crc32 - 1 WHERE segment IN ({marks})")
        assert_same(answers(of(store), 1), plain)


def test_what_was_forgotten_is_made_anew(tmp_path):
    with Store.open(tmp_path / "s") as store:
        write(store, 0, 1)
        rollups = of(store)
        rollups.update(NOW)
        plain = answers(rollups, 1)
        with store._catalog.read() as transaction:
            raw = [n for (n,) in transaction.execute("SELECT id FROM segments WHERE signal = 'metrics'").fetchall()]
        rollups.forget([s.id for s in live(store)] + raw)
        assert live(store) == []
        assert rollups.update(NOW)["days"] == 2
        assert_same(answers(rollups, 1), plain)


def live_inside(transaction) -> list[RollupSegment]:
    return load_rollups(transaction, 0, 2**63 - 1)


def ordered(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda t: (min(t), max(t)))


@given(
    st.lists(st.tuples(ordered(0, 9), ordered(0, 6)).map(lambda t: (*t[0], *t[1])), max_size=5),
    st.lists(st.tuples(st.integers(0, 9), ordered(0, 6)).map(lambda t: (t[0], *t[1])), max_size=5),
    st.integers(0, 7),
)
def test_days_due_are_the_twins(raw, known, over):
    since, seq, low, high = np.array(raw, np.int64).reshape(-1, 4).T
    spans = RawSpans(since, seq, low * DAY + 1, (high + 1) * DAY)
    file = File("rollup", "x", 1, 1)
    rollups = [RollupSegment(0, 3600 * S, s, (a, b + 1), (0, 9), file, "warm") for s, a, b in sorted(known)]
    wanted = {d for d in naive.rollup_days_due(raw, known) if d < over}
    assert due_days(spans, rollups, over * DAY + SETTLED_NS) == sorted(wanted)
