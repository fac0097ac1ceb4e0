"""Native histograms of remote-write requests: what protobuf wrote is what is read, and what makes no sense is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.native_messages import spans
from tests.sources.remote_write_schema import CLASSES, newer, older
from tests.store.native_strategies import histograms, said
from workbench.errors import SourceError
from workbench.signals import Histogram, check_samples
from workbench.signals.histograms import CUSTOM
from workbench.sources import ReadOptions
from workbench.sources.histogram_columns import UNSOUND
from workbench.sources.remote_write import read_request

OPTIONS = ReadOptions()
counted = st.dictionaries(st.integers(-9, 30), st.integers(0, 2**53), max_size=6).map(
    lambda cells: {k: float(v) for k, v in cells.items()}
)


@st.composite
def whole(draw: st.DrawFn) -> Histogram:
    """A histogram of whole numbers."""
    head = [float(draw(st.integers(0, 2**53))), draw(st.floats())]
    if draw(st.booleans()):
        cells = {k: v for k, v in draw(counted).items() if 0 <= k <= 2}
        return Histogram(head[0], head[1], CUSTOM, 0.0, 0.0, cells, {}, (0.5, 2.0), draw(st.integers(0, 3)))
    rest = [draw(st.floats(0, 1)), float(draw(st.integers(0, 2**53)))]
    return Histogram(*head, draw(st.integers(-4, 8)), *rest, draw(counted), draw(counted), (), draw(st.integers(0, 3)))


# A count of 0 that is a float would not be sent: these messages lack what tells it from none.
floating = histograms().map(lambda h: replace(h, count=h.count or 1.0))


def message(into: Any, at: int, h: Histogram, *, floats: bool) -> None:
    made = into.histograms.add(sum=h.sum, schema=h.schema, zero_threshold=h.zero_threshold, timestamp=at)
    made.reset_hint, ending, kind = h.hint, ("int", "float")[floats], (int, float)[floats]
    setattr(made, f"count_{ending}", kind(h.count))
    setattr(made, f"zero_count_{ending}", kind(h.zero_count))
    made.custom_values.extend(h.bounds)
    spans(made, h.positive, "positive", whole=not floats)
    spans(made, h.negative, "negative", whole=not floats)


def filled(cells: dict[int, float]) -> dict[int, float]:
    """Cells with the zeros that a message has in gaps of one."""
    more = {i + 1: 0.0 for i in cells if i + 2 in cells and i + 1 not in cells}
    return cells | more


def request(parts: list[tuple[Histogram, bool]], *, is_newer: bool) -> bytes:
    rows: list[Any] = [([("__name__", "a")], [(5, 1.0)]), ([("__name__", "b")], [])]
    made = (newer if is_newer else older)(rows)
    for i, (h, floats) in enumerate(parts):
        message(made.timeseries[i % 2], 10 + i, h, floats=floats)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("is_newer", [False, True])
@settings(max_examples=40)
@given(st.lists(st.tuples(whole(), st.just(False)) | st.tuples(floating, st.just(True)), max_size=5))
def test_both_versions_say_what_was_written(is_newer: bool, parts: list[tuple[Histogram, bool]]) -> None:
    got = read_request(request(parts, is_newer=is_newer), newer=is_newer, options=OPTIONS)
    assert not got.skips
    found = {}
    for samples in got.samples:
        check_samples(samples)
        for i, series in enumerate(samples.series_of_sample().tolist()):
            row = -1 if samples.row is None else int(samples.row[i])
            at = int(samples.time[i].astype("datetime64[ms]").astype(np.int64))
            name = samples.labels["metric"].iloc[series]
            held: Any = (
                samples.value[i] if row < 0 or samples.histograms is None else said(samples.histograms.unpack(row))
            )
            found[name, at] = held
    want: dict[Any, Any] = {("a", 5): 1.0}
    for i, (h, _) in enumerate(parts):
        sides = (filled(h.positive), filled(h.negative))
        want["ab"[i % 2], 10 + i] = said(
            Histogram(h.count, h.sum, h.schema, h.zero_threshold, h.zero_count, *sides, h.bounds, h.hint)
        )
    assert found == want


def make(**fields: Any) -> bytes:
    made = older([([("__name__", "a")], [(5, 1.0)])])
    h = made.timeseries[0].histograms.add(count_int=3, timestamp=7, schema=fields.pop("schema", 0))
    for name, value in fields.items():
        if name.endswith("spans"):
            for offset, length in value:
                getattr(h, name).add(offset=offset, length=length)
        elif isinstance(value, list):
            getattr(h, name).extend(value)
        else:
            setattr(h, name, value)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    "fields",
    [
        {"positive_spans": [(0, 2)], "positive_deltas": [1]},
        {"positive_spans": [(0, 1)], "positive_deltas": [1, 2]},
        {"negative_spans": [(0, 2**32 - 1)], "negative_deltas": [1]},
        {"positive_spans": [(0, 1), (-1, 1)], "positive_deltas": [1, 1]},
        {"positive_spans": [(2**31 - 1, 1)], "positive_deltas": [1]},
        {"positive_spans": [(-(2**31), 1)], "positive_deltas": [1]},
        {"positive_spans": [(0, 1)], "positive_deltas": [-1]},
        {"positive_spans": [(0, 1)], "positive_counts": [1.0]},
        {"schema": 9},
        {"schema": -5},
        {"reset_hint": 4},
        {"schema": CUSTOM, "custom_values": [1.0, 1.0]},
        {"schema": CUSTOM, "custom_values": [float("nan")]},
        {"schema": CUSTOM, "custom_values": [1.0], "positive_spans": [(2, 1)], "positive_deltas": [1]},
        {"schema": CUSTOM, "custom_values": [1.0], "negative_spans": [(0, 1)], "negative_deltas": [1]},
    ],
)
def test_what_makes_no_sense_is_counted(fields: dict[str, Any]) -> None:
    got = read_request(make(**fields), newer=False, options=OPTIONS)
    assert got.skips == {UNSOUND: 1}
    assert sum(samples.n_samples for samples in got.samples) == 1


@settings(max_examples=150)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_histogram_or_not(body: bytes, is_newer: bool) -> None:
    made = (newer if is_newer else older)([([("__name__", "a")], [])])
    series = made.timeseries[0].SerializeToString() + bytes([26 if is_newer else 34, len(body)]) + body
    made.ClearField("timeseries")
    plain = made.SerializeToString() + bytes([42 if is_newer else 10, len(series)]) + series
    try:
        got = read_request(plain, newer=is_newer, options=OPTIONS)
    except SourceError:
        return
    for samples in got.samples:
        check_samples(samples)
    assert sum(s.n_samples for s in got.samples) + got.skips.total() == 1


def test_numbers_that_are_not_packed() -> None:
    plain = CLASSES["Histogram"](count_int=3, timestamp=7)
    plain.positive_spans.add(offset=2, length=2)
    body = plain.SerializeToString() + bytes([0x60, 0x04, 0x60, 0x01])  # differences 2 and -1, one by one
    made = older([([("__name__", "a")], [])])
    series = made.timeseries[0].SerializeToString() + bytes([34, len(body)]) + body
    (samples,) = read_request(bytes([10, len(series)]) + series, newer=False, options=OPTIONS).samples
    assert samples.histograms is not None
    assert samples.histograms.unpack(0).positive == {2: 2.0, 3: 1.0}
