"""Detectors over a labelled set: one file at a time, the processor time counted, the scores brought back to rows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import InvalidInput, MissingDependency, WorkbenchError
from workbench.evaluate.hold import Hold, usual_hold
from workbench.evaluate.labelled import Block, LabelledSet

__all__ = ["Ran", "detectors", "grid_scores", "run"]

_WARM_UP = 1000
"""Columns scored once before the clock starts, so that compiling is not counted."""


@dataclass(frozen=True)
class Ran:
    """Scores of one detector over a set.

    Attributes
    ----------
    name : str
    raw, scores : dict of str to ndarray of float64, shape (n,)
        Row scores by key, 0 where it gave none: as the detector gave them, and after the refractory, which leaves those
        that may become an alarm.
    micros_per_point : float
        Processor time of the detector; NaN where it was not measured.
    """

    name: str
    raw: dict[str, Block]
    scores: dict[str, Block]
    micros_per_point: float


def detectors(names: Iterable[str] = ()) -> dict[str, Any]:
    """Return detectors with their default parameters by name: those asked for, else all of `workbench.detectors`.

    Raises
    ------
    NotFound
        If a name is not known.
    MissingDependency
        If one that was asked for cannot be loaded; of all, one that cannot is skipped with a warning.
    """
    from workbench import registry

    asked = list(dict.fromkeys(names))
    if asked:
        return {name: registry.load("workbench.detectors", name)() for name in asked}
    made = {}
    for name, kind in registry.load_all("workbench.detectors").items():
        try:
            made[name] = kind()
        except MissingDependency as error:
            _warn(name, error)
    return made


def _warn(name: str, error: Exception) -> None:
    import warnings

    from workbench.errors import WorkbenchWarning

    warnings.warn(f"skipped: detector {name!r}: {error}", WorkbenchWarning, stacklevel=3)


def run(name: str, detector: Any, data: LabelledSet, *, hold: Hold | None = None, progress: bool = False) -> Ran:
    """Score every series of a set, each by itself.

    Parameters
    ----------
    name : str
        What it is called in the result.
    detector : object
        Has `score(values, step=seconds)`, float64 of shape (n, t) to the same shape, 0 to 1, NaN = no score.
    data : LabelledSet
    hold : callable, optional
        The refractory; by default that which detectors are used with.
    progress : bool, optional
        Show a bar on a terminal.

    Raises
    ------
    WorkbenchError
        If the detector fails or breaks the contract; the message names detector and file.
    """
    from tqdm.auto import tqdm

    hold = usual_hold() if hold is None else hold
    raw: dict[str, Block] = {}
    scores: dict[str, Block] = {}
    spent, points = 0.0, 0
    if data.series:
        first = data.series[0]
        grid_scores(name, detector, first.grid[:, :_WARM_UP], first.step, first.key)
    for one in tqdm(data.series, desc=name, unit="file", disable=None if progress else True, leave=False):
        began = time.process_time()
        grid = grid_scores(name, detector, one.grid, one.step, one.key)
        spent += time.process_time() - began
        points += one.grid.size
        raw[one.key], scores[one.key] = one.rows(grid), one.rows(hold(grid, one.step))
    return Ran(name, raw, scores, 1e6 * spent / points if points else float("nan"))


def grid_scores(name: str, detector: Any, values: Block, step: float, where: str) -> Block:
    """Return the scores of a block, checked: float64 of shape (n, t), from 0 to 1, NaN where there is none."""
    try:
        given = detector.score(values, step=step)
        scores: Block = np.asarray(given, np.float64)
    except WorkbenchError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"detector {name!r} failed on {where} ({type(error).__name__}: {error}): mend it."
        ) from error
    if scores.shape != values.shape:
        raise InvalidInput(
            f"detector {name!r} scored {where} of shape {values.shape} as {scores.shape}: keep the shape."
        )
    if bool(((scores < 0) | (scores > 1)).any()):
        raise InvalidInput(
            f"detector {name!r} scored {where} from {np.nanmin(scores):g} to {np.nanmax(scores):g}: keep to 0 to 1."
        )
    return scores
