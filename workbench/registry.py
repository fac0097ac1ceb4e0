"""One registry for everything that can be plugged in.

A group (`workbench.sources`, `workbench.detectors`, ...) maps names to `"module:attribute"` strings. Built-ins are
listed in the table below; other packages add theirs through entry points of the same group. Nothing is imported until
`load` is called, so an installed but unused plug-in costs nothing, and a broken one is skipped with a warning.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["BUILTINS", "GROUPS", "load", "load_all", "names", "plugins", "register"]

BUILTINS: dict[str, dict[str, str]] = {
    "workbench.sources": {
        "pprof": "workbench.sources.pprof:Pprof",
        "otlp": "workbench.sources.otlp:OtlpProtobuf",
        "otlp-json": "workbench.sources.otlp_json:OtlpJson",
        "speedscope": "workbench.sources.speedscope:Speedscope",
        "events": "workbench.sources.events:EventsJson",
        "openmetrics": "workbench.sources.openmetrics:OpenMetrics",
        "prometheus": "workbench.sources.exposition:Exposition",
        "samples": "workbench.sources.samples:SamplesTable",
        "table": "workbench.sources.table:Table",
        "collapsed": "workbench.sources.collapsed:Collapsed",
        "prometheus-data": "workbench.sources.tsdb.folder:PrometheusData",
        "prometheus-api": "workbench.sources.prometheus_api:PrometheusApi",
    },
    "workbench.codecs": {
        "constant": "workbench.codecs.constant:Constant",
        "decimal": "workbench.codecs.decimal:Decimal",
        "pco": "workbench.codecs.pco:Pco",
        "pco-int": "workbench.codecs.pco:PcoInt",
        "delta": "workbench.codecs.delta:Delta",
        "raw": "workbench.codecs.raw:Raw",
        "gorilla": "workbench.codecs.gorilla:Gorilla",
        "sums": "workbench.codecs.sums:Sums",
        "narrow": "workbench.codecs.narrow:Narrow",
        "runs": "workbench.codecs.runs:Runs",
        "dictionary": "workbench.codecs.dictionary:Dictionary",
        "page": "workbench.codecs.page:Page",
        "cadence": "workbench.codecs.cadence:Cadence",
        "packed": "workbench.codecs.packed:Packed",
    },
    "workbench.tiers": {
        "s3": "workbench.store.buckets:ObstoreBucket",
        "gs": "workbench.store.buckets:ObstoreBucket",
        "az": "workbench.store.buckets:ObstoreBucket",
        "abfss": "workbench.store.buckets:ObstoreBucket",
        "https": "workbench.store.buckets:ObstoreBucket",
        "http": "workbench.store.buckets:ObstoreBucket",
        "file": "workbench.store.buckets:FolderBucket",
        "memory": "workbench.store.buckets:MemoryBucket",
    },
    "workbench.detectors": {
        "watchdog": "workbench.detect.watchdog:Watchdog",
        "seasonal": "workbench.detect.members.seasonal:Seasonal",
        "envelope": "workbench.detect.members.seasonal:Envelope",
        "change": "workbench.detect.members.change:Change",
        "profile": "workbench.detect.members.profile:Profile",
        "zprofile": "workbench.detect.members.zprofile:ZProfile",
        "agile": "workbench.detect.members.agile:Agile",
        "spectral": "workbench.detect.members.spectral:Spectral",
        "subspace": "workbench.detect.members.subspace:Subspace",
        "entity": "workbench.detect.members.entity:Entity",
        "forest": "workbench.detect.members.forest:Forest",
        "lstm": "workbench.detect.members.deep:Lstm",
        "autoencoder": "workbench.detect.members.deep:Autoencoder",
    },
    "workbench.checks": {
        "latency_share": "workbench.diagnose.checks.latency:LatencyShare",
        "slow_statement": "workbench.diagnose.checks.latency:SlowStatement",
        "failure_share": "workbench.diagnose.checks.failures:FailureShare",
        "own_errors": "workbench.diagnose.checks.failures:OwnErrors",
        "dependency_down": "workbench.diagnose.checks.failures:DependencyDown",
        "traffic_surge": "workbench.diagnose.checks.traffic:TrafficSurge",
        "retry_storm": "workbench.diagnose.checks.traffic:RetryStorm",
        "cpu": "workbench.diagnose.checks.resources:CpuSaturation",
        "memory": "workbench.diagnose.checks.resources:MemoryLeak",
        "locks": "workbench.diagnose.checks.resources:LockContention",
        "waiting": "workbench.diagnose.checks.resources:Waiting",
        "deploy": "workbench.diagnose.checks.changes:BadDeploy",
        "change": "workbench.diagnose.checks.changes:RecentChange",
        "messages": "workbench.diagnose.checks.messages:NewMessages",
    },
    "workbench.panels": {
        "timeline": "workbench.panels.timeline:Timeline",
        "metric": "workbench.panels.metric:Metric",
        "service_map": "workbench.panels.service_map:ServiceMapPanel",
        "flame": "workbench.panels.flame:Flame",
        "templates": "workbench.panels.templates:Templates",
        "hypotheses": "workbench.panels.hypotheses:Hypotheses",
        "forecast": "workbench.panels.forecast:ForecastPanel",
        "capacity": "workbench.panels.capacity:CapacityPanel",
        "anomalies": "workbench.panels.anomalies:AnomaliesPanel",
        "anomaly_explorer": "workbench.panels.explorer:ExplorerPanel",
    },
    "workbench.runbooks": {},
}
"""Built-in plug-ins: group -> name -> `"module:attribute"`."""

GROUPS = tuple(BUILTINS)
"""The names of all groups."""

_extra: dict[str, dict[str, str]] = {}
_scanned: dict[str, dict[str, str]] = {}


def _entry_points(group: str) -> dict[str, str]:
    if group not in _scanned:
        from importlib.metadata import entry_points

        _scanned[group] = _merge({}, [(e.name, e.value) for e in entry_points(group=group)], group)
    return _scanned[group]


def _merge(table: Mapping[str, str], new: list[tuple[str, str]], group: str) -> dict[str, str]:
    from workbench.errors import InvalidInput

    merged = dict(table)
    for name, target in new:
        if merged.get(name, target) != target:
            raise InvalidInput(
                f"{group} {name!r} is claimed by both {merged[name]!r} and {target!r}: uninstall or rename one of them."
            )
        merged[name] = target
    return merged


def plugins(group: str) -> dict[str, str]:
    """Return name -> `"module:attribute"` of one group, built-ins and entry points together, without importing any.

    Raises
    ------
    InvalidInput
        If the group is not known, or two plug-ins claim one name.
    """
    from workbench.errors import check_one_of

    check_one_of(group, GROUPS, "plug-in group")
    table = _merge(BUILTINS[group], list(_entry_points(group).items()), group)
    return _merge(table, list(_extra.get(group, {}).items()), group)


def names(group: str) -> list[str]:
    """Return the sorted names known in one group."""
    return sorted(plugins(group))


def register(group: str, name: str, target: str) -> None:
    """Add one plug-in (`"module:attribute"`) to a group for the life of this process."""
    from workbench.errors import InvalidInput

    if target.count(":") != 1:
        raise InvalidInput(f"plug-in target {target!r} is not of the form 'module:attribute'.")
    _merge(plugins(group), [(name, target)], group)
    _extra.setdefault(group, {})[name] = target


def load(group: str, name: str) -> Any:
    """Import and return one plug-in.

    Raises
    ------
    NotFound
        If the group has no such name; the message lists the known names and the closest.
    MissingDependency
        If its module, or something that module needs, cannot be imported.
    """
    from importlib import import_module

    from workbench.errors import MissingDependency, NotFound, closest

    table = plugins(group)
    if name not in table:
        near = closest(name, table)
        hint = f"; did you mean {near!r}?" if near else "."
        raise NotFound(f"{group} has no {name!r}: known are {', '.join(sorted(table)) or 'none'}{hint}")
    module, _, attribute = table[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MissingDependency(f"{group} {name!r} ({table[name]}) cannot be loaded: {error}.") from error


def load_all(group: str) -> dict[str, Any]:
    """Import every plug-in of a group; a broken one is skipped with a `WorkbenchWarning` that names it."""
    import warnings

    from workbench.errors import MissingDependency, WorkbenchWarning

    found: dict[str, Any] = {}
    for name in names(group):
        try:
            found[name] = load(group, name)
        except MissingDependency as error:
            warnings.warn(f"skipped: {error}", WorkbenchWarning, stacklevel=2)
    return found
