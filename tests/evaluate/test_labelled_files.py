"""Reading labelled folders: irregular rows, times in several writings, what is skipped and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.labelled_files import write_nab, write_rows
from workbench.errors import InvalidInput, NotFound, SourceError
from workbench.evaluate.detection import window_table
from workbench.evaluate.example import write_example
from workbench.evaluate.labelled import make_series
from workbench.evaluate.nab_layout import load_nab
from workbench.evaluate.rows import instants, read_windows
from workbench.evaluate.series import load_labelled, load_series


def test_nab_layout_and_its_parent(tmp_path: Path) -> None:
    write_nab(tmp_path / "nab")
    for folder in (tmp_path, tmp_path / "nab"):
        data = load_nab(folder)
        assert [one.key for one in data.series] == [
            "disk/a.csv", "disk/b.csv", "disk/quiet.csv", "web/a.csv", "web/b.csv",
        ]  # fmt: skip
        assert [one.category for one in data.series] == ["disk", "disk", "disk", "web", "web"]
        assert data.labelled
        assert data.week_rows == 2016
        assert data.series[0].probation == 90
        assert (data.series[0].windows[:, 1] - data.series[0].windows[:, 0]).tolist() == [40]
    with pytest.raises(NotFound, match="layout of NAB"):
        load_nab(tmp_path / "nab" / "labels")
    (tmp_path / "nab" / "labels" / "profiles.json").write_text('{"standard": {"CostMatrix": {}}}')
    with pytest.raises(InvalidInput, match="cost weights"):
        load_nab(tmp_path)


def test_a_series_set_of_irregular_files(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "iso.csv").write_text(
        "value , Timestamp,host\r\n1,2024-01-01T00:00:00Z,x\r\n2,2024-01-01T01:01:00+01:00,x\r\n"
        "3,2024-01-01 00:02:00,x\r\n,2024-01-01 00:05:10,x\r\n6,2024-01-01 00:05:20,x\r\n5,2024-01-01 00:04:00.5,x\r\n"
    )
    (tmp_path / "ms.csv").write_text("timestamp,value\n1704067200000,1e308\n1704067260000,nan\n1704067320500,-0.0\n")
    (tmp_path / "windows.json").write_text(
        json.dumps({"deep/er/iso.csv": [["2024-01-01T00:02:00", "2024-01-01T00:05:15"]], "ms.csv": [1704067320.5]})
    )
    data = load_series(tmp_path)
    assert data.labelled
    assert data.week_rows is None
    iso, ms = data.series
    assert (iso.key, iso.category, ms.category) == ("deep/er/iso.csv", "deep/er", "")
    assert iso.step == 60.0
    assert iso.slot.tolist() == [0, 1, 2, 4, 5, 5]
    assert np.array_equal(iso.grid, [[1, 2, 3, np.nan, 5, 6]], equal_nan=True)
    assert iso.out_of_order == 1
    assert iso.order.tolist() == [0, 1, 2, 5, 3, 4]
    assert iso.text[5] == ("2024-01-01 00:04:00.5", "5")
    assert iso.windows.tolist() == [[2, 4]]
    assert ms.windows.tolist() == [[2, 2]]
    assert ms.rows(np.array([[0.1, np.nan, 0.3]])).tolist() == [0.1, 0.0, 0.3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header"),
        (b"time,v\n1,2\n", "header"),
        (b"timestamp,value\n", "no rows"),
        (b"timestamp,value\n2024-01-01,1,2\n", "line 2 has 3 cells"),
        (b"timestamp,value\n2024-01-01,one\n", "row 1 has the value 'one'"),
        (b"timestamp,value\nyesterday,1\n", "row 1 has the time 'yesterday'"),
        (b"timestamp,value\n1704067200,1\n2024-01-01,1\n", "row 1 has the time '1704067200'"),
        (b"timestamp,value\ninf,1\n", "finite"),
        (b"timestamp,value\n3000-01-01,1\n", "1678 to 2261"),
        (b"timestamp,value\n\xff\xfe,1\n", "not a CSV file in UTF-8"),
        (b'timestamp,value\n"2024-01-01,1\n', "not a CSV"),
        (b"PK\x03\x04\x00\x00", "header"),
    ],
)
def test_a_malformed_file_is_a_counted_skip(tmp_path: Path, content: bytes, reason: str) -> None:
    write_rows(tmp_path / "good.csv", [1.0, 2.0, 3.0])
    (tmp_path / "bad.csv").write_bytes(content)
    data = load_series(tmp_path)
    assert [one.key for one in data.series] == ["good.csv"]
    assert not data.labelled
    (skip,) = data.skipped
    assert skip.path == "bad.csv"
    assert reason in skip.reason
    assert str(tmp_path) not in skip.reason


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": 3}', '{"a": [["x", "y"]]}', '{"a": [[1]]}', '{"a": [[2, 1]]}', '{"a": [[true, 1]]}']
)
def test_bad_labels_are_one_sentence(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path / "a.csv", [1.0, 2.0])
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"labels\.json"):
        load_series(tmp_path)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no \.csv file"):
        load_series(tmp_path)


def test_epochs_in_four_units(tmp_path: Path) -> None:
    want = [1_700_000_000_000_000_000, 1_700_000_060_250_000_000]
    for text in (
        ["1700000000", "1700000060.25"],
        ["1700000000000", "1700000060250"],
        ["1700000000000000", "1700000060250000"],
        ["1700000000000000000", "1700000060250000000"],
    ):
        assert instants(text, "f").tolist() == want
    with pytest.raises(SourceError, match="outside"):
        instants(["1e10", "1e12", "1e30"], "f")
    path = tmp_path / "w.json"
    path.write_text('{"./x.csv": [["1700000000", 1700000060.25]]}')
    assert read_windows(path) == {"x.csv": [tuple(want)]}


def test_a_damaged_clock_does_not_make_a_grid_of_years() -> None:
    time = np.concatenate((np.arange(50), 50 + 60 * 24 * 3650 + np.arange(50))) * 60 * 10**9
    one = make_series("f", "", time, np.arange(100.0), [("", "")] * 100, [])
    assert one.grid.shape[1] < 60 * 24 * 8
    minutes_of_week = (time // (60 * 10**9)) % (7 * 1440)
    assert ((one.slot - minutes_of_week) % (7 * 1440) == 0).all()
    with pytest.raises(SourceError, match="at most"):
        make_series("f", "", np.array([0, 1, 2, 3 * 10**9]), np.ones(4), [("", "")] * 4, [])


@given(st.lists(st.integers(1, 400), min_size=40, max_size=60), st.integers(33, 60))
def test_the_grid_of_the_past_does_not_change(gaps: list[int], cut: int) -> None:
    time = np.cumsum(gaps).astype(np.int64) * 10**9
    value = np.arange(len(time), dtype=np.float64)
    whole = make_series("f", "", time, value, [("", "")] * len(time), [])
    part = make_series("f", "", time[:cut], value[:cut], [("", "")] * len(time[:cut]), [])
    assert part.step == whole.step
    assert part.slot.tolist() == whole.slot[:cut].tolist()
    end = part.grid.shape[1]
    assert np.array_equal(part.grid, whole.grid[:, :end], equal_nan=True)


def test_windows_without_rows_are_counted_and_overlapping_ones_joined() -> None:
    time = np.arange(10) * 10**9
    spans = [(10**9, 3 * 10**9), (2 * 10**9, 5 * 10**9), (7 * 10**9 + 1, 7 * 10**9 + 2), (50 * 10**9, 60 * 10**9)]
    one = make_series("f", "", time, np.ones(10), [("", "")] * 10, spans)
    assert one.windows.tolist() == [[1, 5]]
    assert one.lost_windows == 2


def test_the_example_set_is_labelled_seeded_and_read(tmp_path: Path) -> None:
    data = load_labelled(write_example(tmp_path / "one"))
    assert [len(one.windows) for one in data.series] == [1, 1, 0, 1, 1, 1, 0, 1]
    assert {one.category for one in data.series} == {"web", "disk"}
    assert all(one.windows[0, 0] > one.probation for one in data.series if len(one.windows))
    again = write_example(tmp_path / "two") / "web" / "errors.csv"
    assert again.read_bytes() == (tmp_path / "one" / "web" / "errors.csv").read_bytes()
    table = window_table(data, {one.key: np.full(len(one.time), 0.5) for one in data.series}, 0.4)
    assert table["found"].all()
    assert (table["delay_steps"] == 0).all()
    assert not window_table(data, {one.key: np.zeros(len(one.time)) for one in data.series}, 0.0)["found"].any()


def test_a_phase_on_the_border_of_slots_loses_no_row() -> None:
    """The first row came half a step early; jitter of a tenth must not put two rows into one slot."""
    jitter = np.random.default_rng(1).integers(-5, 6, 400)
    seconds = np.concatenate(([0], 30 + 60 * np.arange(1, 400) + jitter[1:]))
    one = make_series("f", "", seconds * 10**9, np.ones(400), [("", "")] * 400, [])
    assert one.step == 60.0
    assert (np.diff(one.slot) == 1)[1:].all()
    assert not np.isnan(one.grid[0, 2:]).any()
