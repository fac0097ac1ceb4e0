"""Samples with native histograms of every kind, numbers beside them, and what makes two of them the same to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tests.store.worlds import T0, S
from workbench.signals import Histogram, Samples, build_samples, pack_histograms
from workbench.signals.histograms import CUSTOM
from workbench.store.native import MARK

NOT_PLAIN = [0.0, -0.0, float("inf"), -float("inf"), 5e-324, 1.7e308, 1.0, 0.1, 3.0]
BITS = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000000, 0x7FF800000000ABCD, 0x7FF4000000000007]


@st.composite
def numbers(draw) -> float:
    if draw(st.booleans()):
        return draw(st.sampled_from(NOT_PLAIN) | st.floats(allow_nan=False))
    return float(np.array([draw(st.sampled_from(BITS))], np.uint64).view(np.float64)[0])


@st.composite
def histograms(draw) -> Histogram:
    hint = draw(st.integers(0, 3))
    count, total = draw(numbers()), draw(numbers())
    if draw(st.booleans()):
        n = draw(st.integers(0, 3))
        bounds = tuple(
            sorted(draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 8.0]), min_size=n, max_size=n, unique=True)))
        )
        cells = draw(st.dictionaries(st.integers(0, n), numbers(), max_size=3))
        return Histogram(count, total, CUSTOM, 0.0, 0.0, cells, {}, bounds, hint)
    side = st.dictionaries(st.integers(-5, 8) | st.integers(-2000, 2000), numbers(), max_size=4)
    schema = draw(st.integers(-4, 8))
    return Histogram(count, total, schema, draw(numbers()), draw(numbers()), draw(side), draw(side), (), hint)


@st.composite
def points(draw, series: int = 3, instants: int = 6) -> dict[tuple[int, int], Histogram | float | None]:
    """What is written: by series and instant a histogram, a number, or None for a number with the bits of the mark."""
    places = st.tuples(st.integers(0, series - 1), st.integers(0, instants - 1))
    return draw(st.dictionaries(places, histograms() | numbers() | st.none(), min_size=1, max_size=8))


def samples_of(points: dict[tuple[int, int], Histogram | float | None]) -> Samples:
    """Points as samples, the series in the order of their labels."""
    labels = [{"metric": "h", "job": f"j{i}"} for i in range(1 + max(s for s, _ in points))]
    found = sorted(points.items(), key=lambda item: item[0])
    held = [value for _, value in found if isinstance(value, Histogram)]
    row = np.cumsum([isinstance(v, Histogram) for _, v in found]) - 1
    row[[not isinstance(v, Histogram) for _, v in found]] = -1
    mark = np.array([MARK]).view(np.float64)[0]
    value = np.array([mark if v is None else 0.0 if isinstance(v, Histogram) else v for _, v in found])
    columns = {"row": row, "histograms": pack_histograms(held)} if held else {}
    time = T0 + np.array([at for (_, at), _ in found]) * S
    made = build_samples(labels, [s for (s, _), _ in found], time, value, **columns)
    return made.take(np.diff(made.offsets) > 0)


def told(samples: Samples) -> list[object]:
    """Everything that samples say, bit for bit."""
    out: list[object] = []
    texts = [sorted((k, v) for k, v in row.items() if v) for row in samples.labels.to_dict("records")]
    bits = samples.value.view(np.uint64).tolist()
    times = samples.time.view(np.int64).tolist()
    for i, series in enumerate(samples.series_of_sample().tolist()):
        row = -1 if samples.row is None else int(samples.row[i])
        what: object = bits[i]
        if row >= 0:
            assert samples.histograms is not None
            assert bits[i] == 0
            what = said(samples.histograms.unpack(row))
        out.append((texts[series], times[i], what))
    return sorted(out, key=lambda item: (item[0], item[1]))  # type: ignore[index]


def said(h: Histogram) -> tuple[object, ...]:
    """One histogram, bit for bit, empty buckets included."""

    def bits(values: object) -> list[int]:
        return np.array(values, np.float64).view(np.uint64).tolist()

    sides = [(sorted(side), bits([side[k] for k in sorted(side)])) for side in (h.positive, h.negative)]
    return h.schema, h.hint, bits([h.count, h.sum, h.zero_threshold, h.zero_count]), sides, bits(h.bounds)


def growing(n: int = 40, series: int = 2, seed: int = 0) -> Samples:
    """A few series whose buckets come up and whose counts rise, reset once, and end; one changes its layout."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[int, int], Histogram | float | None] = {}
    for s in range(series):
        cells: dict[int, float] = {}
        for i in range(n):
            if i == n // 2:
                cells = {}
            for key in rng.integers(-2, 3 + i // 8, 4).tolist():
                cells[key] = cells.get(key, 0.0) + 1.0
            total = sum(cells.values())
            schema = 1 if i < 3 * n // 4 or s == 0 else 0
            found[s, i * 15] = Histogram(
                total, total * 1.5, schema, 0.001, 0.0, dict(cells), {}, (), 1 if i == n // 2 else 0
            )
    return replace(samples_of(found), kind=np.full(series, "histogram", object))
