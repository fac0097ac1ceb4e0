"""Native histograms whose arrays do not fit together are refused, with the first offence; as a frame they have a column."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.errors import ShapeError
from workbench.signals import Histogram, build_samples, check_samples, pack_histograms
from workbench.signals.histograms import CUSTOM, check_histograms, lay_out

POOL = pack_histograms(
    [
        Histogram(3.0, 1.0, 2, 0.0, 0.0, {1: 1.0, 4: 2.0}, {2: 5.0}),
        Histogram(1.0, 1.0, CUSTOM, positive={0: 1.0}, bounds=(0.5,)),
    ]
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": np.zeros(3)}, "differ in length"),
        ({"bucket": np.zeros(1)}, "differ in length"),
        ({"offsets": np.array([0, 4])}, "do not run from 0"),
        ({"offsets": np.array([0, 3, 5])}, "do not run from 0"),
        ({"offsets": np.array([0, 9, 4])}, "decreasing"),
        ({"key": POOL.key[::-1]}, "do not rise"),
        ({"schema": np.array([9, CUSTOM], np.int16)}, "the schema 9"),
        ({"layout": np.array([-1, 1], np.int32)}, "row 1 of 1"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], words: str) -> None:
    samples = build_samples([{"metric": "h"}], [0, 0], [1, 2], [0.0, 0.0], row=[0, 1], histograms=POOL)
    assert check_samples(samples) is samples
    with pytest.raises(ShapeError, match=words):
        check_samples(replace(samples, histograms=replace(POOL, **change)))


def test_none_at_all_fit() -> None:
    none = pack_histograms([])
    assert check_histograms(none) is none


def test_a_frame_has_them_in_a_column() -> None:
    samples = build_samples(
        [{"metric": "h", "histogram": "x"}], [0, 0], [1, 2], [4.0, 0.0], row=[-1, 0], histograms=POOL
    )
    frame = samples.to_frame()
    assert frame["histogram"].tolist() == [None, POOL.unpack(0)]
    assert frame["value"].tolist() == pytest.approx([4.0, np.nan], nan_ok=True)
    assert frame["histogram_"].tolist() == ["x", "x"]


def test_bounds_are_laid_out_once() -> None:
    custom = np.array([True, False, True, True, True])
    layout, bounds = lay_out(custom, np.array([2, 0, 0, 2, 2]), np.array([0.5, 1.0, 0.0, 1.0, -0.0, 1.0]))
    assert layout.tolist()[1] == -1
    found = [bounds[i].tobytes() for i in layout[[0, 2, 3, 4]].tolist()]
    assert found == [np.array(b).tobytes() for b in ([0.5, 1.0], np.empty(0), [0.0, 1.0], [-0.0, 1.0])]
