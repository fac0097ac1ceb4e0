"""The query templates of Prometheus' compliance tester, expanded with the tester's own lists of variants."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Final

import yaml

_ARITHMETIC, _COMPARISONS = ["+", "-", "*", "/", "%", "^"], ["==", "!=", "<", ">", "<=", ">="]
VARIANTS: Final = {
    "range": ["1s", "15s", "1m", "5m", "15m", "1h"],
    "offset": ["1m", "5m", "10m"],
    "simpleAggrOp": ["sum", "avg", "max", "min", "count", "stddev", "stdvar"],
    "simpleTimeAggrOp": ["sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last", "present"],
    "topBottomOp": ["topk", "bottomk"],
    "quantile": ["-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"],
    "arithBinOp": _ARITHMETIC,
    "compBinOp": _COMPARISONS,
    "binOp": [*_ARITHMETIC, *_COMPARISONS],
    "simpleMathFunc": ["abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round"],
    "extrapolatedRateFunc": ["delta", "rate", "increase"],
    "clampFunc": ["clamp_min", "clamp_max"],
    "instantRateFunc": ["idelta", "irate"],
    "dateFunc": ["day_of_month", "day_of_week", "days_in_month", "hour", "minute", "month", "year"],
}
"""What each placeholder stands for."""


def expanded(path: Path) -> list[tuple[str, bool]]:
    """Return every query of a template file, and whether it must fail."""
    out = []
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))["test_cases"]:
        names = case.get("variant_args", [])
        for chosen in itertools.product(*(VARIANTS[name] for name in names)):
            given = dict(zip(names, chosen, strict=True))
            text = re.sub(r"\{\{\.(\w+)\}\}", lambda found, given=given: given[found[1]], str(case["query"]))
            out.append((text, bool(case.get("should_fail", False))))
    return out
