"""The nets keep what every detector keeps, and say what torch would say. They need torch, and are long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.detect import member_properties as keeps
from workbench import registry
from workbench.detect.members.deep import Autoencoder, Lstm
from workbench.errors import InvalidInput
from workbench.testing import check_detector

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0, as .ci/run does")
pytestmark = pytest.mark.slow
each = pytest.mark.parametrize("name", keeps.DEEP)


@each
def test_contract(name: str) -> None:
    check_detector(registry.load("workbench.detectors", name)())


@each
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_in_pieces_is_the_batch_and_nothing_looks_ahead(name: str, seed: int) -> None:
    keeps.check_pieces(keeps.small(name), keeps.noise(seed), [1, 33, 60, 61, 75][seed:])


@each
@pytest.mark.parametrize("factor", [1e-300, 3.7, 1e290])
def test_scale_does_not_matter(name: str, factor: float) -> None:
    keeps.check_scale(keeps.small(name), keeps.noise(3), factor)


@each
def test_neither_order_nor_company_matters(name: str) -> None:
    detector, values = keeps.small(name), keeps.noise(4)
    keeps.check_order(detector, values, [2, 0, 1])
    whole = detector.score(values, step=keeps.STEP)
    for row in range(3):
        np.testing.assert_array_equal(detector.score(values[row : row + 1], step=keeps.STEP), whole[row : row + 1])


@each
def test_a_series_may_join_later(name: str) -> None:
    keeps.check_growth(keeps.small(name), keeps.noise(5), 37)


@each
@pytest.mark.parametrize("kind", keeps.bad_input())
def test_bad_input_is_scored_or_not_but_never_trips(name: str, kind: str) -> None:
    keeps.check_bad_input(keeps.small(name), keeps.bad_input()[kind])


@each
def test_learning_is_the_same_every_time_and_leaves_threads_alone(name: str) -> None:
    detector, values = keeps.small(name), keeps.noise(6)
    threads = torch.get_num_threads()
    first = detector.score(values, step=keeps.STEP)
    torch.manual_seed(99)
    np.testing.assert_array_equal(detector.score(values, step=keeps.STEP), first)
    assert torch.get_num_threads() == threads


def test_the_lstm_is_that_of_torch() -> None:
    draw = np.random.default_rng(7)
    lstm = Lstm(length=9, hidden=3)
    state = {name: draw.normal(0, 1, (2, *shape)) for name, shape in lstm.shapes().items()}
    windows = draw.normal(0, 1, (2, 6, 9))
    error = lstm.judge(state, windows)
    for row in range(2):
        net = torch.nn.LSTM(1, 3, batch_first=True).double()
        with torch.no_grad():
            net.weight_ih_l0.copy_(torch.from_numpy(state["inward"][row][:, None]))
            net.weight_hh_l0.copy_(torch.from_numpy(state["across"][row]))
            net.bias_ih_l0.copy_(torch.from_numpy(state["bias"][row]))
            net.bias_hh_l0.zero_()
            last = net(torch.from_numpy(windows[row, :, :8, None]))[0][:, -1].numpy()
        guess = windows[row, :, 7] + last @ state["outward"][row] + state["offset"][row]
        np.testing.assert_allclose(error[row], np.abs(windows[row, :, 8] - guess), atol=1e-12)


@pytest.mark.parametrize("net", [Lstm(length=9, hidden=3), Autoencoder(length=9, hidden=3)])
def test_what_is_taught_is_what_is_judged(net: Any) -> None:
    draw = np.random.default_rng(8)
    state = {name: draw.normal(0, 1, (2, *shape)) for name, shape in net.shapes().items()}
    windows = draw.normal(0, 1, (2, 6, 9))
    weights = {name: torch.from_numpy(array) for name, array in state.items()}
    missed = net.missed(torch, weights, torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(net.judge(state, windows), np.sqrt((missed**2).mean(axis=2)), atol=1e-12)


@each
def test_learning_makes_the_usual_less_strange(name: str) -> None:
    t = np.arange(900)
    usual = np.sin(t / 7) + 0.5 * np.sin(t / 3)
    windows = np.lib.stride_tricks.sliding_window_view(usual, 16)[None, ::5]
    net = registry.load("workbench.detectors", name)()
    state = net.untaught(1)
    before = net.judge(state, windows).mean()
    for _ in range(5):
        net.teach(state, np.array([0]), windows)
    assert net.judge(state, windows).mean() < 0.4 * before


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"rounds": 0}, {"rate": 0.0}, {"every": 0}])
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot work"):
        Lstm(**wrong)
