"""What functions and aggregations take and give, for the parser's type check.

References
----------
Prometheus documentation, "Query functions" and "Operators".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from workbench.query.promql.ast import ValueType

__all__ = ["AGGREGATIONS", "FUNCTIONS", "LEGACY", "PARAMETER", "Signature"]


class Signature(NamedTuple):
    """Argument types of a function; the last `optional` ones may be left out, `repeats` repeats the last."""

    args: tuple[ValueType, ...]
    gives: ValueType = "vector"
    optional: int = 0
    repeats: bool = False


_MATRIX = Signature(("matrix",))
_VECTOR = Signature(("vector",))
_CALENDAR = Signature(("vector",), optional=1)

FUNCTIONS: Final[dict[str, Signature]] = {
    **dict.fromkeys(
        (
            "rate", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "avg_over_time",
            "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
            "first_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time", "absent_over_time",
            "mad_over_time", "ts_of_min_over_time", "ts_of_max_over_time", "ts_of_last_over_time",
            "ts_of_first_over_time",
        ),
        _MATRIX,
    ),
    "quantile_over_time": Signature(("scalar", "matrix")),
    "predict_linear": Signature(("matrix", "scalar")),
    "double_exponential_smoothing": Signature(("matrix", "scalar", "scalar")),
    **dict.fromkeys(
        (
            "abs", "absent", "ceil", "exp", "floor", "ln", "log2", "log10", "sqrt", "sgn", "sort", "sort_desc",
            "timestamp", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh",
            "deg", "rad",
        ),
        _VECTOR,
    ),
    **dict.fromkeys(
        ("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"), _CALENDAR
    ),
    "round": Signature(("vector", "scalar"), optional=1),
    "clamp": Signature(("vector", "scalar", "scalar")),
    "clamp_min": Signature(("vector", "scalar")),
    "clamp_max": Signature(("vector", "scalar")),
    "scalar": Signature(("vector",), "scalar"),
    "vector": Signature(("scalar",)),
    **dict.fromkeys(("time", "pi", "start", "end", "step", "range"), Signature((), "scalar")),
    **dict.fromkeys(("min_of", "max_of"), Signature(("scalar", "scalar"), "scalar")),
    "histogram_quantile": Signature(("scalar", "vector")),
    "histogram_fraction": Signature(("scalar", "scalar", "vector")),
    "histogram_quantiles": Signature(("vector", "string", "scalar"), repeats=True),
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"), _VECTOR
    ),
    "info": Signature(("vector", "vector"), optional=1),
    "label_replace": Signature(("vector", "string", "string", "string", "string")),
    "label_join": Signature(("vector", "string", "string", "string"), optional=1, repeats=True),
    "sort_by_label": Signature(("vector", "string"), optional=1, repeats=True),
    "sort_by_label_desc": Signature(("vector", "string"), optional=1, repeats=True),
}  # fmt: skip
"""Every function there is."""

LEGACY: Final = {"holt_winters": "double_exponential_smoothing"}
"""Functions of Prometheus 2 that have another name now."""

AGGREGATIONS: Final = (
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
    "limitk", "limit_ratio",
)  # fmt: skip
"""Every aggregation there is."""

PARAMETER: Final[dict[str, ValueType]] = {
    "topk": "scalar", "bottomk": "scalar", "quantile": "scalar", "count_values": "string",
    "limitk": "scalar", "limit_ratio": "scalar",
}  # fmt: skip
"""Type of the parameter of aggregations that have one."""
