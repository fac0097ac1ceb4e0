"""What every detector of the group `workbench.detectors` keeps: range, causality, independence, unit, streaming."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from workbench.testing.require import require

__all__ = ["Detector", "check_detector"]

Block = npt.NDArray[np.float64]

STEP = 600.0
"""Seconds between the columns of what is checked: 600 of them are four days."""


class Detector(Protocol):
    """A frozen dataclass of parameters; `workbench.detect.Detector` is a base that does most of it.

    It may also have `stream(series, *, step)` and `resume(arrays)`, as that base has; then they are checked, too. One
    that looks at neighbours says so by `alone = False`; one that frees stretches of their level and size, and to which
    a jump therefore may be nothing, by `shape_only = True`.
    """

    name: ClassVar[str]

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        """Return how strange each value is, float64 of the same shape (n, t), from 0 to 1; `step` is in seconds."""
        ...


def check_detector(detector: Detector, seed: int = 0) -> None:
    """Check one detector.

    Scores are float64 of the shape of the values, from 0 to 1, NaN where there is no sample; alike every time, leaving
    the input alone; causal (later samples change nothing); one series does not depend on its neighbours, nor on their
    order; the unit makes no difference; a jump of twenty standard deviations scores above all but few of the quiet
    samples; a stream gives the same numbers, also after its arrays were kept and taken up again. No series, no steps,
    gaps and infinities are allowed.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    require(isinstance(getattr(detector, "name", None), str), f"{type(detector).__name__} has no name.")
    require(
        getattr(getattr(detector, "__dataclass_params__", None), "frozen", False) is True,
        f"{detector.name} is not a frozen dataclass; its fields must be its only state.",
    )
    values = _values(seed)
    scores = _score(detector, values)
    _check_causality(detector, values, scores)
    if getattr(detector, "alone", True):
        _check_independence(detector, values, scores)
    _check_unit(detector, values, scores)
    if not getattr(detector, "shape_only", False):
        _check_direction(detector, values, scores)
    if hasattr(detector, "stream"):
        _check_stream(detector, values, scores)
    for shape in ((0, 10), (3, 0), (1, 1)):
        _score(detector, np.zeros(shape))
    _score(detector, np.full((2, 300), np.nan))
    _score(detector, np.where(np.arange(600) % 97 == 0, np.inf, values[:1]))


def _values(seed: int) -> Block:
    """Return 6 series of 600 steps: noise on several levels, a season, a counter-like ramp, gaps."""
    generator = np.random.default_rng(seed)
    values: Block = generator.normal(0.0, 1.0, (6, 600)) + np.array([[0.0], [100.0], [-5.0], [50.0], [10.0], [0.0]])
    values[3] += 10 * np.sin(np.arange(600) / 600 * 2 * np.pi * 12)
    values[4] += np.arange(600) * 0.01
    values[5, generator.random(600) < 0.3] = np.nan
    return values


def _score(detector: Detector, values: Block) -> Block:
    given = values.copy()
    scores: Block = np.asarray(detector.score(values, step=STEP))
    name = detector.name
    require(np.array_equal(given, values, equal_nan=True), f"{name} changed its input.")
    require(
        scores.shape == values.shape and scores.dtype == np.float64,
        f"{name} scored shape {values.shape} as {scores.dtype} of shape {scores.shape}; it must be float64, the same.",
    )
    require(not ((scores < 0) | (scores > 1)).any(), f"{name} gave a score outside 0 to 1.")
    require(bool(np.isnan(scores[np.isnan(values)]).all()), f"{name} scored a sample that is not there.")
    require(
        np.array_equal(scores, detector.score(values, step=STEP), equal_nan=True),
        f"{name} scored differently the second time.",
    )
    return scores


def _same(left: Block, right: Block) -> bool:
    return np.allclose(left, right, rtol=1e-9, atol=1e-9, equal_nan=True)


def _check_causality(detector: Detector, values: Block, scores: Block) -> None:
    for end in (50, 333, 599):
        require(
            _same(detector.score(values[:, :end], step=STEP), scores[:, :end]),
            f"{detector.name} is not causal: the first {end} scores change when later samples come.",
        )


def _check_independence(detector: Detector, values: Block, scores: Block) -> None:
    order = np.arange(len(values))[::-1]
    for rows in (order, order[:1], order[2:4]):
        require(
            _same(detector.score(values[rows], step=STEP), scores[rows]),
            f"{detector.name} scores a series differently beside other series.",
        )


def _check_unit(detector: Detector, values: Block, scores: Block) -> None:
    for factor in (1e-9, 1000.0):
        require(
            np.allclose(detector.score(values * factor, step=STEP), scores, rtol=1e-6, atol=1e-6, equal_nan=True),
            f"{detector.name} scores a series in another unit ({factor:g} times) differently.",
        )


def _check_stream(detector: Any, values: Block, scores: Block) -> None:
    stream = detector.stream(len(values), step=STEP)
    found = []
    for column in range(values.shape[1]):
        if column == 400:
            stream = detector.resume(stream.arrays())
        found.append(stream.update(values[:, column]))
    require(
        np.array_equal(np.stack(found, axis=1), scores, equal_nan=True),
        f"{detector.name} gives other scores one by one than all at once.",
    )


def _check_direction(detector: Detector, values: Block, scores: Block) -> None:
    jumped = values.copy()
    jumped[:, 500:] += 20.0
    after = np.nanmax(detector.score(jumped, step=STEP)[:3, 500:520], axis=1)
    require(not np.isnan(scores[:3, 300:]).all(), f"{detector.name} scores nothing after two days of ten minutes.")
    quiet = np.nanquantile(scores[:3, 300:], 0.99, axis=1)
    require(
        bool((after > quiet).all()),
        f"{detector.name} scores a jump of twenty standard deviations {np.round(after, 2)}, below its quiet samples"
        f" {np.round(quiet, 2)}: high must mean anomalous.",
    )
