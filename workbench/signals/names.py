"""One table of tag names: the same tag means the same thing in all five shapes.

The short reserved words are ours; each maps both ways to OpenTelemetry resource attributes, Datadog's unified service
tags and Prometheus labels. Every other attribute keeps its OpenTelemetry name.

References
----------
OpenTelemetry semantic conventions, resource attributes; Datadog unified service tagging; Prometheus "jobs and
instances".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = [
    "RESERVED",
    "from_datadog",
    "from_otel",
    "from_prometheus",
    "resolve",
    "to_datadog",
    "to_otel",
    "to_prometheus",
]

_TABLE: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    # short,     OpenTelemetry (first is written),                              Datadog,    Prometheus
    ("service", ("service.name",), "service", "job"),
    ("env", ("deployment.environment.name", "deployment.environment"), "env", ""),
    ("version", ("service.version",), "version", ""),
    ("host", ("host.name",), "host", ""),
    ("instance", ("service.instance.id",), "", "instance"),
    ("metric", (), "", "__name__"),
)

RESERVED: tuple[str, ...] = tuple(row[0] for row in _TABLE)
"""The short reserved words."""

_OTEL_IN = {otel: short for short, otels, _, _ in _TABLE for otel in otels}
_OTEL_OUT = {short: otels[0] for short, otels, _, _ in _TABLE if otels}
_DATADOG = {short: datadog for short, _, datadog, _ in _TABLE if datadog}
_PROMETHEUS = {short: prometheus for short, _, _, prometheus in _TABLE if prometheus}


def from_otel(name: str) -> str:
    """Return the workbench name of an OpenTelemetry attribute: `service.name` -> `service`."""
    return _OTEL_IN.get(name, name)


def to_otel(name: str) -> str:
    """Return the OpenTelemetry attribute of a workbench name: `service` -> `service.name`."""
    return _OTEL_OUT.get(name, name)


def from_datadog(name: str) -> str:
    """Return the workbench name of a Datadog tag key; unified tags are spelled alike on both sides."""
    return name


def to_datadog(name: str) -> str:
    """Return the Datadog tag key of a workbench name."""
    return _DATADOG.get(name, name)


def from_prometheus(name: str) -> str:
    """Return the array coordinate of a Prometheus label: `__name__` -> `metric`; a label `metric` -> `metric_`.

    Other labels stay verbatim (`job` stays `job`, PromQL must see it so); unified tags are found by `resolve`.
    """
    if name == "__name__":
        return "metric"
    return name + "_" if name.rstrip("_") == "metric" else name


def to_prometheus(name: str) -> str:
    """Return the Prometheus label of an array coordinate; the inverse of `from_prometheus`."""
    if name == "metric":
        return "__name__"
    return name[:-1] if name.endswith("_") and name.rstrip("_") == "metric" else name


def resolve(labels: Mapping[str, str], name: str, order: Iterable[str] = ("service", "service_name", "job")) -> str:
    """Return the value of a unified tag in a set of labels, or an empty string.

    `service` is the first non-empty one of `order`; `env`, `version`, `host` are looked up under their own name, then
    under their OpenTelemetry names, then under those names with dots as underscores.
    """
    own = order if name == "service" else [name]
    candidates = [*own, *_otel_spellings(name)]
    return next((labels[c] for c in candidates if labels.get(c)), "")


def _otel_spellings(name: str) -> list[str]:
    spelled = [otel for otel, short in _OTEL_IN.items() if short == name]
    return spelled + [otel.replace(".", "_") for otel in spelled]
