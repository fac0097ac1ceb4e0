"""Tables by mapping: CSV, JSON lines, Parquet; and samples in Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput, LimitExceeded, SourceError
from workbench.settings import load
from workbench.signals import Batch, check_batch, concat_batches
from workbench.sources import ReadOptions, read
from workbench.sources.samples import SamplesTable
from workbench.sources.table import Table

TIME = "2024-05-01T12:00:00Z"


def table(data: bytes | str, mapping: dict[str, str] | None = None, **caps: int) -> Batch:
    raw = data.encode() if isinstance(data, str) else data
    options = ReadOptions(load({f"intake.{k}": v for k, v in caps.items()}), mapping)
    return check_batch(concat_batches(list(Table().read(io.BytesIO(raw), "data", options))))


def parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet", "semicolon", "utf-16"])
def test_logs_in_every_form(form: str) -> None:
    rows = [
        {"ts": "2024-05-01T12:00:01Z", "message": "<script>", "app": "cart", "lvl": "warn", "code": 500, "ratio": 0.5},
        {"ts": "2024-05-01T12:00:00Z", "message": 'a, "b"', "app": "cart", "lvl": "ERROR", "code": 200, "ratio": 1.5},
    ]
    frame = pd.DataFrame(rows)
    data = {
        "csv": frame.to_csv(index=False).encode(),
        "semicolon": frame.to_csv(index=False, sep=";").encode(),
        "utf-16": frame.to_csv(index=False).encode("utf-16"),
        "jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "json": json.dumps(rows).encode(),
        "parquet": parquet(frame),
    }[form]
    mapping = {"time": "ts", "body": "message", "service": "app", "severity": "lvl", "env": "=prod"}
    logs = table(data, mapping).logs
    assert logs is not None
    assert logs["body"].tolist() == ['a, "b"', "<script>"]
    assert logs["severity"].tolist() == [17, 13]
    assert logs["env"].tolist() == ["prod", "prod"]
    assert logs["code"].tolist() == [200, 500]
    assert logs["code"].dtype == "Int64"
    assert logs["ratio"].dtype == "float64"
    assert "app" not in logs


@pytest.mark.parametrize(
    ("times", "key", "expected"),
    [
        (["1714564800", "1714564801"], "time", 1), (["1714564800000", "1714564801000"], "time", 1),
        (["1714564800.0", "1714564801.5"], "time", 1.5), (["5", "6"], "time_s", 1), (["5", "6"], "time_ms", 1e-3),
        (["2024-05-01 12:00", "2024-05-01T12:00:01.000000001+00:00"], "time", 1 + 1e-9),
    ],
)  # fmt: skip
def test_times(times: list[str], key: str, expected: float) -> None:
    logs = table("when,body,x\n" + "".join(f"{t},hello,1\n" for t in times), {key: "when", "body": "body"}).logs
    assert logs is not None
    assert (logs["time"].diff()[1] / np.timedelta64(1, "ns")) == round(expected * 1e9)


def test_bad_rows_are_counted() -> None:
    text = f"time,body,x\n{TIME},good,1\nnever,bad,2\n,bad,3\n1969-12-31,bad,4\n2262-06-01,bad,5\n{TIME},a,b,c,d\n"
    batch = table(text)
    assert batch.counts()["logs"] == 1
    assert batch.skips == {"row without a time from 1970 to 2261": 4, "row with a wrong number of fields": 1}
    lines = [json.dumps({"time": TIME, "body": "good"}), "{", "5", json.dumps({"time": TIME, "body": "b\ud800d"})]
    batch = table("\n".join(lines))
    assert batch.counts()["logs"] == 2
    assert batch.skips == {"line that is not valid JSON": 1, "JSON value that is no object": 1}
    batch = table(b"time,body\n2024-05-01,ok\n2024-05-01,b\xffd\n")
    assert batch.skips == {"invalid UTF-8 replaced": 1}


def test_a_long_line_is_cut_and_a_longer_one_left_out() -> None:
    lines = [json.dumps({"time": TIME, "body": "x" * n, "k": 1}) for n in (5, 10_000_000, 300)]
    batch = table("\n".join(lines))
    assert batch.logs is not None
    assert sorted(batch.logs["body"].str.len()) == [5, 300, 65_536]
    assert batch.skips == {"log body truncated to intake.max_text_chars": 1}
    batch = table("\n".join(lines), max_body_bytes=1000)
    assert batch.counts()["logs"] == 2
    assert batch.skips == {"line longer than intake.max_body_bytes": 1}
    with pytest.raises(LimitExceeded, match="quote"):
        table(f'time,body\n{TIME},"open' + "x\n" * 50_000, max_body_bytes=10_000)


def test_nested_json_and_mixed_types() -> None:
    rows = [
        {
            "time": TIME,
            "body": "a",
            "http": {"status": 200, "deep": {"er": [1, {"x": None}]}},
            "mixed": 1,
            "flag": True,
        },
        {
            "time": TIME,
            "body": "b",
            "http": {"status": 500},
            "mixed": "two",
            "big": 2**70,
            "service": 5,
            "nothing": None,
        },
    ]
    logs = table("\n".join(map(json.dumps, rows))).logs
    assert logs is not None
    assert logs["http.status"].tolist() == [200, 500]
    assert json.loads(logs["http.deep.er"].iloc[0]) == [1, {"x": None}]
    assert logs["mixed"].tolist() == ["1", "two"]
    assert logs["flag"].iloc[0] is np.True_ or logs["flag"].iloc[0] is True
    assert logs["big"].iloc[1] == str(2**70)
    assert logs["service"].tolist() == ["", "5"]


def test_many_columns_overflow_into_one() -> None:
    names = [f"c{i}" for i in range(400)]
    text = "time,body," + ",".join(names) + f"\n{TIME},x," + ",".join(map(str, range(400))) + "\n"
    logs = table(text).logs
    assert logs is not None
    assert len(logs.columns) <= 256 + 6
    assert json.loads(logs["attributes"][0])["c399"] == "399"


def test_spans_from_a_table() -> None:
    text = (
        "TraceID,SpanID,ParentID,op,start,ms,svc,kind\n"
        "AA,1,root,GET,2024-05-01T12:00:00Z,1.5,cart,SPAN_KIND_SERVER\n"
        "AA,2,1,SELECT,2024-05-01T12:00:00.001Z,0.25,cart,odd\n"
        "AA,3,1,neg,2024-05-01T12:00:00.001Z,-1,cart,client\n"
        "AA,4,1,nan,2024-05-01T12:00:00.001Z,,cart,client\n"
        ",5,1,id,2024-05-01T12:00:00.001Z,1,cart,client\n"
    )
    mapping = {"trace_id": "TraceID", "span_id": "SpanID", "parent_span_id": "ParentID", "name": "op", "time": "start"}
    batch = table(text, mapping | {"duration_ms": "ms", "service": "svc", "kind": "kind"})
    assert batch.spans is not None
    assert batch.spans["duration_ns"].tolist() == [1_500_000, 250_000]
    assert batch.spans["parent"].tolist() == [-1, 0]
    assert batch.spans["kind"].tolist() == ["server", "unspecified"]
    assert batch.skips == {
        "span with a negative duration": 1, "span without a duration": 1, "span without a trace or span id": 1,
        "unknown span kind read as unspecified": 1,
    }  # fmt: skip


def test_real_traces_without_a_mapping(shared_data: Path) -> None:
    file = shared_data / "traces" / "nezha" / "2022-08-22" / "03_53_trace.csv.gz"
    plain = pd.read_csv(file)
    whole = concat_batches([batch for _, batch in read(file)])
    assert whole.spans is not None
    assert len(whole.spans) == len(plain)
    assert not whole.skips
    assert whole.spans["duration_ns"].sum() == (plain["EndTimeUnixNano"] - plain["StartTimeUnixNano"]).sum()
    assert (whole.spans["parent"] >= 0).sum() == plain["ParentID"].isin(plain["SpanID"]).sum()
    mapped = concat_batches([batch for _, batch in read(file, mapping={
        "time": "StartTimeUnixNano", "end": "EndTimeUnixNano", "trace_id": "TraceID", "span_id": "SpanID",
        "parent_span_id": "ParentID", "name": "OperationName", "service": "PodName",
    })])  # fmt: skip
    assert mapped.spans is not None
    assert set(mapped.spans["service"]) == set(plain["PodName"])


def test_metrics_and_events_from_tables() -> None:
    text = f"t,v,host,k\n{TIME},1.5,a,x\n{TIME},NaN,b,x\n{TIME},,c,x\n{TIME},abc,d,x\n{TIME},2,a,x\n"
    batch = table(text, {"time": "t", "value": "v", "metric": "=load", "host": "host"})
    assert batch.metrics is not None
    assert batch.metrics.labels.to_dict("records") == [
        {"host": "a", "k": "x", "metric": "load"}, {"host": "b", "k": "x", "metric": "load"},
    ]  # fmt: skip
    assert batch.metrics.value[0] == 2
    assert np.isnan(batch.metrics.value[1])
    assert batch.skips == {
        "sample without a value": 2, "sample replaced by a later one of the same series and instant": 1,
    }  # fmt: skip
    batch = table(
        f"when,what,sort\n{TIME},v2,deploy\n{TIME},hm,odd\n", {"time": "when", "title": "what", "kind": "sort"}
    )
    assert batch.events is not None
    assert batch.events["kind"].tolist() == ["deploy", "note"]


def test_wrong_mappings_say_what_is_there() -> None:
    with pytest.raises(SourceError, match=r"no columns \['nope'\].*a, b"):
        table("a,b\n1,2\n", {"time": "nope", "body": "b"})
    with pytest.raises(InvalidInput, match="map time"):
        table("a,b\n1,2\n", {"body": "b"})
    with pytest.raises(SourceError, match="give a mapping"):
        table("a,b\n1,2\n")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.floats()), min_size=1))
def test_samples_table_keeps_labels_times_and_values(rows: list[tuple[str, int, float]]) -> None:
    frame = pd.DataFrame(
        {
            "labels": [json.dumps({"__name__": "up", "job": job, "metric": "m", "n": 1}) for job, _, _ in rows],
            "time_ms": [t for _, t, _ in rows],
            "value": [v for _, _, v in rows],
        }
    )
    batch = concat_batches(list(SamplesTable().read(io.BytesIO(parquet(frame)), "s", ReadOptions())))
    check_batch(batch)
    assert batch.metrics is not None
    expected: dict[tuple[str, int], str] = {(job, t): str(v) for job, t, v in rows}
    found = batch.metrics.to_frame()
    assert set(found["metric"]) == {"up"}
    assert set(found["metric_"]) == {"m"}
    times = found["time"].astype("int64") // 10**6
    assert {(j, t): str(v) for j, t, v in zip(found["job"], times, found["value"], strict=True)} == expected


def test_samples_table_counts_and_refuses() -> None:
    frame = pd.DataFrame(
        {
            "labels": ['{"__name__":"a"}', "{broken", None, '{"metric":"b"}', "5", '{"__name__":"c"}'],
            "time_ms": pd.array([1, 2, 3, 4, 5, -6], dtype="Int64"),
            "value": [np.inf, 1, 1, 2, 1, 1],
        }
    )
    batch = check_batch(concat_batches(list(SamplesTable().read(io.BytesIO(parquet(frame)), "s", ReadOptions()))))
    assert batch.metrics is not None
    assert dict(zip(batch.metrics.labels["metric"], batch.metrics.value, strict=True)) == {"a": np.inf, "b": 2.0}
    assert batch.skips == {
        "sample without a time or valid labels": 3, "sample outside 1970-2261": 1,
    }  # fmt: skip
    for broken in (parquet(frame)[:-20], b"PAR1", parquet(frame.drop(columns="value"))):
        with pytest.raises(SourceError):
            list(SamplesTable().read(io.BytesIO(broken), "s", ReadOptions()))
    with pytest.raises(SourceError, match="wrong type"):
        list(SamplesTable().read(io.BytesIO(parquet(frame.assign(value="x"))), "s", ReadOptions()))


def test_odd_parquet_columns_become_attributes() -> None:
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime([TIME, TIME]), "body": ["a", None], "n": pd.array([1, None], dtype="Int64"),
            "l": [[1], None], "b": [b"\xff", b"x"], "c": pd.Categorical(["u", "v"]), "d": [True, False],
            "w": pd.to_datetime([TIME, None]),
        }
    )  # fmt: skip
    logs: Any = table(parquet(frame)).logs
    assert logs["body"].tolist() == ["a", ""]
    assert logs["n"].dtype == "Int64"
    assert logs["l"].iloc[0] == "[1]"
    assert logs["b"].tolist() == ["\ufffd", "x"]
    assert logs["c"].tolist() == ["u", "v"]
    assert logs["d"].tolist() == [True, False]
    assert logs["w"].iloc[0].startswith("2024-05-01 12:00:00")
