"""Questions over windows: from rollups, from samples and from both, always the twin's answer."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.errors import InvalidInput, StoreError
from workbench.signals.samples import STALE_NAN, is_stale
from workbench.store import rollup_build
from workbench.store.places import Folder
from workbench.store.rollup import LEVELS
from workbench.store.rollup_build import _levels
from workbench.store.rollup_check import problems
from workbench.store.rollup_file import Blocks, RollupFile
from workbench.store.rollup_index import RollupIndex
from workbench.store.rollup_plan import RawSpans, RollupSegment
from workbench.store.rollup_read import RollupSource, read
from workbench.store.rollup_segment import DAY, Period, RollupWriter, index_of_file

S = 10**9
D0 = 20_000  # days since 1970
ORIGIN = D0 * DAY
FUNCTIONS = ("avg", "sum", "min", "max", "count", "first", "last", "delta", "increase")


class Names:
    """Labels of series by number."""

    def texts(self, ids):
        return [f'{{"metric":"m{i}"}}' for i in ids.tolist()]

    def describe(self, ids):
        return np.full(len(ids), "gauge", object), np.full(len(ids), "", object)


class World:
    """Samples, and rollups of some of their days at some levels, without a catalog."""

    def __init__(self, folder: Path, series, time, value) -> None:
        self.place = Folder(folder)
        self.series, self.time, self.value = series, time, value
        self.segments: list[RollupSegment] = []
        self.files: dict[int, RollupFile] = {}
        self.asked: list[tuple[int, int]] = []

    def roll(self, day: int, rank: int, levels: Sequence[int] = LEVELS, dense: float = 0.0) -> None:
        """Make the rollups of one day (0 is the first)."""
        here = (self.time > ORIGIN + day * DAY) & (self.time <= ORIGIN + (day + 1) * DAY) & ~is_stale(self.value)
        with patch.object(rollup_build, "DENSE", dense), patch.object(rollup_build, "SKETCHED", dense):
            rows = dict(_levels(self.series[here], self.time[here], self.value[here], D0 + day)) if here.any() else {}
        for level in levels:
            writer = RollupWriter()
            if level in rows:
                writer.add(rows[level])
            period = Period(level, (D0 + day, D0 + day + 1), (0, 100))
            made = writer.write(self.place, period, Names(), {}, (rank, rank))
            number = len(self.segments)
            assert made.chunks is not None
            index = RollupIndex.unpack(made.chunks)
            assert index_of_file(self.place, made.files[0]).pack() == made.chunks
            self.files[number] = RollupFile(self.place, made.files[0], level, index)
            self.segments.append(RollupSegment(number, level, rank, period.days, (0, 101), made.files[0], "warm"))

    def samples(self, ids, start, end):
        self.asked.append((start, end))
        here = np.isin(self.series, ids) & (self.time >= start) & (self.time < end)
        found, counts = np.unique(self.series[here], return_counts=True)
        return found, np.append(0, np.cumsum(counts)), self.time[here], self.value[here]

    def source(self, spans: Sequence[tuple[int, int, int]]) -> RollupSource:
        """Return what `read` reads from; `spans` are (seq, first day, last day) of what was written."""
        seq, low, high = np.array(spans, np.int64).reshape(-1, 3).T
        raw = RawSpans(seq, seq, ORIGIN + low * DAY + 1, ORIGIN + (high + 1) * DAY)
        ordered = sorted(self.segments, key=lambda s: (s.rank, s.id))
        return RollupSource(ordered, raw, lambda s: self.files[s.id], self.samples)

    def twin(self, ids, function, span, window):
        start, end, step = span
        out = []
        for number in ids.tolist():
            mine = self.series == number
            stale = is_stale(self.value[mine])
            rows = list(zip(self.time[mine].tolist(), self.value[mine].tolist(), stale.tolist(), strict=True))
            ends = range(start, end + 1, step)
            out.append([naive.rollup_answer(naive.rollup_bucket(rows, t - window, t), function) for t in ends])
        return np.array(out).reshape(len(ids), -1)


def same(got, wanted, scale: float, exact: bool) -> None:
    assert got.shape == wanted.shape
    assert (np.isnan(got) == np.isnan(wanted)).all()
    if exact:
        assert np.array_equal(got, wanted, equal_nan=True)
    with np.errstate(invalid="ignore"):
        apart = np.abs(got - wanted)
    assert ((got == wanted) | np.isnan(got) | (apart <= 1e-12 * scale)).all()


VALUES = st.one_of(
    st.sampled_from([math.nan, STALE_NAN, math.inf, -math.inf]),
    st.integers(0, 100).map(float),
    st.integers(0, 30).map(lambda v: v / 10),
    st.floats(-1e6, 1e6, allow_subnormal=False),
)


@st.composite
def samples(draw):
    """Three days of up to three series, most instants near ends of minutes, hours and days."""
    rows = []
    for number in range(1, 1 + draw(st.integers(1, 3))):
        near = st.builds(
            lambda edge, off: edge + off,
            st.one_of(
                st.integers(0, 3).map(lambda d: d * DAY),
                st.integers(0, 72).map(lambda h: h * 3600 * S),
                st.integers(0, 3 * 1440).map(lambda m: m * 60 * S),
                st.builds(lambda d, m: d * DAY + m * 60 * S, st.integers(1, 2), st.integers(-40, 40)),
                st.builds(lambda d, m: d * DAY + m * 60 * S, st.integers(1, 2), st.integers(-40, 40)),
            ),
            st.sampled_from([-1, 0, 1, 7 * S]),
        )
        times = draw(st.sets(near.filter(lambda t: t >= 0), max_size=25))
        rows += [(number, ORIGIN + t, draw(VALUES)) for t in sorted(times)]
    series, time, value = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(series, np.int64), np.array(time, np.int64), np.array(value, np.float64)


@settings(max_examples=100, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(st.data())
def test_any_mixture_of_rollups_and_samples_answers_like_the_twin(data):
    """Days rolled up or not, overtaken or not, sparse or not; windows that tile, overlap, leave gaps, fit no level."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), *data.draw(samples()))
        dense = data.draw(st.sampled_from([0.0, 1.5, 3.0]))
        for day in range(3):
            if data.draw(st.booleans()):
                levels = data.draw(st.sampled_from([LEVELS, LEVELS[1:], LEVELS[:1], LEVELS[2:]]))
                world.roll(day, rank=5, levels=levels, dense=dense)
        spans = [(5, -1, 3), *data.draw(st.lists(st.tuples(st.just(6), st.integers(0, 2), st.just(2)), max_size=1))]
        source = world.source(spans)
        unit = data.draw(st.sampled_from([60, 300, 3600, 7, 1800])) * S
        step = unit * data.draw(st.integers(1, 8))
        window = data.draw(st.sampled_from([step, unit, unit * 3, step * 2]))
        near = data.draw(st.sampled_from([0, DAY, DAY, 2 * DAY]))
        start = ORIGIN + near + data.draw(st.integers(-40, 10)) * unit + data.draw(st.sampled_from([0, 0, 0, S]))
        span = (start, min(start + 60 * step, ORIGIN + 4 * DAY), step)
        if span[1] < span[0]:
            return
        ids, function = np.arange(0, 4), data.draw(st.sampled_from(FUNCTIONS))
        got, used = read(source, ids, function, span, window)
        scale = float(np.abs(world.value[np.isfinite(world.value)]).sum()) + 1e-300
        same(got, world.twin(ids, function, span, window), scale, function not in ("avg", "sum", "increase"))
        assert all(u["step"] == 0 or window % u["step"] == step % u["step"] == 0 for u in used)


@pytest.fixture
def world(tmp_path):
    """Three days of four series every 15 s, exactly on the minute, with resets and gaps; the last is too sparse."""
    rng = np.random.default_rng(3)
    parts = []
    for number in range(1, 5):
        time = np.arange(0, 3 * 86_400 + 1, 15 if number < 4 else 900) * S
        keep = rng.random(len(time)) < (0.9 if number == 2 else 1.0)
        value = np.round(rng.normal(size=len(time)).cumsum(), 2) if number == 2 else rng.random(len(time)).cumsum()
        if number == 3:
            value[5000:] -= value[5000]
        parts.append((np.full(keep.sum(), number), ORIGIN + time[keep], value[keep]))
    return World(tmp_path, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def minutes(a: int, b: int, step: int) -> tuple[int, int, int]:
    return ORIGIN + a * 60 * S, ORIGIN + b * 60 * S, step * 60 * S


def test_the_coarsest_level_that_fits_is_taken_and_named(world):
    for day in range(3):
        world.roll(day, rank=1, dense=10)
    source, ids = world.source([(1, 0, 2)]), np.arange(1, 4)
    for step, window, wanted in ((5, 5, 300), (60, 60, 3600), (60, 5, 300), (120, 1440, 3600), (1, 1, 0), (7, 7, 0)):
        _, used = read(source, ids, "max", minutes(1440, 4320, step), window * 60 * S)
        assert {u["step"] for u in used} == {wanted * S}, (step, window)
    assert used[0] | {"series": 0} == {"from": "2024-10-04", "to": "2024-10-07", "step": 0, "series": 0}


def test_a_series_too_sparse_for_a_level_is_answered_from_its_samples(world):
    for day in range(3):
        world.roll(day, rank=1, dense=10)
    span = minutes(1300, 1600, 5)
    got, used = read(world.source([(1, 0, 2)]), np.arange(1, 5), "avg", span)
    assert {(u["step"], u["series"]) for u in used} == {(300 * S, 3), (0, 1)}
    same(got, world.twin(np.arange(1, 5), "avg", span, 300 * S), 1e6, exact=False)


def test_a_day_that_was_written_to_again_is_read_from_samples_until_it_is_rolled_up_again(world):
    for day in range(3):
        world.roll(day, rank=1, dense=10)
    span, ids = minutes(60, 4320, 60), np.arange(1, 4)
    world.value[np.flatnonzero(world.series == 1)[6000]] = 1e9  # on the second day
    spans = [(1, 0, 2), (2, 1, 1)]
    got, used = read(world.source(spans), ids, "max", span)
    assert [u["step"] for u in used] == [3600 * S, 0, 3600 * S]
    same(got, world.twin(ids, "max", span, 3600 * S), 1, exact=True)
    world.roll(1, rank=2, dense=10)
    got, used = read(world.source(spans), ids, "max", span)
    assert {u["step"] for u in used} == {3600 * S}
    same(got, world.twin(ids, "max", span, 3600 * S), 1, exact=True)


def test_samples_that_expired_leave_their_rollups_true(world):
    for day in range(3):
        world.roll(day, rank=1, dense=10)
    span, ids = minutes(1300, 1600, 5), np.arange(1, 4)
    wanted = world.twin(ids, "last", span, 300 * S)
    world.series = np.empty(0, np.int64)
    world.time, world.value = world.series, world.series.astype(float)
    got, _ = read(world.source([]), ids, "last", span)
    same(got, wanted, 1, exact=True)
    late = [(9, 0, 0)]  # late samples of a day whose others are gone already
    got, used = read(world.source(late), ids, "last", span)
    same(got, wanted, 1, exact=True)
    assert {u["step"] for u in used} == {300 * S}


def test_what_is_overtaken():
    """Rollups made at write 5 of what is listed now: first write, last write."""

    def overtaken(*spans: tuple[int, int]) -> bool:
        since, seq = np.array(spans, np.int64).reshape(-1, 2).T
        edge = np.full(len(since), DAY)
        return bool(RawSpans(since, seq, edge, edge).overtaken(5, 0, 1)[0])

    assert not overtaken()
    assert not overtaken((3, 5))
    assert overtaken((3, 5), (6, 6))
    assert overtaken((3, 6)), "the late samples have been joined to the others"
    assert not overtaken((6, 6)), "the others have expired"


def test_few_series_fetch_their_own_bytes_only(world, monkeypatch):
    """One series of a long block costs its columns, not the file."""
    monkeypatch.setattr("workbench.store.rollup_segment._ALONE", 100)
    world.roll(0, rank=1, dense=10)
    fetched = []
    real = Folder.read

    def read_spans(self, path, ranges):
        fetched.extend(length for _, length in ranges)
        return real(self, path, ranges)

    monkeypatch.setattr(Folder, "read", read_spans)
    read(world.source([(1, 0, 0)]), np.array([2]), "avg", minutes(5, 1440, 5))
    assert len(fetched) <= 3
    assert sum(fetched) < world.files[1].index.offset.max() / 3


@pytest.mark.parametrize("q", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize(("step", "window"), [(60, 60), (60, 180), (180, 60)])
def test_quantiles_are_within_one_percent(world, q, step, window):
    for day in range(2):
        world.roll(day, rank=1, dense=10)  # the third day from samples
    span, ids = minutes(180, 4320, step), np.arange(1, 4)
    got, used = read(world.source([(1, 0, 2)]), ids, "quantile", span, window * 60 * S, q)
    assert {u["step"] for u in used} == {0, 3600 * S}
    for i, number in enumerate(ids.tolist()):
        mine = world.series == number
        for k in range(got.shape[1]):
            end = span[0] + k * span[2]
            inside = mine & (world.time > end - window * 60 * S) & (world.time <= end)
            wanted = np.quantile(world.value[inside], q)
            assert abs(got[i, k] - wanted) <= 0.0101 * np.abs(world.value[inside]).max()
            if number == 1:  # a growing counter: all values near each other
                assert got[i, k] == pytest.approx(wanted, rel=0.0101)


def test_a_damaged_blob_is_named_by_series_and_days(world):
    world.roll(0, rank=1, dense=10)
    file = world.files[1]
    path = next(Path(world.place.root).glob("segments/rollup/300s/**/*.parquet"))
    data = bytearray(path.read_bytes())
    at = int(file.index.offset[file.index.cells[0, 3]])
    data[at + 20] ^= 4
    assert problems(file) == []
    path.write_bytes(bytes(data))
    said = "damaged in sum of series 1 to 3 from 2024-10-04 to 2024-10-05"
    assert read(world.source([(1, 0, 0)]), np.array([1]), "min", minutes(5, 1440, 5))[0].any(), (
        "other columns are sound"
    )
    (found,) = problems(file)
    assert said in found
    with pytest.raises(StoreError, match=said):
        read(world.source([(1, 0, 0)]), np.array([1]), "avg", minutes(5, 1440, 5))


def test_every_planted_flip_in_a_segment_is_found(world):
    """A flipped bit is in no blob, or named by `problems`, or leaves the file's own checksum to tell."""
    world.roll(0, rank=1, dense=10)
    number = next(i for i, s in enumerate(world.segments) if s.step == 3600 * S)
    file, segment = world.files[number], world.segments[number]
    path = Path(world.place.root) / segment.file.path
    sound = path.read_bytes()
    index, rng = file.index, np.random.default_rng(1)
    for at in rng.integers(0, len(sound), 150).tolist():
        data = bytearray(sound)
        data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        inside = ((index.offset <= at) & (at < index.offset + index.length)).any()
        assert bool(problems(RollupFile(world.place, segment.file, segment.step, index))) == inside
    path.write_bytes(sound)
    assert problems(file) == []


def test_a_bucket_that_contradicts_itself_is_found(world):
    world.roll(0, rank=1, dense=10)
    file = world.files[1]
    real = Blocks.column

    def swapped(self, block, name, out=None):
        return real(self, block, {"min": "max", "max": "min"}.get(name, name), out)

    with patch.object(Blocks, "column", swapped):
        (found,) = problems(file)
    assert "contradicts itself in series 1 to 3" in found


def test_every_flipped_bit_of_an_index_is_noticed_or_harmless(world):
    world.roll(0, rank=1, dense=10)
    packed = world.files[1].index.pack()
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(packed)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        try:
            RollupIndex.unpack(bytes(data))
        except ValueError:
            continue  # what gets through is caught by the checksum in the catalog
    for cut in (0, 5, 11, 40):
        with pytest.raises(ValueError, match="rollup index"):
            RollupIndex.unpack(packed[:cut])


@pytest.mark.parametrize(
    ("function", "span", "window", "q"),
    [
        ("median", (10, 20, 5), None, None),
        ("avg", (10, 20, 0), None, None),
        ("avg", (10, 5, 5), None, None),
        ("avg", (10, 20, 5), -1, None),
        ("avg", (10, 20, 5), None, 0.5),
        ("quantile", (10, 20, 5), None, None),
        ("quantile", (10, 20, 5), None, 1.5),
    ],
)
def test_questions_that_make_no_sense_are_refused(world, function, span, window, q):
    with pytest.raises(InvalidInput):
        read(world.source([]), np.array([1]), function, span, window, q)
