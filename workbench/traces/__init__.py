"""Understand traces: trees, calls, the service map, and rate, errors, duration over time.

Enters: a spans frame, whole traces. Leaves: arrays over its rows (`depth`, `self_time_ns`, `entries`), frames of calls
and edges (`calls`, `service_map`), and blocks of float64 over time bins (`red`).
The one idea: `parent` is a row number, so trees are arrays and a walk is a few gathers. Read `tree.py` first, then
`calls.py`.
"""

from workbench.traces.calls import calls, entries
from workbench.traces.quantiles import grouped_quantiles
from workbench.traces.red import RedTable, red
from workbench.traces.service_map import ServiceMap, service_map
from workbench.traces.tree import depth, parents, root_of, roots, self_time_ns

__all__ = [
    "RedTable",
    "ServiceMap",
    "calls",
    "depth",
    "entries",
    "grouped_quantiles",
    "parents",
    "red",
    "root_of",
    "roots",
    "self_time_ns",
    "service_map",
]
