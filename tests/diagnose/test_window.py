"""When it began and when it was over."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.diagnose.window import _heaviest_run, choose_step

FINITE = st.floats(0, 50, allow_nan=False)


@given(st.lists(FINITE, min_size=2, max_size=40))
def test_heaviest_run_weighs_as_much_as_the_naive_one(values: list[float]) -> None:
    total = np.array(values)
    ordinary = max(float(np.median(total)) * 1.5, 1.0)
    found = _heaviest_run(total)
    best = naive.heaviest_run((total - ordinary).tolist())
    if found is None:
        assert best is None or best[1] - best[0] < 1 or sum((total - ordinary)[best[0] : best[1] + 1]) < 9.0 + 1e-9
    else:
        assert best is not None
        weight = [float((total - ordinary)[a : b + 1].sum()) for a, b in (found, best)]
        assert np.isclose(*weight)


def test_a_single_spike_is_no_window_and_a_plateau_is() -> None:
    quiet = np.zeros(60)
    assert _heaviest_run(quiet) is None
    spike = quiet.copy()
    spike[30] = 100.0
    assert _heaviest_run(spike) is None
    plateau = quiet.copy()
    plateau[30:46] = 12.0
    plateau[38] = 0.0
    assert _heaviest_run(plateau) == (30, 45)


def test_the_step_grows_with_the_window() -> None:
    begin = np.datetime64("2026-01-01", "ns")
    for span_s, step_s in ((300, 5), (3600, 10), (86_400, 300)):
        assert choose_step((begin, begin + np.timedelta64(span_s, "s"))) == np.timedelta64(step_s, "s")
