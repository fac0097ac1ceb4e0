"""Generated series at ten-second cadence and faults of known size in them.

A series is a level, a season of a day, a slow swing of a week, and noise that remembers (autoregressive) and has heavy
tails (Student's t), all scaled by a factor of its own. The size of a fault is in standard deviations of that noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import InvalidInput, check_one_of
from workbench.evaluate.labelled import Block, Rows

__all__ = ["DAY", "KINDS", "LENGTHS", "STEP", "World", "inject", "make_world"]

STEP = 10.0
"""Seconds between columns."""

DAY = 8640
"""Columns of a day."""

LENGTHS = {"level": 360, "spike": 3, "ramp": 720, "season": 1440, "variance": 360}
"""Columns that a fault of each kind lasts: 1 h, 30 s, 2 h (half of it rising), 4 h, 1 h."""

KINDS = tuple(LENGTHS)
"""level: moves and stays; spike: three samples; ramp: rises for an hour; season: lost in part; variance: noise grows."""

TAIL = 20.0
"""Degrees of freedom of the noise. With 10, one that knew season and deviation and took means of three samples would
still miss 4 % of spikes of 6 deviations at 2 % of days with a false alarm; with 20 it misses none."""


@dataclass(frozen=True)
class World:
    """Generated series: `values` = level + season + noise, all (n, t); `sigma` (n, 1) is the deviation of the noise."""

    values: Block
    season: Block
    noise: Block
    sigma: Block


def make_world(
    count: int, days: int, seed: int | tuple[int, ...], amplitude: float | None = None, tail: float = TAIL
) -> World:
    """Return generated series; the same seed gives the same.

    Parameters
    ----------
    count, days : int
    seed : int or tuple of int
    amplitude : float, optional
        Of the daily season, in deviations of the noise; by default from 0 to 8, none in a quarter of the series.
    tail : float, optional
        Degrees of freedom of the noise, above 2: the fewer, the heavier its tails.
    """
    if count < 1 or days < 1 or not tail > 2:
        raise InvalidInput(
            f"a world of {count} series, {days} days and tail {tail} was asked for: 1 of each and tail > 2 are needed."
        )
    generator = np.random.default_rng(seed)
    t = np.arange(days * DAY) / DAY

    def draw(low: float, high: float) -> Block:
        return generator.uniform(low, high, (count, 1))

    wave = np.sin(2 * np.pi * (t + draw(0, 1))) + draw(0, 0.7) * np.sin(4 * np.pi * (t + draw(0, 1)))
    wave /= np.abs(wave).max(axis=1, keepdims=True)
    size = draw(0, 8) * (draw(0, 1) > 0.25) if amplitude is None else np.full((count, 1), amplitude)
    sigma = 10.0 ** draw(-3, 6)
    season = sigma * size * wave
    week = draw(0, 1) * np.sin(2 * np.pi * (t / 7 + draw(0, 1)))
    noise = sigma * _remembering(generator, draw(0.0, 0.8), len(t), tail)
    return World(sigma * (draw(10, 60) + week) + season + noise, season, noise, sigma)


def _remembering(generator: np.random.Generator, memory: Block, steps: int, tail: float) -> Block:
    """Return autoregressive noise of order one with unit deviation, one row per entry of `memory`."""
    from scipy.signal import lfilter

    fresh = generator.standard_t(tail, (len(memory), steps)) * np.sqrt((tail - 2) / tail)
    fresh[:, 1:] *= np.sqrt(1 - memory**2)
    rows = [lfilter([1.0], [1.0, -float(phi)], row) for phi, row in zip(memory[:, 0], fresh, strict=True)]
    noise: Block = np.array(rows)
    return noise


def inject(kind: str, world: World, size: float, seed: int | tuple[int, ...]) -> tuple[Block, Rows]:
    """Put one fault into the last day of every series.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    world : World
    size : float
        Deviations of the noise: how far the level, the spike, the end of the ramp and the worst of the lost season lie
        from what would have been; for variance the factor of the noise.
    seed : int or tuple of int
        For the onsets and the directions.

    Returns
    -------
    (ndarray of float64, shape (n, t); ndarray of int64, shape (n,))
        The values with the fault, and its first column.
    """
    check_one_of(kind, KINDS, "kind of fault")
    generator = np.random.default_rng(seed)
    count, steps = world.values.shape
    length = LENGTHS[kind]
    onset = steps - DAY + generator.integers(DAY // 10, DAY - length - DAY // 20, count)
    if kind == "season":
        middle = steps - DAY + np.abs(world.season[:, -DAY:]).argmax(axis=1)
        onset = np.clip(middle - length // 2, steps - DAY, steps - length)
    rows, columns = np.arange(count)[:, None], onset[:, None] + np.arange(length)
    values = world.values.copy()
    values[rows, columns] += _departure(kind, world, size, rows, columns, generator)
    return values, onset


def _departure(
    kind: str, world: World, size: float, rows: Rows, columns: Rows, generator: np.random.Generator
) -> Block:
    """Return what the fault adds, shape (n, length)."""
    if kind == "variance":
        grown: Block = (size - 1.0) * world.noise[rows, columns]
        return grown
    if kind == "season":
        season = world.season[rows, columns]
        worst = np.abs(season).max(axis=1, keepdims=True)
        share = np.divide(size * world.sigma, worst, out=np.zeros_like(worst), where=worst > 0)
        lost: Block = -np.minimum(share, 1.0) * season
        return lost
    way = generator.choice([-1.0, 1.0], (len(rows), 1)) * size * world.sigma
    half = columns.shape[1] // 2
    rise = np.minimum(np.arange(1, columns.shape[1] + 1) / half, 1.0) if kind == "ramp" else np.ones(columns.shape[1])
    departure: Block = way * rise
    return departure
