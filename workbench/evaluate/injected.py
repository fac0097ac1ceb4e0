"""Detection curves: what a detector misses, how late it is, how often it is wrong, by kind and size of an injected fault.

Every cell of the table has series of its own: some fault-free days, of which the first is there to learn from, and a
last day with one fault. Found means an alarm while the fault lasts. A day before the last with any alarm is a false
series-day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import ShapeError
from workbench.evaluate.faults import DAY, KINDS, LENGTHS, STEP, TAIL, inject, make_world
from workbench.evaluate.labelled import Block, Rows
from workbench.evaluate.running import grid_scores

__all__ = ["Cell", "Curves", "Thresholder", "detection_curves", "quiet_threshold"]

Thresholder = Callable[[Block, float], npt.NDArray[np.bool_]]
"""Scores (n, t) and the seconds between columns to alarms (n, t)."""

SIZES = (3.0, 4.0, 5.0, 6.0, 8.0)
_QUIET_SHARE = 0.01


@dataclass(frozen=True)
class Cell:
    """Faults of one kind and size: how many, how many missed, median delay (a miss counts as the fault's length)."""

    kind: str
    size: float
    series: int
    missed: int
    delay_steps: float
    false_days: int
    series_days: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "kind": self.kind,
            "size": self.size,
            "series": self.series,
            "missed_percent": 100 * self.missed / self.series,
            "median_delay_steps": self.delay_steps,
            "false_series_days_percent": 100 * self.false_days / self.series_days,
        }


@dataclass(frozen=True)
class Curves:
    """What one detector does with faults of every kind and size; `threshold` is None where a callable decided."""

    detector: str
    threshold: float | None
    cells: list[Cell]

    @property
    def false_share(self) -> float:
        """Share of the fault-free series-days that have an alarm."""
        return sum(cell.false_days for cell in self.cells) / sum(cell.series_days for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "detector": self.detector,
            "threshold": self.threshold,
            "step_seconds": STEP,
            "series_days": sum(cell.series_days for cell in self.cells),
            "false_series_days_percent": 100 * self.false_share,
            "cells": [cell.to_json() for cell in self.cells],
        }

    def __str__(self) -> str:
        """Return a table for people: one row per kind, missed % and median delay by size."""
        sizes = sorted({cell.size for cell in self.cells})
        found = {(cell.kind, cell.size): cell for cell in self.cells}
        lines = [f"{self.detector:14}" + "".join(f"{f'{size:g} sigma':>16}" for size in sizes)]
        for kind in dict.fromkeys(cell.kind for cell in self.cells):
            shown = [found[kind, size] for size in sizes]
            texts = [f"{100 * c.missed / c.series:.0f}% / {c.delay_steps:g}" for c in shown]
            lines.append(f"{kind:14}" + "".join(f"{text:>16}" for text in texts))
        lines.append(
            f"missed % / median delay in steps of {STEP:g} s; {100 * self.false_share:.2f} % of"
            f" {sum(cell.series_days for cell in self.cells):,} fault-free series-days have a false alarm"
            + ("" if self.threshold is None else f" (threshold {self.threshold:.6g})")
        )
        return "\n".join(lines)


def detection_curves(
    name: str,
    detector: Any,
    threshold: float | Thresholder | None = None,
    *,
    kinds: Sequence[str] = KINDS,
    sizes: Sequence[float] = SIZES,
    count: int = 20,
    days: int = 4,
    seed: int = 0,
    tail: float = TAIL,
    progress: bool = False,
) -> Curves:
    """Inject faults of every kind and size and see what a detector makes of them.

    Parameters
    ----------
    name : str
    detector : object
        Has `score(values, step=seconds)`.
    threshold : float or callable, optional
        Alarm from this score on, or a `Thresholder`; by default what `quiet_threshold` finds.
    kinds, sizes : sequence, optional
    count : int, optional
        Series of each kind and size.
    days : int, optional
        Days of each series, at least 3: one to learn from, one to be quiet on, one with the fault.
    seed : int, optional
    tail : float, optional
        Degrees of freedom of the noise, above 2: the fewer, the heavier its tails.
    progress : bool, optional
        Show a bar on a terminal.
    """
    from tqdm.auto import tqdm

    level = threshold
    if level is None:
        level = quiet_threshold(name, detector, count=max(5 * count, 100), days=days, seed=seed, tail=tail)
    decide = level if callable(level) else at_least(level)
    todo = [(kind, float(size)) for kind in kinds for size in sizes]
    cells = []
    for kind, size in tqdm(todo, desc=name, disable=None if progress else True, leave=False):
        # The seed names the cell, so that a cell is the same whichever others are asked for.
        source = (seed, KINDS.index(kind), round(1000 * size))
        world = make_world(count, max(days, 3), source, amplitude=10.0 if kind == "season" else None, tail=tail)
        values, onset = inject(kind, world, size, (*source, 1))
        del world
        alarms = _decided(decide, grid_scores(name, detector, values, STEP, f"injected {kind}"))
        cells.append(_judge(kind, size, alarms, onset))
    return Curves(name, None if callable(level) else level, cells)


def at_least(level: float) -> Thresholder:
    """Return the plain thresholder: alarm wherever the score is at least `level`."""
    return lambda scores, step: scores >= level


def _decided(decide: Thresholder, scores: Block) -> npt.NDArray[np.bool_]:
    alarms = np.asarray(decide(scores, STEP))
    if alarms.shape != scores.shape or alarms.dtype != np.bool_:
        raise ShapeError(f"the thresholder made {alarms.dtype} of shape {alarms.shape} of scores of {scores.shape}.")
    return alarms


def _judge(kind: str, size: float, alarms: npt.NDArray[np.bool_], onset: Rows) -> Cell:
    length = LENGTHS[kind]
    during = alarms[np.arange(len(onset))[:, None], onset[:, None] + np.arange(length)]
    hit = during.any(axis=1)
    delay = np.where(hit, during.argmax(axis=1), length)
    false = _by_day(alarms)[:, 1:-1].any(axis=2)
    return Cell(kind, size, len(onset), int((~hit).sum()), float(np.median(delay)), int(false.sum()), false.size)


def _by_day(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (n, t) as (n, days, steps of a day)."""
    return values.reshape(len(values), -1, DAY)


def quiet_threshold(
    name: str,
    detector: Any,
    *,
    share: float = _QUIET_SHARE,
    count: int = 100,
    days: int = 4,
    seed: int = 0,
    tail: float = TAIL,
) -> float:
    """Return the lowest threshold at which at most a share of fault-free series-days has an alarm.

    It is found on generated series of another seed than those that are judged. The first day is not looked at.

    Parameters
    ----------
    name : str
    detector : object
    share : float, optional
    count, days, seed, tail : optional
        Of the generated series.
    """
    highest: list[Block] = []
    for block, start in enumerate(range(0, count, 20)):
        world = make_world(min(20, count - start), max(days, 2), (seed, len(KINDS), block), tail=tail)
        scores = grid_scores(name, detector, world.values, STEP, "fault-free series")
        highest.append(_by_day(np.nan_to_num(scores, nan=0.0))[:, 1:].max(axis=2).ravel())
    falling = np.sort(np.concatenate(highest))[::-1]
    allowed = int(share * len(falling))
    # Strictly above the first day that may not alarm; where scores end at 1, nothing is above.
    return float(np.nextafter(falling[allowed], np.inf)) if allowed < len(falling) else 0.0
