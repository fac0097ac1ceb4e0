"""Isolation forest on short windows: how few random cuts part the newest window from those of the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.members.learned import Learned, Rows
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput

__all__ = ["Forest"]


@dataclass(frozen=True)
class Forest(Learned):
    """2 to the minus mean number of cuts, in trees that scikit-learn grows on windows of the past.

    One forest per series, one series after the other (that library knows no other way): some 15 ms each time. The trees
    are kept as arrays, 57 kB per series, and walked by `learned_kernels.forest`.

    Attributes
    ----------
    trees : int
    sample : int
        Windows that each tree is grown on.

    References
    ----------
    Liu, Ting and Zhou, "Isolation forest", ICDM 2008.
    """

    name: ClassVar[str] = "forest"
    features: ClassVar[tuple[str, ...]] = ("isolation",)
    far: ClassVar[float] = 1e6

    length: int = 8
    samples: int = 256
    trees: int = 25
    sample: int = 64

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        super().__post_init__()
        if self.trees < 1 or not 2 <= self.sample <= min(self.samples, 4096):
            raise InvalidInput(f"{self} cannot work: trees >= 1 and 2 <= sample <= samples, 4096 at most, are needed.")

    def untaught(self, series: int) -> Arrays:
        """Return trees that are leaves."""
        shape = (series, self.trees, 2 * self.sample - 1)
        return {
            "feature": np.zeros(shape, np.int16),
            "threshold": np.zeros(shape),
            "left": np.full(shape, -1, np.int16),
            "right": np.full(shape, -1, np.int16),
            "depth": np.zeros(shape, np.float32),
        }

    def teach(self, state: Arrays, rows: Rows, windows: Block) -> None:
        """Grow a forest for each series."""
        from sklearn.ensemble import IsolationForest

        for row, some in zip(rows, windows, strict=True):
            grown = IsolationForest(n_estimators=self.trees, max_samples=self.sample, random_state=self.seed)
            for at, tree in enumerate(grown.fit(some.astype(np.float32)).estimators_):
                _keep(state, (row, at), tree.tree_)

    def judge(self, state: Arrays, windows: Block) -> Block:
        """Return how soon each window is alone."""
        from workbench.detect import learned_kernels

        rarity = np.empty(windows.shape[:2])
        held = (state[name] for name in ("feature", "threshold", "left", "right", "depth"))
        learned_kernels.forest(windows, *held, rarity)
        return rarity


def _keep(state: Arrays, at: tuple[int, int], tree: Any) -> None:
    """Write one tree of scikit-learn into the arrays; of a leaf its depth, and that which its samples would need more."""
    count = tree.node_count
    left, right = tree.children_left, tree.children_right
    depth = np.zeros(count)
    for node in range(count):  # children come after their parent
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    size = tree.n_node_samples
    state["feature"][at][:count] = np.maximum(tree.feature, 0)
    state["threshold"][at][:count] = tree.threshold
    state["left"][at][:count], state["right"][at][:count] = left, right
    state["depth"][at][:count] = depth + np.where(left < 0, _more(size), 0.0)


def _more(size: Rows) -> Block:
    """Return the mean depth of a random tree over so many samples (equation 1 of the paper)."""
    many = np.maximum(size, 3)
    usual = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.asarray(np.where(size > 2, usual, np.where(size == 2, 1.0, 0.0)), np.float64)
