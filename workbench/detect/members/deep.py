"""Two small nets that torch teaches on the past: one foretells the next sample, one remembers shapes. Extra `deep`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from workbench.detect.calibration import Arrays
from workbench.detect.members.learned import Learned, Rows
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput, MissingDependency

__all__ = ["Autoencoder", "Lstm"]


@contextmanager
def _one_thread() -> Iterator[Any]:
    """Give torch, on one thread: sums over several come out in an order of their own."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Net(Learned):
    """A net per series, all of them taught in one batch, in double precision, a little more each time it is due.

    Attributes
    ----------
    hidden : int
        Numbers that a window is pressed into.
    rounds, rate : int, float
        Steps of Adam each time, and their size.
    """

    hidden: int = 8
    rounds: int = 60
    rate: float = 0.02

    def __post_init__(self) -> None:
        """Reject parameters that cannot work, and a machine without torch."""
        from importlib.util import find_spec

        super().__post_init__()
        if self.hidden < 1 or self.rounds < 1 or not self.rate > 0:
            raise InvalidInput(f"{self} cannot work: hidden >= 1, rounds >= 1 and rate > 0 are needed.")
        if find_spec("torch") is None:
            raise MissingDependency(
                f"detector {self.name!r} needs torch, which is not installed: pip install 'workbench-observability[deep]'."
            )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each array of weights of one series; the last length is what comes in."""
        raise NotImplementedError

    def missed(self, torch: Any, weights: dict[str, Any], windows: Any) -> Any:
        """Return what the net misses of each window, tensors (n, samples, length) to (n, samples, k)."""
        raise NotImplementedError

    def untaught(self, series: int) -> Arrays:
        """Return the weights that learning begins with, the same for each series."""
        draw = np.random.default_rng(self.seed)
        given = {name: draw.normal(0.0, 1.0, size) / np.sqrt(size[-1]) for name, size in self.shapes().items()}
        return {name: np.repeat(one[None], series, axis=0) for name, one in given.items()}

    def teach(self, state: Arrays, rows: Rows, windows: Block) -> None:
        """Go on learning where the weights were left."""
        if (
            len(rows) == 1
        ):  # products of a single matrix round in a way of their own: a series would learn otherwise alone
            rows, windows = np.repeat(rows, 2), np.repeat(windows, 2, axis=0)
        with _one_thread() as torch:
            seen = torch.from_numpy(windows)
            weights = {name: torch.from_numpy(state[name][rows]).requires_grad_() for name in self.shapes()}
            adam = torch.optim.Adam(list(weights.values()), lr=self.rate, eps=1e-6)
            for _ in range(self.rounds):
                adam.zero_grad()
                missed = self.missed(torch, weights, seen)
                # Huber: a stretch of an incident among the windows pulls, but no more than its share
                torch.nn.functional.smooth_l1_loss(missed, torch.zeros_like(missed), reduction="none").mean(
                    (1, 2)
                ).sum().backward()
                adam.step()
            for name, learnt in weights.items():
                state[name][rows] = learnt.detach().numpy()


@dataclass(frozen=True)
class Lstm(_Net):
    """How far each sample is from what a small LSTM, given the samples before it, foretold.

    References
    ----------
    Malhotra et al., "Long short term memory networks for anomaly detection in time series", ESANN 2015.
    """

    name: ClassVar[str] = "lstm"
    features: ClassVar[tuple[str, ...]] = ("foretold",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights."""
        h = self.hidden
        return {"inward": (4 * h,), "across": (4 * h, h), "bias": (4 * h,), "outward": (h,), "offset": (1,)}

    def missed(self, torch: Any, weights: dict[str, Any], windows: Any) -> Any:
        """Return the error of the last place."""
        inward, bias = weights["inward"][:, None, :], weights["bias"][:, None, :]
        across = weights["across"].transpose(1, 2)
        hidden = cell = windows.new_zeros((*windows.shape[:2], self.hidden))
        for at in range(self.length - 1):
            gates = bias + inward * windows[:, :, at : at + 1] + torch.bmm(hidden, across)
            enter, keep, new, leave = gates.chunk(4, dim=2)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
        change = torch.bmm(hidden, weights["outward"][:, :, None]) + weights["offset"][:, :, None]
        return windows[:, :, -1:] - windows[:, :, -2:-1] - change

    def judge(self, state: Arrays, windows: Block) -> Block:
        """Return the size of the error of the last place."""
        from workbench.detect import learned_kernels

        error = np.empty(windows.shape[:2])
        learned_kernels.lstm(windows, *(state[name] for name in self.shapes()), error)
        return error


@dataclass(frozen=True)
class Autoencoder(_Net):
    """How far the last samples are from what is left of them after a passage through a few numbers.

    References
    ----------
    Sakurada and Yairi, "Anomaly detection using autoencoders with nonlinear dimensionality reduction", MLSDA 2014.
    """

    name: ClassVar[str] = "autoencoder"
    features: ClassVar[tuple[str, ...]] = ("remembered",)

    hidden: int = 4

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights."""
        h, m = self.hidden, self.length
        return {"narrow": (h, m), "inner": (h,), "widen": (m, h), "outer": (m,)}

    def missed(self, torch: Any, weights: dict[str, Any], windows: Any) -> Any:
        """Return the error of each place."""
        code = torch.tanh(torch.bmm(windows, weights["narrow"].transpose(1, 2)) + weights["inner"][:, None, :])
        return windows - torch.bmm(code, weights["widen"].transpose(1, 2)) - weights["outer"][:, None, :]

    def judge(self, state: Arrays, windows: Block) -> Block:
        """Return the root mean square of the errors of all places."""
        from workbench.detect import learned_kernels

        error = np.empty(windows.shape[:2])
        learned_kernels.autoencoder(windows, *(state[name] for name in self.shapes()), error)
        return error
