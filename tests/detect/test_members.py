"""Every built-in detector: batch is stream, nothing looks ahead, and neither scale, order nor bad input matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.detect import member_properties as keeps
from workbench import registry
from workbench.detect.members.agile import Agile
from workbench.detect.members.entity import Entity
from workbench.detect.members.forest import Forest
from workbench.detect.members.spectral import Spectral
from workbench.detect.members.subspace import Subspace
from workbench.detect.members.zprofile import ZProfile
from workbench.errors import InvalidInput, ShapeError

QUICK = [name for name in registry.BUILTINS["workbench.detectors"] if name not in keeps.DEEP]
SEEDS = st.integers(0, 2**32 - 1)
each = pytest.mark.parametrize("name", QUICK)
few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@each
@few
@given(SEEDS, st.lists(st.integers(0, 90), min_size=1, max_size=6), st.sampled_from([0.0, 0.2]))
def test_a_stream_in_pieces_is_the_batch_and_nothing_looks_ahead(
    name: str, seed: int, cuts: list[int], gaps: float
) -> None:
    keeps.check_pieces(keeps.small(name), keeps.noise(seed, gaps=gaps), cuts)


@each
def test_a_stream_of_single_columns_is_the_batch(name: str) -> None:
    detector, values = keeps.small(name), keeps.noise(1)
    stream = detector.stream(len(values), step=keeps.STEP)
    found = np.stack([stream.update(column) for column in values.T], axis=1)
    np.testing.assert_array_equal(found, detector.score(values, step=keeps.STEP))


@each
@few
@given(SEEDS, st.sampled_from([1e-300, 3.7, 1e290]), st.sampled_from([0.0, 20.0, 1e4]), st.booleans())
def test_scale_does_not_matter(name: str, seed: int, factor: float, level: float, whole: bool) -> None:
    values = keeps.noise(seed, level=level)
    keeps.check_scale(keeps.small(name), np.round(values) if whole else values, factor)


@each
@few
@given(SEEDS, st.permutations(range(3)))
def test_the_order_of_series_does_not_matter(name: str, seed: int, order: list[int]) -> None:
    keeps.check_order(keeps.small(name), keeps.noise(seed), order)


@each
@few
@given(SEEDS, st.integers(0, 89))
def test_a_series_may_join_later(name: str, seed: int, at: int) -> None:
    keeps.check_growth(keeps.small(name), keeps.noise(seed), at)


@each
@pytest.mark.parametrize("kind", keeps.bad_input())
def test_bad_input_is_scored_or_not_but_never_trips(name: str, kind: str) -> None:
    keeps.check_bad_input(keeps.small(name), keeps.bad_input()[kind])


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Agile, {"span": 0.5}),
        (ZProfile, {"length": 12}),
        (ZProfile, {"history": 50}),
        (Spectral, {"length": 63}),
        (Spectral, {"near": 60}),
        (Spectral, {"length": 10, "near": 1}),
        (Subspace, {"share": 0.0}),
        (Subspace, {"history": 20}),
        (Entity, {"history": 2}),
        (Entity, {"components": 0}),
        (Forest, {"every": 0}),
        (Forest, {"sample": 1}),
    ],
)
def test_parameters_that_cannot_work_are_refused(kind: type, wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="cannot work"):
        kind(**wrong)


def test_groups_name_every_row() -> None:
    with pytest.raises(ShapeError, match="2 rows and there are 3"):
        Entity(groups=(1, 1)).score(np.zeros((3, 5)))


def test_entities_do_not_know_each_other() -> None:
    values = keeps.noise(5, series=7, gaps=0.05)
    groups = (9, 4, 9, 4, 9, 1, 4)
    parts = {"history": 16, "every": 7}
    whole = Entity(groups=groups, **parts).score(values)  # type: ignore[arg-type]
    for group in set(groups):
        rows = [row for row, other in enumerate(groups) if other == group]
        np.testing.assert_allclose(Entity(**parts).score(values[rows]), whole[rows], atol=1e-9)  # type: ignore[arg-type]


def test_a_metric_that_leaves_the_others_is_the_one_named() -> None:
    draw = np.random.default_rng(2)
    load = np.cumsum(draw.normal(0, 1, 900)) / 5 + 3 * np.sin(np.arange(900) / 30)
    values = np.outer([1.0, 50.0, -2.0, 7.0, 3.0], load) * (1 + draw.normal(0, 0.02, (5, 900)))
    values[2, 800:] = values[2, 800:].mean() + draw.normal(0, 0.1, 100)  # stands still within its usual range
    entity = Entity()
    peaks = np.nanmax(entity.score(values)[:, 800:], axis=1)
    assert peaks.argmax() == 2
    assert peaks[2] > 0.5


def test_more_metrics_than_ticks_are_learnt_from_the_smaller_square() -> None:
    values = keeps.noise(8, series=40, columns=60, gaps=0.0)
    scores = Entity(history=16, every=8).score(values)
    assert np.isfinite(scores[:, 50:]).all()
