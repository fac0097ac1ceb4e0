"""What a detector is: a frozen dataclass of parameters that turns blocks of values into blocks of scores.

`score` takes all columns at once; a `Stream` takes them as they come and keeps arrays between. Both run the same
instructions over the same state, so their numbers are the same to the last bit, and no score can depend on what comes
after it. Every series is brought to the size of its first sample by a power of two, which changes no digit: a scale
between 1e-308 and 1e308 makes no difference, and no square overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.detect.calibration import Arrays, Calibration
from workbench.detect.surprise import Block, to_score
from workbench.errors import InvalidInput, ShapeError

__all__ = ["Band", "Detector", "Stream", "part"]

_CELLS = 2_000_000
"""Values worked on at once in a batch."""
_UNSET = np.iinfo(np.int32).min
_HUGE = 1e150


class Band(NamedTuple):
    """What was expected of each value, all float64 of the shape of the values, NaN where nothing could be said."""

    center: Block
    low: Block
    high: Block


def part(state: Arrays, prefix: str) -> Arrays:
    """Return the arrays of one part of a state, by their own names: the same arrays, not copies."""
    return {name[len(prefix) + 1 :]: array for name, array in state.items() if name.startswith(f"{prefix}.")}


@dataclass(frozen=True)
class Detector:
    """Base of the detectors here; a subclass says what is strange, this turns it into scores.

    A subclass gives `name`, `features` (what its strangeness is made of, one name each), `begin` and `strange`.
    """

    name: ClassVar[str] = ""
    features: ClassVar[tuple[str, ...]] = ()
    alone: ClassVar[bool] = True
    """Whether each series is judged by itself; where not, its neighbours count too."""

    calibration: Calibration = field(default=Calibration(), kw_only=True)

    def begin(self, series: int, step: float) -> Arrays:
        """Return the state of series without a past; `step` is the seconds between columns."""
        raise NotImplementedError

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return a strangeness per feature (>= 0, any unit, NaN for none), bringing `state` up to date.

        `values` are n series by c columns, the first of which is column `tick` of the stream.
        """
        raise NotImplementedError

    def start(self, series: int, step: float) -> Arrays:
        """Return the whole state: that of the detector and of the calibration of each feature."""
        state = {f"of.{name}": array for name, array in self.begin(series, step).items()}
        for feature in self.features:
            state |= {f"{feature}.{name}": array for name, array in self.calibration.begin(series).items()}
        return state

    def surprise(self, state: Arrays, tick: int, step: float, values: Block) -> Block:
        """Return the surprise of each feature, shape (k, n, c)."""
        found = self.strange(part(state, "of"), tick, step, values)
        pairs = zip(self.features, found, strict=True)
        return np.stack([self.calibration.apply(part(state, feature), strange) for feature, strange in pairs])

    def combine(self, surprise: Block, step: float) -> Block:
        """Return one surprise of those of the features, (k, n, c) to (n, c): their mean. One not ready counts as 0."""
        total = np.where(np.isnan(surprise), 0.0, surprise).sum(axis=0) / len(surprise)
        return np.where(np.isnan(surprise).all(axis=0), np.nan, total)

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        """Return how strange each value is, by what came before it.

        Parameters
        ----------
        values : ndarray of float64, shape (n, t)
            One row per series, one column per `step`; NaN is no sample.
        step : float, optional
            Seconds between columns.

        Returns
        -------
        ndarray of float64, shape (n, t)
            From 0 to 1, high = strange; NaN where there is no sample or not enough past. See `surprise.py`.
        """
        return to_score(self.combine(self.parts(values, step=step), step))

    def parts(self, values: Block, *, step: float = 60.0) -> Block:
        """Return the surprise (-log10 p) of each of `features`, shape (k, n, t)."""
        block = as_block(values)
        rows = max(1, _CELLS // max(1, block.shape[1])) if self.alone else max(1, len(block))
        found = [
            self.stream(len(some), step=step).parts(some) for some in np.split(block, range(rows, len(block), rows))
        ]
        return np.concatenate(found, axis=1)

    def stream(self, series: int, *, step: float = 60.0) -> Stream:
        """Return a stream of `series` series that have no past yet."""
        if series < 0 or not step > 0 or not np.isfinite(step):
            raise InvalidInput(
                f"a stream of {series} series every {step} s cannot be: give at least 0 and more than 0."
            )
        state = self.start(series, float(step))
        return Stream(self, float(step), 0, np.full(series, _UNSET, np.int32), state)

    def resume(self, arrays: Mapping[str, np.ndarray]) -> Stream:
        """Return the stream that `Stream.arrays` was taken of.

        Raises
        ------
        InvalidInput
            If the arrays are not those of this detector.
        """
        given = {name: np.array(array) for name, array in arrays.items()}
        if not {"tick", "step", "exponent"} <= given.keys():
            raise InvalidInput("these arrays are not of a stream: tick, step and exponent are needed.")
        tick, step, exponent = int(given.pop("tick")), float(given.pop("step")), given.pop("exponent")
        wanted = self.start(len(exponent), step)
        wrong = [name for name in wanted.keys() | given.keys() if not _alike(wanted.get(name), given.get(name))]
        if wrong:
            raise InvalidInput(f"array {min(wrong)!r} is not that of {self}: resume with the detector that made it.")
        return Stream(self, step, tick, exponent.astype(np.int32), given)


def _alike(wanted: np.ndarray | None, given: np.ndarray | None) -> bool:
    return wanted is not None and given is not None and (wanted.shape, wanted.dtype) == (given.shape, given.dtype)


@dataclass
class Stream:
    """A detector at work on n series, one column a tick; `Detector.stream` makes it.

    Attributes
    ----------
    detector : Detector
    step : float
        Seconds between columns.
    tick : int
        Columns seen.
    exponent : ndarray of int32, shape (n,)
        Power of two that each series is divided by.
    state : dict of ndarray
        Everything else that is remembered, each with a row per series.
    """

    detector: Detector
    step: float
    tick: int
    exponent: npt.NDArray[np.int32]
    state: Arrays

    def __len__(self) -> int:
        return len(self.exponent)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of all series."""
        return int(sum(array.nbytes for array in self.state.values()) + self.exponent.nbytes)

    def update(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the scores of one new column, shape (n,); NaN is no sample."""
        return to_score(self.detector.combine(self.parts(np.asarray(values, np.float64)[:, None]), self.step))[:, 0]

    def parts(self, values: Block) -> Block:
        """Return the surprise of each feature for new columns, (n, c) to (k, n, c)."""
        block = as_block(values)
        if len(block) != len(self):
            raise ShapeError(
                f"{len(block)} series were given to a stream of {len(self)}: `grow` it first, or give NaN."
            )
        found = self.detector.surprise(self.state, self.tick, self.step, self._normal(block))
        self.tick += block.shape[1]
        return found

    def grow(self, series: int) -> None:
        """Add series that have no past yet, behind those there are."""
        fresh = self.detector.start(series, self.step)
        self.state = {name: np.concatenate([array, fresh[name]]) for name, array in self.state.items()}
        self.exponent = np.concatenate([self.exponent, np.full(series, _UNSET, np.int32)])

    def arrays(self) -> Arrays:
        """Return everything remembered, to be kept with `numpy.savez` and given to `Detector.resume`."""
        held = {name: array.copy() for name, array in self.state.items()}
        return held | {"tick": np.array(self.tick), "step": np.array(self.step), "exponent": self.exponent.copy()}

    def _normal(self, values: Block) -> Block:
        """Return values divided by each series' power of two, which its first sample other than 0 decides."""
        fresh = np.flatnonzero(self.exponent == _UNSET)
        if len(fresh) and values.shape[1]:
            usable = np.isfinite(values[fresh]) & (values[fresh] != 0)
            first = usable.argmax(axis=1)
            known = usable[np.arange(len(fresh)), first]
            self.exponent[fresh[known]] = np.frexp(values[fresh, first][known])[1]
        shift = np.where(self.exponent == _UNSET, 0, -self.exponent)[:, None]
        with np.errstate(over="ignore", under="ignore"):
            return np.clip(np.ldexp(values, shift), -_HUGE, _HUGE)


def as_block(values: Block) -> Block:
    """Return values as float64 in rows; anything else than two dimensions is an error."""
    block = np.ascontiguousarray(values, np.float64)
    if block.ndim != 2:
        raise ShapeError(f"a detector takes values of shape (series, time); got {block.shape}.")
    return block
