"""Logs, spans, events and profiles: the same shape comes back from hot rows and segments, pruned and filtered or not."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store import worlds
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import Batch, build_logs, check_events, check_logs, check_profiles, check_spans, concat_profiles
from workbench.store import Store, frames, profiles
from workbench.store import write as write_module
from workbench.store.place import FORMAT

CHECK = {"logs": check_logs, "spans": check_spans, "events": check_events}


@pytest.fixture(params=["hot", "sealed", "direct"])
def store(request, tmp_path):
    """A store whose `keep` puts a batch where the parameter says."""
    with (
        Store.open(tmp_path / "s") as made,
        patch.object(write_module, "_HOT_BYTES", 0 if request.param == "direct" else write_module._HOT_BYTES),
    ):

        def keep(*batches):
            for batch in batches:
                made.write(batch)
            if request.param == "sealed":
                made.seal()

        made.keep = keep
        yield made
        assert made.verify() == []


@pytest.mark.parametrize("signal", ["logs", "spans", "events"])
def test_rows_come_back_as_their_shape(store, signal):
    first, second = worlds.everything(), worlds.everything(start=1000)
    store.keep(first, second)
    got = CHECK[signal](store.rows(signal))
    joined = pd.concat([getattr(first, signal), getattr(second, signal)], ignore_index=True)
    pd.testing.assert_frame_equal(got, frames.BUILD[signal](dict(joined.items())))
    footers = [pq.read_metadata(p).metadata for p in store.path.glob("segments/**/*.parquet")]
    assert all(f[b"workbench"] == str(FORMAT).encode() and f[b"signal"] and f[b"rows"] for f in footers), (
        "a footer repeats its row"
    )
    window = store.rows(signal, worlds.T0 + worlds.S, worlds.T0 + 3 * worlds.S)
    assert sorted(window["time"]) == [worlds.T0 + worlds.S, worlds.T0 + 2 * worlds.S]


@pytest.mark.parametrize("signal", ["logs", "spans", "events"])
def test_empty_store_gives_empty_shapes(tmp_path, signal):
    with Store.open(tmp_path / "s") as store:
        assert len(CHECK[signal](store.rows(signal))) == 0
        assert list(CHECK[signal](store.rows(signal, columns=["x"])))[-1] == "x" or signal == "spans"
        assert store.extent() is None
        assert store.extent(signal) is None
        assert len(check_profiles(store.profiles())) == 0
        assert store.select([]).n_samples == 0
        assert store.series().columns.tolist() == ["metric", "kind", "unit"]
        assert store.verify() == []


def test_spans_are_linked_again_when_a_trace_comes_in_two_batches(store):
    whole = worlds.spans()
    store.keep(Batch(spans=take(whole, whole.index % 2 == 0)), Batch(spans=take(whole, whole.index % 2 == 1)))
    pd.testing.assert_frame_equal(store.rows("spans"), whole)


def take(frame, keep):
    from workbench.signals import build_spans

    return build_spans(dict(frame[keep].reset_index(drop=True).items()))


def test_columns_prune_attributes_only(store):
    store.keep(Batch(spans=worlds.spans()))
    got = check_spans(store.rows("spans", columns=["http.route", "absent", "name"]))
    assert "http.response.status_code" not in got
    assert got["absent"].isna().all()
    assert got["http.route"].tolist() == worlds.spans()["http.route"].tolist()
    assert (got["parent"] >= 0).any()


def test_where_keeps_equal_rows(store):
    whole = worlds.spans()
    store.keep(Batch(spans=whole))
    got = store.rows("spans", where={"service": ["s1", "s2"], "http.response.status_code": ["500"]})
    keep = whole["service"].isin(["s1", "s2"]) & (whole["http.response.status_code"] == 500)
    assert sorted(got["span_id"]) == sorted(whole["span_id"][keep])
    assert len(got) > 0
    for nothing in ({"service": ["nobody"]}, {"absent": ["x"]}, {"http.response.status_code": ["x"]}, {"service": []}):
        assert len(check_spans(store.rows("spans", where=nothing))) == 0


def test_large_segments_read_only_row_groups_that_may_match(tmp_path):
    from workbench.store import rows

    whole = worlds.logs(n=400)
    with Store.open(tmp_path / "s") as store, patch.object(rows, "_ROW_GROUP", 50):
        store.write(Batch(logs=whole))
        store.seal()
        got = store.rows("logs", worlds.T0 + 120 * worlds.S, worlds.T0 + 130 * worlds.S, where={"service": ["s1"]})
        keep = (whole.index >= 120) & (whole.index < 130) & (whole["service"] == "s1")
        pd.testing.assert_frame_equal(got, whole[keep].reset_index(drop=True))


def test_rows_of_several_days_lie_in_a_segment_per_day(tmp_path):
    days = np.datetime64("2026-01-01", "ns") + np.arange(3) * np.timedelta64(24, "h")
    with Store.open(tmp_path / "s") as store:
        store.write(Batch(logs=build_logs({"time": days, "body": list("abc")})))
        store.seal()
        assert store.status()["signals"]["logs"]["segments"] == 3
        assert store.rows("logs", days[1], days[2])["body"].tolist() == ["b"]
        far = np.datetime64("1970-01-01", "ns") + np.arange(400) * np.timedelta64(30, "D")
        store.write(Batch(logs=build_logs({"time": far, "body": ["x"] * 400})))
        store.seal()
        assert store.status()["signals"]["logs"]["segments"] == 4, "rows strewn over decades must not swarm"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1, 2], [0.5, np.nan], [1.0, 2.0, 0.5, np.nan]),
        ([1, 2], ["x", None], ["1", "2", "x", np.nan]),
        ([True, False], ["x", "y"], ["true", "false", "x", "y"]),
        ([True, False], [1, 2], ["true", "false", "1", "2"]),
        ([2**60 + 1, 2], [0.5, 1.5], [str(2**60 + 1), "2", "0.5", "1.5"]),
        ([True, False], [None, None], [True, False, np.nan, np.nan]),
        ([2**60 + 1, 2], [None, None], [2**60 + 1, 2, pd.NA, pd.NA]),
        ([{"a": 1}, [1]], ["x", b"y"], ['{"a": 1}', "[1]", "x", "y"]),
        ([1, "x"], [2**70, 3], ["1", "x", str(2**70), "3"]),
        (["\ud800", "b"], ["c", "d"], ["\\ud800", "b", "c", "d"]),
    ],
)
def test_attribute_types_are_unified(store, left, right, expected):
    column = [pd.Series(values, dtype=object) for values in (left, right)]
    store.keep(Batch(logs=worlds.logs(n=2, attr=column[0])), Batch(logs=worlds.logs(n=2, start=10, attr=column[1])))
    got = store.rows("logs")["attr"].tolist()
    assert len(got) == 4
    for have, want in zip(got, expected, strict=True):
        assert (pd.isna(have) and pd.isna(want)) or (have == want and type(have) is type(want)), (have, want)


def test_typed_columns_keep_their_type(store):
    n = 3
    typed = {
        "i": np.arange(n), "f": np.array([0.1, np.nan, np.inf]), "b": np.array([True, False, True]), "u8": np.arange(n, dtype="u1"),
        "c": pd.Series(pd.Categorical(["x", "y", "x"])), "t": pd.Series(pd.to_datetime(["2026-01-01", None, "2026-01-02"])),
        "tz": pd.Series(pd.to_datetime(["2026-01-01T01:00+01:00"] * n)), "td": pd.Series(pd.to_timedelta([1, 2, 3], "s")),
        "empty": pd.Series([None] * n), "I": pd.Series([1, None, 3], dtype="Int64"), "f4": np.array([0.5, 1, 2], "f4"),
    }  # fmt: skip
    store.keep(Batch(logs=worlds.logs(n=n, **typed)))
    got = store.rows("logs")
    kinds = {name: str(got[name].dtype) for name in got.columns[5:]}
    assert kinds == {
        "i": "int64", "f": "float64", "b": "bool", "u8": "int64", "c": "str", "t": "datetime64[ns]", "tz": "datetime64[ns]",
        "td": "str", "I": "float64", "f4": "float64",
    }  # fmt: skip
    assert got["tz"].iloc[0] == pd.Timestamp("2026-01-01")


def test_hostile_text_comes_back(store):
    n = len(worlds.HOSTILE)
    columns = {"time": worlds.T0 + np.arange(n) * worlds.S, "body": worlds.HOSTILE, "service": worlds.HOSTILE}
    names = {f"a.{text[:50]}": [text] * n for text in worlds.HOSTILE}
    whole = build_logs({**columns, **names})
    store.keep(Batch(logs=whole))
    pd.testing.assert_frame_equal(store.rows("logs"), whole)
    for text in worlds.HOSTILE:
        assert store.rows("logs", where={"service": [text]})["body"].tolist() == [text]


def test_two_columns_of_one_name_are_refused(tmp_path):
    frame = worlds.logs(n=2, x=["a", "b"], y=["c", "d"]).rename(columns={"y": "x"})
    with Store.open(tmp_path / "s") as store, pytest.raises(ShapeError, match="two columns 'x'"):
        store.write(Batch(logs=frame))


def test_unknown_signals_are_refused(tmp_path):
    with Store.open(tmp_path / "s") as store:
        with pytest.raises(InvalidInput, match="'logs'"):
            store.rows("log")
        with pytest.raises(InvalidInput, match="'metrics'"):
            store.extent("metric")


def test_profiles_come_back_with_their_stacks(store):
    first, second = worlds.profiles(), worlds.profiles(start=100)
    store.keep(Batch(profiles=first), Batch(profiles=second))
    got = check_profiles(store.profiles())
    assert worlds.flame(got) == worlds.flame(concat_profiles([first, second]))
    assert len(got.frames) == len(first.frames)
    assert (dict(got.unit), got.period) == ({"cpu": "nanoseconds"}, 10)
    part = check_profiles(store.profiles(worlds.T0, worlds.T0 + 50 * worlds.S, where={"service": ["s1"]}))
    assert worlds.flame(part) == worlds.flame(first.select(first.samples["service"] == "s1"))


@given(
    st.lists(st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=1, max_size=6), min_size=1, max_size=4)
)
@settings(deadline=None, max_examples=60)
def test_joining_profiles_by_level_equals_joining_node_by_node(parts):
    from workbench.signals import build_profiles

    shapes = [
        build_profiles(
            {"time": np.arange(len(p)), "stack": np.arange(len(p)), "value": np.arange(len(p))},
            [[(f, "", 0) for f in stack] for stack in p],
        )
        for p in parts
    ]
    got, expected = check_profiles(profiles.join(shapes)), concat_profiles(shapes)
    assert worlds.flame(got) == worlds.flame(expected)
    assert len(got.stacks) == len(expected.stacks) or len(shapes) == 1
    assert len(got.frames) == len(expected.frames) or len(shapes) == 1


def test_extent_and_status_add_hot_and_sealed(tmp_path):
    import json

    with Store.open(tmp_path / "s") as store:
        store.write(worlds.everything())
        store.seal()
        store.write(worlds.everything(start=500))
        assert store.extent("logs") == (worlds.T0, worlds.T0 + 549 * worlds.S)
        assert store.extent()[1] == worlds.T0 + (519 * 15) * worlds.S
        status = json.loads(json.dumps(store.status()))
        assert status["samples"] == 200
        assert status["series"] == 5
        assert status["signals"]["spans"]["rows"] == 80
        assert status["signals"]["logs"]["end"] == "2026-01-01T12:09:09.000000000"
        assert status["bytes"]["total"] == sum(status["bytes"][k] for k in ("hot", "warm", "cold", "index"))
        assert min(status["bytes"][k] for k in ("hot", "warm", "index")) > 0
