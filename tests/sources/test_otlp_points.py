"""OTLP metrics: kinds, units, odd values, and what cannot be kept."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.sources.otlp_strategies import T0
from tests.testing.examples import otlp_metrics
from workbench.signals import check_batch
from workbench.signals.samples import is_stale
from workbench.sources import decode_otlp
from workbench.sources.labels import bound_text


def one_metric(name: str = "m") -> tuple[Any, Any]:
    """A request and its only metric."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    block.resource.attributes.add(key="service.name").value.string_value = "cart"
    return request, block.scope_metrics.add().metrics.add(name=name, unit="s")


def decode(request: Any) -> Any:
    return check_batch(decode_otlp(request.SerializeToString(), "metrics"))


def test_special_values_are_kept_bit_for_bit() -> None:
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    payload = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0]
    values = [math.nan, math.inf, -math.inf, -0.0, stale, payload, 5e-324]
    batch = decode(otlp_metrics(values))
    found = batch.metrics.value.view(np.uint64)
    np.testing.assert_array_equal(found, np.array(values).view(np.uint64))
    assert not batch.skips


def test_a_point_without_recorded_value_is_a_stale_marker() -> None:
    request, metric = one_metric()
    metric.gauge.data_points.add(time_unix_nano=T0, flags=1)
    metric.gauge.data_points.add(time_unix_nano=T0 + 1, as_int=3)
    assert is_stale(decode(request).metrics.value).tolist() == [True, False]


def test_kinds_units_and_temporality() -> None:
    cases = {(True, 2): "counter", (False, 2): "gauge", (True, 1): "gauge"}
    for (monotonic, temporality), kind in cases.items():
        request, metric = one_metric()
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = monotonic, temporality
        metric.sum.data_points.add(time_unix_nano=T0, as_double=2)
        samples = decode(request).metrics
        assert samples.kind.tolist() == [kind]
        assert samples.unit.tolist() == ["s"]
        assert ("temporality" in samples.labels) == (temporality == 1)


def test_a_histogram_expands_to_buckets_count_and_sum() -> None:
    request, metric = one_metric("http.server.request.duration")
    point = metric.histogram.data_points.add(time_unix_nano=T0, count=6, sum=1.5)
    point.explicit_bounds.extend([0.005, 1, 1e6])
    point.bucket_counts.extend([1, 2, 0, 3])
    point.attributes.add(key="le").value.string_value = "mine"
    samples = decode(request).metrics
    rows = {(r["metric"].removeprefix("http.server.request.duration"), r["le"]): v for r, v in zip(
        samples.labels.to_dict("records"), samples.value.tolist(), strict=True)}  # fmt: skip
    assert rows == {
        ("_count", ""): 6, ("_sum", ""): 1.5, ("_bucket", "0.005"): 1, ("_bucket", "1.0"): 3, ("_bucket", "1e+06"): 3,
        ("_bucket", "+Inf"): 6,
    }  # fmt: skip
    assert set(samples.labels["le_"]) == {"mine"}
    assert set(samples.kind) == {"histogram"}


def test_exponential_histograms_and_summaries() -> None:
    request, metric = one_metric()
    point = metric.exponential_histogram.data_points.add(time_unix_nano=T0, count=3, sum=10)
    point.positive.bucket_counts.extend([1, 2])
    batch = decode(request)
    assert sorted(batch.metrics.labels["metric"]) == ["m_count", "m_sum"]
    assert batch.skips == {"buckets of an exponential histogram point not kept": 1}
    request, metric = one_metric()
    point = metric.summary.data_points.add(time_unix_nano=T0, count=3, sum=10)
    point.quantile_values.add(quantile=0.99, value=7)
    samples = decode(request).metrics
    assert sorted(zip(samples.labels["metric"], samples.labels["quantile"], samples.value, strict=True)) == [
        ("m", "0.99", 7.0), ("m_count", "", 3.0), ("m_sum", "", 10.0),
    ]  # fmt: skip


def test_a_histogram_without_a_sum_or_buckets() -> None:
    request, metric = one_metric()
    metric.histogram.data_points.add(time_unix_nano=T0, count=4)
    assert decode(request).metrics.labels["metric"].tolist() == ["m_count"]


@pytest.mark.parametrize(("time", "reason"), [(0, "sample without a time"), (2**64 - 1, "sample outside 1970-2261")])
def test_one_bad_of_a_thousand_points(time: int, reason: str) -> None:
    request = otlp_metrics([float(i) for i in range(1000)])
    request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[500].time_unix_nano = time
    batch = decode(request)
    assert batch.counts()["metrics"] == 999
    assert batch.skips == {reason: 1}


def test_what_is_counted() -> None:
    request, metric = one_metric()
    point = metric.histogram.data_points.add(time_unix_nano=T0, count=1)
    point.bucket_counts.extend([1, 2, 3])
    point.explicit_bounds.extend([1])
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="empty")
    nameless = request.resource_metrics[0].scope_metrics[0].metrics.add()
    nameless.gauge.data_points.add(time_unix_nano=T0, as_int=1)
    twice = request.resource_metrics[0].scope_metrics[0].metrics.add(name="twice")
    for value in (1, 2):
        point = twice.gauge.data_points.add(time_unix_nano=T0, as_int=value)
    point.exemplars.add(time_unix_nano=T0, as_int=1)
    batch = decode(request)
    assert batch.metrics.value.tolist() == [2.0]
    assert batch.skips == {
        "histogram point whose buckets do not fit its bounds": 1,
        "metric without data": 1,
        "metric without a name": 1,
        "sample replaced by a later one of the same series and instant": 1,
        "exemplar not kept": 1,
    }


def test_many_label_names_stay_bounded() -> None:
    request, metric = one_metric()
    for i in range(3000):
        point = metric.gauge.data_points.add(time_unix_nano=T0, as_int=i)
        point.attributes.add(key=f"k{i}").value.string_value = "<script>"
    samples = decode(request).metrics
    assert len(samples) == 3000
    assert len(samples.labels.columns) == 257
    assert '{"k2999":"<script>"}' in samples.labels["attributes"].tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1.0"), (0, "0.0"), (2.5, "2.5"), (0.005, "0.005"), (0.0001, "0.0001"), (1e-5, "1e-05"), (100000, "100000.0"),
        (1e6, "1e+06"), (1.55555555555552e6, "1.55555555555552e+06"), (1e23, "1e+23"), (-1, "-1.0"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"), (12345678, "1.2345678e+07"), (-2.5e-7, "-2.5e-07"),
    ],
)  # fmt: skip
def test_bounds_are_written_as_prometheus_does(value: float, text: str) -> None:
    assert bound_text(value) == text
    assert float(text) == value
