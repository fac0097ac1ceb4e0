"""One table of names, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.signals.names import (
    RESERVED,
    from_datadog,
    from_otel,
    from_prometheus,
    resolve,
    to_datadog,
    to_otel,
    to_prometheus,
)

OTEL = {
    "service": "service.name",
    "env": "deployment.environment.name",
    "version": "service.version",
    "host": "host.name",
    "instance": "service.instance.id",
}


def test_reserved_words_map_both_ways() -> None:
    assert RESERVED == ("service", "env", "version", "host", "instance", "metric")
    for short, otel in OTEL.items():
        assert from_otel(otel) == short
        assert to_otel(short) == otel
        assert from_datadog(to_datadog(short)) == short
    assert from_otel("deployment.environment") == "env"
    assert to_otel("http.route") == from_otel("http.route") == "http.route"
    assert [to_datadog(name) for name in ("service", "env", "version", "host")] == ["service", "env", "version", "host"]


@given(
    st.one_of(
        st.text(max_size=8), st.sampled_from(["__name__", "metric", "metric_", "metric__", "job", "service", "_"])
    )
)
def test_a_prometheus_label_survives_the_round_trip(label: str) -> None:
    assert to_prometheus(from_prometheus(label)) == label


@given(st.lists(st.sampled_from(["__name__", "metric", "metric_", "metric__", "job", "instance"]), unique=True))
def test_prometheus_labels_never_collide(labels: list[str]) -> None:
    assert len({from_prometheus(label) for label in labels}) == len(labels)


def test_prometheus_labels_stay_verbatim() -> None:
    assert from_prometheus("__name__") == "metric"
    assert from_prometheus("metric") == "metric_"
    assert [from_prometheus(label) for label in ("job", "instance", "service")] == ["job", "instance", "service"]


@pytest.mark.parametrize(
    ("labels", "tag", "value"),
    [
        ({"service": "a", "job": "b"}, "service", "a"),
        ({"service_name": "a", "job": "b"}, "service", "a"),
        ({"service": "", "job": "b"}, "service", "b"),
        ({"service.name": "a"}, "service", "a"),
        ({"deployment_environment": "prod"}, "env", "prod"),
        ({"deployment.environment.name": "prod", "env": "test"}, "env", "test"),
        ({"host_name": "h"}, "host", "h"),
        ({"zone": "z"}, "zone", "z"),
        ({}, "service", ""),
    ],
)
def test_unified_tags_are_resolved_at_look_up(labels: dict[str, str], tag: str, value: str) -> None:
    assert resolve(labels, tag) == value


def test_the_order_of_service_labels_is_a_setting() -> None:
    assert resolve({"job": "b", "app": "c"}, "service", ("app", "job")) == "c"
