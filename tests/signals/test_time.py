"""Times and durations at the door."""

from __future__ import annotations

import contextlib
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.signals import duration_ns, parse_time, window
from workbench.signals.time import MAX_NS, MIN_NS

NOW = np.datetime64("2024-05-01T12:00:00", "ns")


@given(st.integers(MIN_NS, MAX_NS - 1))
def test_every_instant_survives_its_own_text(ns: int) -> None:
    instant = np.datetime64(ns, "ns")
    for spelled in (str(instant), f"{instant}Z", instant, pd.Timestamp(instant), f"{instant}+00:00"):
        parsed = parse_time(spelled)
        assert parsed == instant
        assert parsed.dtype == np.dtype("datetime64[ns]")


@given(st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2261, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_aware_times_are_converted_to_utc(naive_time: dt.datetime, minutes: int) -> None:
    aware = naive_time.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    expected = np.datetime64(naive_time - dt.timedelta(minutes=minutes), "ns")
    assert parse_time(aware) == expected
    assert parse_time(aware.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2024-05-01T12:00"),
        ("-6h", "2024-05-01T06:00"),
        ("now-15m", "2024-05-01T11:45"),
        ("now - 1h30m", "2024-05-01T10:30"),
        ("+1d", "2024-05-02T12:00"),
        ("2024", "2024-01-01"),
        ("2024-02", "2024-02-01"),
        (" 2024-02-03 ", "2024-02-03"),
        ("20240203T040506Z", "2024-02-03T04:05:06"),
        ("2024-02-03 04:05", "2024-02-03T04:05"),
        ("2024-02-03T04:05:06.123456789+02:00", "2024-02-03T02:05:06.123456789"),
        ("1970-01-01", "1970-01-01"),
        ("2261-12-31T23:59:59.999999999", "2261-12-31T23:59:59.999999999"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert parse_time(text, NOW) == np.datetime64(expected, "ns")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "soon",
            "10:30",
            "today",
            "12/11/2024",
            "1700000000",
            "-6",
            "-6x",
            "now-",
            "2024-13-01",
            "2024-02-30",
            "NaT",
        ),
        *("2024-01-01T25:00", "2024-01-01 10:00 EST", "2024-01-01T00:00+99:00", "٢٠٢٤-01-01", "\x00", "-" + "9" * 5000),
        *(None, 5, 1.5, True, b"2024", [1]),
    ],
)
def test_what_is_no_time_is_refused_in_one_short_sentence(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_time(value)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        *("1969-12-31T23:59:59", "1970-01-01T00:00+01:00", "2262-01-01", "9999-12-31", "0001-01-01", "-60y", "+290y"),
        *(dt.datetime(9999, 1, 1), dt.date(1969, 1, 1), np.datetime64("3000-01-01"), np.datetime64("NaT"), pd.NaT),
    ],
)
def test_other_centuries_are_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"is outside 1970-2261"):
        parse_time(value, NOW)  # type: ignore[arg-type]


@given(st.text(max_size=20))
def test_any_text_gives_a_time_or_the_one_error(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert MIN_NS <= int(parse_time(text, NOW).astype(np.int64)) < MAX_NS


@pytest.mark.parametrize(
    ("given_duration", "ns"),
    [
        *(("1h30m", 5400 * 10**9), ("500ms", 5 * 10**8), ("1.5s", 15 * 10**8), ("1ns", 1), ("2w", 1209600 * 10**9)),
        *(("1d 2h", 93600 * 10**9), (30, 30 * 10**9), (0.25, 25 * 10**7), (np.int64(2), 2 * 10**9), (-3, -3 * 10**9)),
        ("1y1ns", 365 * 86400 * 10**9 + 1),
    ],
)
def test_durations(given_duration: str | float, ns: int) -> None:
    assert duration_ns(given_duration) == ns


@pytest.mark.parametrize("text", ["", "5", "-5m", "1h-5m", "m", "1e5s", "5 apples", "1h!", True, None, "٥m"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput, match="is not understood"):
        duration_ns(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["300y", "9" * 400 + "h", "1" * 25 + ".5s", float("nan"), float("inf"), 1e300])
def test_durations_beyond_64_bits_are_refused(text: str | float) -> None:
    with pytest.raises(InvalidInput, match="292 years"):
        duration_ns(text)


def test_windows_are_not_empty() -> None:
    assert window("-1h", "now", NOW) == (NOW - np.timedelta64(1, "h"), NOW)
    for start, end in (("now", "now"), ("now", "-1h")):
        with pytest.raises(InvalidInput, match="start must lie before end"):
            window(start, end, NOW)
