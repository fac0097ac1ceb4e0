"""What an entity's metrics tell together and none of them alone: faults within each metric's usual range."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.detect import Watchdog
from workbench.detect.members.entity import Entity

ENTITIES, METRICS, DAY = 24, 6, 288
LASTS = 72


def world(seed: int) -> tuple[np.ndarray, np.random.Generator]:
    """Six days of entities whose metrics follow one load, daily and wandering, each in its own direction, with noise."""
    draw = np.random.default_rng(seed)
    t = np.arange(6 * DAY)
    loads = []
    for _ in range(ENTITIES):
        walk = np.cumsum(draw.normal(0, 1, len(t)))
        walk -= np.linspace(walk[0], walk[-1], len(t))
        loads.append(3 * np.sin(2 * np.pi * t / DAY + draw.uniform(0, 6)) + 2 * walk / walk.std())
    values = np.repeat(loads, METRICS, axis=0)
    size = draw.uniform(0.5, 2.0, (len(values), 1)) * draw.choice([-1.0, 1.0], (len(values), 1))
    return values * size + draw.normal(0, 0.4, values.shape), draw


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("stuck", 8), ("opposite", 15), ("halved", 2)])
def test_a_metric_that_leaves_the_others_is_found_where_it_alone_is_not(kind: str, least: int) -> None:
    values, draw = world(1)
    begins = 5 * DAY + draw.integers(0, 100, ENTITIES)
    rows = np.arange(ENTITIES) * METRICS + draw.integers(0, METRICS, ENTITIES)
    quiet = np.ones(values.shape, bool)
    quiet[:, : 2 * DAY] = False
    for row, begin in zip(rows, begins, strict=True):
        stretch = values[row, begin : begin + LASTS]
        stretch[:] = {"stuck": 0 * stretch + stretch[0], "opposite": 2 * stretch[0] - stretch, "halved": stretch / 2}[
            kind
        ]
        quiet[row // METRICS * METRICS :][:METRICS, begin : begin + 2 * LASTS] = False

    def found(detector: Watchdog | Entity) -> int:
        scores = np.nan_to_num(detector.score(values, step=300.0))
        threshold = np.quantile(scores[quiet], 0.9995)
        return sum(scores[row, at : at + LASTS].max() > threshold for row, at in zip(rows, begins, strict=True))

    together = found(Entity(groups=tuple(np.repeat(np.arange(ENTITIES), METRICS).tolist())))
    print(f"{kind}: entity {together}, watchdog {found(Watchdog())} of {ENTITIES}")
    assert together >= least
    assert together > found(Watchdog())
