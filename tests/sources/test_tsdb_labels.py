"""Labels of many series at once, and deletions, beside their slow twins."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.sources.tsdb.assemble import Ragged, group
from workbench.sources.tsdb.labels import LabelTable, read_texts
from workbench.sources.tsdb.tombstones import bury

words = st.sampled_from(["", "a", "b", "metric", "__name__", "ü"])
label_lists = st.lists(st.lists(st.tuples(words, words), max_size=4, unique_by=lambda pair: pair[0]), max_size=8)


def table(rows: list[list[tuple[str, str]]]) -> LabelTable:
    flat = [word for row in rows for pair in row for word in pair]
    n = len(flat) // 2
    counts = np.array([len(row) for row in rows], np.int64)
    return LabelTable.build(pa.array(flat, pa.large_string()), counts, np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2))


@given(label_lists)
def test_equal_label_sets_are_found(rows: list[list[tuple[str, str]]]) -> None:
    assert table(rows).first_equal().tolist() == naive.first_equal([dict(row) for row in rows])


@given(label_lists.filter(bool), st.data())
def test_the_table_of_some_series(rows: list[list[tuple[str, str]]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    frame, equal = table(rows).frame(np.array(chosen), 100)
    spelled = {"__name__": "metric", "metric": "metric_"}
    expected = [{spelled.get(name, name): value for name, value in rows[i] if value} for i in chosen]
    assert [{str(n): v for n, v in row.items() if v} for row in frame.to_dict("records")] == expected
    assert equal == (len({tuple(sorted(row.items())) for row in expected}) < len(expected))
    assert "metric" in frame.columns


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_texts_of_any_bytes(parts: list[bytes]) -> None:
    data = b"".join(parts)
    size = np.array([len(part) for part in parts], np.int64)
    begin = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64) if parts else size
    skips: Counter[str] = Counter()
    found = read_texts(np.frombuffer(data, np.uint8), begin, size, 4, skips)
    assert found.to_pylist() == [part.decode("utf-8", "replace")[:4] for part in parts]


samples = st.lists(st.tuples(st.integers(0, 4), st.integers(-20, 20), st.floats(allow_nan=False)), max_size=40)
stones = st.lists(st.tuples(st.integers(0, 6), st.integers(-20, 20), st.integers(-20, 20)), max_size=6)


@given(samples, stones)
def test_deletions(rows: list[tuple[int, int, float]], deleted: list[tuple[int, int, int]]) -> None:
    columns: Any = zip(*rows, strict=True) if rows else ((), (), ())
    series, time, value = (
        np.array(column, kind) for column, kind in zip(columns, (np.int64, np.int64, float), strict=True)
    )
    given_ = group(series, time, value)
    left = bury(given_, given_.rows, np.array(deleted, np.int64).reshape(-1, 3))
    assert flat(left) == naive.undeleted(flat(given_), deleted)


def flat(given_: Ragged) -> list[tuple[int, int, float]]:
    rows = np.repeat(given_.rows, np.diff(given_.offsets)).tolist()
    return list(zip(rows, given_.time_ms.tolist(), given_.value.tolist(), strict=True))
