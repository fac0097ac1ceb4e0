"""A seeded generator of PromQL expressions over the made-up service of `promql_live.py`, in the language of Prometheus 2.42.

Expressions are type-correct and mostly give something. What rounding alone can decide is kept away from: comparisons,
rounding functions, spreads and counts of values are put over exact values only, never over what was divided.

Also kept away from is what Prometheus 2.42 itself gets wrong: `predict_linear` and `timestamp` with `@` in a range query
(it moves the time that is meant to stand still), and `@` inside a subquery that has one (it finds no samples).
"""

from __future__ import annotations

import random
from typing import Final

_PLAIN: Final = [
    "demo_memory_usage_bytes", 'demo_memory_usage_bytes{type="free"}', 'demo_memory_usage_bytes{type=~"free|used"}',
    "demo_cpu_usage_seconds_total", 'demo_cpu_usage_seconds_total{mode!="idle"}', "demo_num_cpus",
    "demo_disk_usage_bytes", "demo_intermittent_metric", "demo_batch_last_success_timestamp_seconds",
    'demo_api_request_duration_seconds_bucket{path="/api/foo"}', "demo_api_request_duration_seconds_count",
    "demo_gappy", 'demo_gappy{instance!="x"}', 'demo_cpu_usage_seconds_total{instance=~".*:1000[01]"}', "nonexistent",
]  # fmt: skip
_LABELS: Final = ["instance", "job", "type", "mode", "path", "le", "nope"]
_RANGES: Final = ["10s", "15s", "1m", "90s", "5m", "7m", "20m"]
_OVER_EXACT: Final = ["sum", "min", "max", "count", "last", "present"]
_OVER_ANY: Final = ["avg", "stddev", "stdvar", *_OVER_EXACT]
_SPREADS: Final = ("stddev", "stdvar")
_AGGREGATES: Final = ["sum", "min", "max", "count", "group"]
_ANY_AGGREGATES: Final = ["avg", "stddev", "stdvar", *_AGGREGATES]


class Generator:
    """Draws expressions; `exact` ones consist of sums, selections and the like, whose values have no rounding."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.fixed = 0  # above 0: no `@` from here inward

    def query(self) -> str:
        """Return one expression."""
        return self.vector(self.random.randint(1, 4), exact=self.random.random() < 0.4)

    def _one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def selector(self) -> str:
        """Return an instant selector."""
        return self.random.choice(_PLAIN) + self.modifiers()

    def modifiers(self) -> str:
        """Return an `offset`, an `@`, both or mostly nothing."""
        out = ""
        if not self.fixed and self.random.random() < 0.12:
            out += self._one(" @ 1700007000", " @ start()", " @ end()", " @ 1700006403.5")
        if self.random.random() < 0.15:
            out += self._one(" offset 1m", " offset 7m", " offset -90s", " offset 3s")
        return out

    def matrix(self, depth: int, *, exact: bool) -> str:
        """Return a range selector or a subquery."""
        if depth > 1 and self.random.random() < 0.3:
            self.fixed += 1
            inner = self.vector(depth - 1, exact=exact)
            self.fixed -= 1
            step = self._one("10s", "30s", "1m", "")
            return f"({inner})[{self._one('1m', '5m', '10m')}:{step}]" + self.modifiers()
        return f"{self.random.choice(_PLAIN)}[{self.random.choice(_RANGES)}]" + self.modifiers()

    def scalar(self, depth: int) -> str:
        """Return a scalar."""
        kind = self.random.random()
        if depth > 1 and kind < 0.15:
            return f"scalar({self.vector(depth - 1, exact=True)})"
        if kind < 0.3:
            return "time()"
        return self._one("0", "1", "2", "0.5", "-3", "1e6", "42", "NaN", "Inf", "(1 + 2)", "(8 % 5)", "(2 ^ 3)")

    def vector(self, depth: int, *, exact: bool) -> str:
        """Return an instant vector."""
        if depth <= 1:
            return self.selector()
        kinds = [self.aggregate, self.over_time, self.arithmetic, self.binary, self.sets, self.ranked, self.labelled]
        if exact:
            kinds += [self.compared, self.rounded, self.counted, self.paired]
        else:
            kinds += [self.rate, self.mathematical, self.quantile, self.trend, self.calendar, self.absent]
        return self.random.choice(kinds)(depth, exact)

    def _grouping(self) -> str:
        if self.random.random() < 0.3:
            return ""
        labels = self.random.sample(_LABELS, self.random.randint(0, 3))
        return f" {self._one('by', 'without')} ({', '.join(labels)}) "

    def aggregate(self, depth: int, exact: bool) -> str:
        """Return an aggregation."""
        op = self.random.choice(_AGGREGATES if exact else _ANY_AGGREGATES)
        # Prometheus has the series of anything but a selector in the order of a Go map, another one at every request,
        # and the variance of large numbers close together depends on the order beyond 1e-12.
        inner = self.selector() if op in _SPREADS else self.vector(depth - 1, exact=exact)
        return f"{op}{self._grouping()}({inner})"

    def over_time(self, depth: int, exact: bool) -> str:
        """Return an aggregation over time."""
        op = self.random.choice(_OVER_EXACT if exact else _OVER_ANY)
        return f"{op}_over_time({self.matrix(depth, exact=exact or op in _SPREADS)})"

    def rate(self, depth: int, exact: bool) -> str:
        """Return a function of counters or gauges over a range."""
        op = self._one("rate", "increase", "delta", "irate", "idelta")
        return f"{op}({self.matrix(depth if self.random.random() < 0.3 else 1, exact=True)})"

    def paired(self, depth: int, exact: bool) -> str:
        """Return how often neighbours differ."""
        return f"{self._one('changes', 'resets')}({self.matrix(depth, exact=True)})"

    def trend(self, depth: int, exact: bool) -> str:
        """Return a line through a range, or smoothing."""
        self.fixed += 1
        matrix = self.matrix(depth, exact=True)
        self.fixed -= 1
        return self._one(
            f"deriv({matrix})", f"predict_linear({matrix}, {self._one('60', '600', '-30')})",
            f"holt_winters({matrix}, 0.3, 0.6)", f"quantile_over_time({self._one('0.1', '0.5', '0.99')}, {matrix})",
        )  # fmt: skip

    def arithmetic(self, depth: int, exact: bool) -> str:
        """Return an operation with a scalar."""
        op = self._one("+", "-", "*") if exact else self._one("+", "*", "/", "%", "atan2")
        number = self._one("2", "8", "-3", "0.5") if exact or op == "%" else self.scalar(depth - 1)
        inner = self.vector(depth - 1, exact=exact or op == "%")
        return f"({inner}) {op} {number}" if self.random.random() < 0.6 else f"{number} {op} ({inner})"

    def _matching(self) -> str:
        return self._one(
            "on (instance)", "on (instance, job, type, mode, path, le)", "ignoring (type)", "ignoring (nope)", "",
            "on (instance) group_left", "on (instance) group_right", "ignoring (type, mode) group_left (job)",
            "on (instance, job) group_left (nope)",
        )  # fmt: skip

    def binary(self, depth: int, exact: bool) -> str:
        """Return an operation between vectors."""
        left = self.vector(depth - 1, exact=exact)
        right = left if self.random.random() < 0.5 else self.vector(depth - 1, exact=exact)
        if self.random.random() < 0.4:
            left, right = (f"sum by (instance) ({side})" for side in (left, right))
            return f"{left} {self._one('+', '*') if not exact else self._one('+', '-')} {right}"
        op = self._one("+", "-") if exact else self._one("+", "*", "/")
        return f"({left}) {op} {self._matching()} ({right})"

    def compared(self, depth: int, exact: bool) -> str:
        """Return a comparison of exact values."""
        op, flag = self._one("==", "!=", "<", ">", "<=", ">="), self._one("", "bool")
        left = self.vector(depth - 1, exact=True)
        if self.random.random() < 0.5:
            return f"({left}) {op} {flag} {self._one('0', '1', '4', '100', '2e9', 'time()')}"
        return f"({left}) {op} {flag} {self._matching()} ({self.vector(depth - 1, exact=True)})"

    def sets(self, depth: int, exact: bool) -> str:
        """Return a set operation."""
        matching = self._one("", "on (instance)", "ignoring (type, mode)")
        left, right = self.vector(depth - 1, exact=exact), self.vector(depth - 1, exact=exact)
        return f"({left}) {self._one('and', 'or', 'unless')} {matching} ({right})"

    def ranked(self, depth: int, exact: bool) -> str:
        """Return the largest or smallest of plain series, whose order is that of their labels."""
        inner = self.random.choice(_PLAIN) if self.random.random() < 0.8 else f"-{self.random.choice(_PLAIN)}"
        return f"{self._one('topk', 'bottomk')}{self._grouping()}({self._one('1', '2', '3')}, {inner})"

    def quantile(self, depth: int, exact: bool) -> str:
        """Return a quantile of series or of a histogram."""
        q = self._one("0.1", "0.5", "0.9", "1", "0", "-1", "2")
        if self.random.random() < 0.5:
            return f"quantile{self._grouping()}({q}, {self.vector(depth - 1, exact=exact)})"
        rate = f"rate(demo_api_request_duration_seconds_bucket[{self._one('1m', '5m')}])"
        return f"histogram_quantile({q}, {self._one(rate, f'sum by (le) ({rate})', f'sum by (le, instance) ({rate})')})"

    def rounded(self, depth: int, exact: bool) -> str:
        """Return a rounding function of exact values."""
        inner = self.vector(depth - 1, exact=True)
        return self._one(f"ceil({inner})", f"floor({inner})", f"round({inner})", f"round({inner}, 0.5)", f"abs({inner})",
                         f"sgn({inner})", f"clamp({inner}, 0, 100)", f"clamp_min({inner}, 3)", f"-({inner})")  # fmt: skip

    def mathematical(self, depth: int, exact: bool) -> str:
        """Return a function of each value."""
        inner = self.vector(depth - 1, exact=True)
        name = self._one("sqrt", "ln", "log2", "log10", "exp", "deg", "rad", "atan", "tanh", "asinh", "abs")
        if name == "exp":  # near the largest number Go's own may overflow where others do not yet
            inner = f"clamp_max({inner}, 700)"
        return f"{name}({inner})"

    def counted(self, depth: int, exact: bool) -> str:
        """Return counts of exact values."""
        return f'count_values{self._grouping()}("value", {self.random.choice(_PLAIN)})'

    def calendar(self, depth: int, exact: bool) -> str:
        """Return a calendar figure or a timestamp."""
        name = self._one("hour", "minute", "day_of_week", "day_of_month", "month", "year", "days_in_month")
        return self._one(f"{name}(demo_batch_last_success_timestamp_seconds)", f"timestamp({self.random.choice(_PLAIN)})",
                         f"vector({self.scalar(depth - 1)})")  # fmt: skip

    def absent(self, depth: int, exact: bool) -> str:
        """Return what says that nothing is there."""
        return self._one(f"absent({self.selector()})", f"absent_over_time({self.random.choice(_PLAIN)}[1m])")

    def labelled(self, depth: int, exact: bool) -> str:
        """Return series with labels changed."""
        inner = self.vector(depth - 1, exact=exact)
        return self._one(
            f'label_replace({inner}, "port", "$1", "instance", ".*:(.*)")',
            f'label_replace({inner}, "type", "x-$1", "type", "(f.*)")',
            f'label_join({inner}, "both", "/", "instance", "job", "nope")',
        )
