# ruff: noqa: E501
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.panels.units import clock, duration, likelihood, number, quantity, ratio, share, span, ticks, time_ticks


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (number(1234), "1.23k"), (number(0), "0"), (number(0.0123), "0.0123"), (number(-2.5e9), "-2.5G"), (number(math.nan), "\u2013"),
        (duration(850), "850 ns"), (duration(12_345_678), "12.3 ms"), (duration(1.24e9), "1.24 s"), (duration(130e9), "2 min 10 s"),
        (duration(3900e9), "1 h 5 min"), (share(0.0312), "3.12 %"), (share(1.0), "100 %"), (likelihood(0.9996), ">99 %"), (likelihood(0.81), "81 %"), (likelihood(4e-4), "<1 %"), (share(0.00001), "<0.01 %"),
        (quantity(0.25, "s"), "250 ms"), (quantity(3 * 2**20, "By"), "3 MiB"), (quantity(12, "{request}"), "12"),
        (quantity(0.5, "share"), "50 %"), (quantity(7, "Cel"), "7 Cel"), (quantity(2048, "By/s"), "2 KiB/s"), (quantity(3, "/s"), "3/s"),
        (quantity(3, "{request}/s"), "3/s"), (ratio(31, 10), "\u21913.1\u00d7"), (ratio(10, 31), "\u21933.1\u00d7"), (ratio(10, 10.5), ""),
        (ratio(1, 0), ""), (clock(np.datetime64("2025-03-01T12:04:10", "ns")), "12:04:10"), (clock(np.datetime64("NaT", "ns")), ""),
    ],
)  # fmt: skip
def test_figures_read_as_people_write_them(shown: str, wanted: str):
    assert shown == wanted


def test_a_window_names_the_second_day_only_when_there_is_one():
    a = np.datetime64("2025-03-01T23:50", "ns")
    assert span(a, a + np.timedelta64(5, "m")) == "2025-03-01 23:50:00 \u2013 23:55:00 UTC (5 min)"
    assert "2025-03-02 00:20:00" in span(a, a + np.timedelta64(30, "m"))


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12))
def test_ticks_are_few_and_inside(low: float, length: float):
    high = low + length
    found = ticks(low, high, 4)
    slack = 1e-6 * max(abs(low), abs(high), length)
    assert len(found) <= 6
    assert all(low - slack <= t <= high + slack for t in found)


@given(st.integers(1, 10**9), st.integers(2, 12))
def test_time_ticks_are_few_inside_and_evenly_spaced(seconds: int, count: int):
    start = np.datetime64("2025-03-01T12:00:03", "ns")
    end = start + np.timedelta64(seconds, "s")
    found = [t for t, _ in time_ticks(start, end, count)]
    assert len(found) <= count + 1
    assert all(start <= t <= end for t in found)
    assert len({int(d) for d in np.diff(np.array(found, "datetime64[ns]"))}) <= 1
