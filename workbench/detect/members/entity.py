"""Many metrics of one thing: what the components that they move in together leave of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from workbench.detect.calibration import Arrays
from workbench.detect.detector import Detector
from workbench.detect.members.learned import Rows, spread
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput, ShapeError

__all__ = ["Entity"]

_FAR = 6.0
"""Deviations beyond which a sample of the past is taken to be this far: an incident does not own the components."""


@dataclass(frozen=True)
class Entity(Detector):
    """How far each metric of an entity is from where the others say it should be.

    The metrics, less their median and over their robust deviation, are projected on the leading components of the past;
    what is left of each is its own strangeness. A component counts by how much its variance stands out of the first one
    left out: where no metric moves with another, none counts, and each is judged by its own distance from its median.
    A metric without spread in the past takes no part.

    Attributes
    ----------
    groups : tuple of int, optional
        The entity of each row, any numbers; more than there are rows are allowed, for those that will come. By default
        all rows are of one entity.
    history : int
        Ticks of the past that are learnt from.
    every : int
        Ticks after which it is learnt anew, counted from the first column.
    components : int
        How many lead, at most; no more than half of the metrics.

    References
    ----------
    Lakhina, Crovella and Diot, "Diagnosing network-wide traffic anomalies", SIGCOMM 2004.
    """

    name: ClassVar[str] = "entity"
    features: ClassVar[tuple[str, ...]] = ("apart",)
    alone: ClassVar[bool] = False

    groups: tuple[int, ...] | None = None
    history: int = 288
    every: int = 48
    components: int = 3

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if self.history < 16 or self.every < 1 or self.components < 1:
            raise InvalidInput(f"{self} cannot work: history >= 16, every >= 1 and components >= 1 are needed.")

    def begin(self, series: int, step: float) -> Arrays:
        """Return the past, median and deviation, and the weight of each metric in each component."""
        return {
            "ring": np.full((series, self.history), np.nan),
            "center": np.zeros(series),
            "scale": np.zeros(series),
            "loading": np.zeros((series, self.components)),
        }

    def strange(self, state: Arrays, tick: int, step: float, values: Block) -> tuple[Block, ...]:
        """Return what the components leave of each value; learn first where it is due."""
        from workbench.detect import member_kernels

        columns = values.shape[1]
        entity = self._entities(len(values))
        out = np.full(values.shape, np.nan)
        parts = np.zeros((int(entity.max(initial=-1)) + 1, self.components))
        held = [state[name] for name in ("center", "scale", "loading")]
        first = 0
        while first < columns:
            due = self.every - (tick + first) % self.every
            if due == self.every:
                self._learn(state, entity)
            last = min(first + due, columns)
            member_kernels.together(values, first, last, entity, *held, parts, out)
            at = np.arange(tick + first, tick + last)[-self.history :]
            state["ring"][:, at % self.history] = values[:, at - tick]
            first = last
        return (out,)

    def _entities(self, series: int) -> Rows:
        """Return the entity of each row, numbered from 0."""
        if self.groups is None:
            return np.zeros(series, np.int64)
        if len(self.groups) < series:
            raise ShapeError(f"groups names the entity of {len(self.groups)} rows and there are {series}: name each.")
        return np.unique(np.array(self.groups[:series], np.int64), return_inverse=True)[1]

    def _learn(self, state: Arrays, entity: Rows) -> None:
        """Learn the components of every entity; those of as many metrics are learnt at once."""
        ring = state["ring"]
        center, scale = spread(ring)
        scale[np.isfinite(ring).sum(axis=1) < 16] = 0.0
        state["center"][:], state["scale"][:], state["loading"][:] = center, scale, 0.0
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            normal = np.clip((ring - center[:, None]) / scale[:, None], -_FAR, _FAR)
        normal = np.where(np.isnan(ring) | (scale == 0)[:, None], 0.0, normal)
        order = np.argsort(entity, kind="stable")
        sizes = np.bincount(entity)
        begins = np.cumsum(sizes) - sizes
        for size in np.unique(sizes[sizes > 1]).tolist():
            rows = order[begins[sizes == size][:, None] + np.arange(size)]
            state["loading"][rows] = _loadings(normal[rows], min(self.components, size // 2), self.components)


def _loadings(normal: Block, count: int, width: int) -> npt.NDArray[np.float64]:
    """Return the weights of `count` leading components, (entities, metrics, ticks) to (entities, metrics, width).

    A component is multiplied with the root of how much it counts, so that loading times its transpose projects.
    """
    _, size, ticks = normal.shape
    turned = normal.transpose(0, 2, 1)
    wide = size > ticks  # the smaller of the two squares has the same variances
    variance, vectors = np.linalg.eigh((turned @ normal if wide else normal @ turned) / ticks)
    rank = min(size, ticks)
    lead, bar = variance[:, rank - count :], variance[:, rank - count - 1 : rank - count]
    vectors = vectors[:, :, rank - count :]
    if wide:
        vectors = normal @ vectors / np.sqrt(np.maximum(lead, 1e-300) * ticks)[:, None, :]
    counts = np.sqrt(np.clip(1.0 - bar / np.maximum(lead, 1e-300), 0.0, 1.0))
    counts[lead <= 1e-9 * lead[:, -1:]] = 0.0
    out = np.zeros((len(normal), size, width))
    out[:, :, :count] = vectors * counts[:, None, :]
    return out
