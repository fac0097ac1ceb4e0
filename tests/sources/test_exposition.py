"""Prometheus text and OpenMetrics as Prometheus reads them."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.errors import SourceError
from workbench.signals import Batch, check_batch
from workbench.sources import ReadOptions, read
from workbench.sources.exposition import Exposition
from workbench.sources.openmetrics import OpenMetrics

NOW = np.datetime64("2024-05-01T12:00:00", "ns")


def scrape(text: str, source: Any = Exposition) -> Batch:
    batches = list(source().read(io.BytesIO(text.encode()), "metrics", ReadOptions(time=NOW)))
    assert len(batches) == 1
    return check_batch(batches[0])


def rows(batch: Batch) -> dict[tuple[tuple[str, str], ...], float]:
    assert batch.metrics is not None
    frame = batch.metrics.to_frame()
    return {
        tuple(sorted((k, v) for k, v in row.items() if k not in ("time", "value") and v)): row["value"]
        for row in frame.to_dict("records")
    }


LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.dictionaries(st.sampled_from(["job", "instance", "path", "metric", "le"]), LABEL, max_size=3), st.floats())
def test_any_label_value_and_number_survives(labels: dict[str, str], value: float) -> None:
    escaped = {k: v.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for k, v in labels.items()}
    inner = ",".join(f'{k}="{v}"' for k, v in escaped.items())
    batch = scrape(f"x{{{inner}}} {value!r}\n")
    assert batch.metrics is not None
    (found,) = batch.metrics.labels.to_dict("records")
    expected = {("metric_" if k == "metric" else k): v for k, v in labels.items() if v} | {"metric": "x"}
    assert {k: v for k, v in found.items() if v} == expected
    assert batch.metrics.value[0] == value or (math.isnan(value) and math.isnan(batch.metrics.value[0]))
    assert batch.metrics.time[0] == NOW


def test_both_dialects_side_by_side() -> None:
    text = """# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total { code = "200" , job="a b", } 1027 1395066363000
# a comment
# TYPE lat histogram
lat_bucket{le="1"} 3 # {trace_id="abc"} 0.5
lat_bucket{le="+Inf"} 5
lat_sum 7e-1
lat_count 5
# TYPE q summary
q{quantile="0.5"} Nan
q{quantile="0.99"} +Inf
{"my.dotted/metric", "a.b"="x"} 2
"""
    batch = scrape(text)
    assert batch.metrics is not None
    found = rows(batch)
    assert found[(("code", "200"), ("job", "a b"), ("metric", "http_requests_total"))] == 1027
    assert found[(("le", "1.0"), ("metric", "lat_bucket"))] == 3
    assert found[(("metric", "q"), ("quantile", "0.99"))] == math.inf
    assert found[(("a.b", "x"), ("metric", "my.dotted/metric"))] == 2
    kinds = dict(zip(batch.metrics.labels["metric"], batch.metrics.kind, strict=True))
    assert kinds == {
        "http_requests_total": "counter", "lat_bucket": "histogram", "lat_sum": "histogram", "lat_count": "histogram",
        "q": "summary", "my.dotted/metric": "unknown",
    }  # fmt: skip
    assert batch.metrics.time.min() == np.datetime64("2014-03-17T14:26:03", "ns")
    assert batch.skips == {"exemplar not kept": 1}


@pytest.mark.parametrize(
    "line",
    [
        'x{a="1"',
        "x 1 2 3",
        "x",
        "x abc",
        "x 0x1p3",
        "x 1_0",
        'x{a="1",a="2"} 1',
        "9x 1",
        "x 1 1.5",
        "x{a=1} 2",
        '{a="b"} 1',
    ],
)
def test_a_broken_line_is_counted_and_the_others_stay(line: str) -> None:
    batch = scrape(f"good 1\n{line}\nalso_good 2\n")
    assert batch.counts()["metrics"] == 2
    assert batch.skips == {"line that is no Prometheus text": 1}
    with pytest.raises(SourceError, match="line 1"):
        scrape(line + "\n")


def test_times_outside_and_twice() -> None:
    batch = scrape("x 1 -5\ny 2 99999999999999999\nz 3 0\nz 4 0\n")
    assert batch.metrics is not None
    assert batch.metrics.value.tolist() == [4.0]
    assert batch.skips == {
        "sample outside 1970-2261": 2,
        "sample replaced by a later one of the same series and instant": 1,
    }


def test_openmetrics_seconds_kinds_and_broken_rules() -> None:
    text = "# TYPE a counter\n# UNIT a_s s\na_total -1 1520430000.123456789\n# EOF\n"
    assert rows(scrape(text)) == {(("metric", "a_total"),): -1}
    text = '# TYPE a_s counter\n# UNIT a_s s\na_s_total{b="<script>"} 5 1520430000.123456789 # {} 1\n# EOF'
    batch = scrape(text)
    assert batch.metrics is not None
    assert batch.metrics.time[0] == np.datetime64(1520430000123456789, "ns")
    assert (batch.metrics.kind[0], batch.metrics.unit[0]) == ("counter", "s")
    assert batch.metrics.labels["b"].tolist() == ["<script>"]
    broken = "# TYPE a counter\na_total -1\n# EOF\n"
    assert scrape(broken).skips == {"OpenMetrics rule broken, data kept: a counter must not be negative": 1}
    with pytest.raises(SourceError, match="line 2: a counter must not be negative"):
        scrape(broken, OpenMetrics)
    with pytest.raises(SourceError, match="line 1: 'x' is no number"):
        scrape("a x\n# EOF\n")


def test_real_expositions(shared_data: Path) -> None:
    folder = shared_data / "query" / "exposition"
    expected = {
        "node_exporter-e2e-output.txt": 3027, "alltypes.237mfs.nometa.prom.txt": 1857, "1histogram.om.txt": 42,
        "alltypes.5mfs.om.txt": 53, "textfile/histogram/metrics.prom": 13, "textfile/summary/metrics.prom": 20,
    }  # fmt: skip
    found = {}
    for name, batch in read(folder, time=str(NOW)):
        check_batch(batch)
        found[name] = batch.counts()["metrics"]
        text = (folder / name).read_text()
        if "om.txt" not in name:
            plain = naive.exposition(text)
            assert len(plain) == found[name]
            np.testing.assert_array_equal(sorted(plain.values()), sorted(batch.metrics.value))  # type: ignore[union-attr]
    assert found == expected
