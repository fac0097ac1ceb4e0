"""Runs Prometheus' PromQL test scripts (the `load` / `clear` / `eval` language) against the evaluator.

A script is a list of commands; every `eval` gives one `Outcome`. An eval is of one of three groups: `experimental`
(uses a feature Prometheus itself keeps behind a flag), `native` (touches native histograms), else `classic`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.conformance.promqltest_memory import Memory, Row
from tests.conformance.promqltest_series import (
    NUMBER,
    Described,
    Labels,
    Value,
    matches,
    nanoseconds,
    number,
    parse_metric,
    parse_series,
    start_offsets,
)
from workbench.errors import WorkbenchError
from workbench.query.promql import evaluate_value
from workbench.query.promql.lexer import tokenize
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Scalar, Text, Vector
from workbench.signals import Histogram

_EVAL_INSTANT = re.compile(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
_EVAL_RANGE = re.compile(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
_LOAD = re.compile(r"^load(?:_(with_nhcb))?\s+(.+?)$")
_EXPECT = re.compile(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
_RANGE_VECTOR = re.compile(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
_EXPERIMENTAL = re.compile(
    r"\b(anchored|smoothed|fill|fill_left|fill_right|limitk|limit_ratio|info|start_timestamp|range|step)\s*\(|\b(anchored|smoothed)\b"
    r"|__type__|__unit__|\[[^\]]*(?:[-+*/^(]|max|min)[^\]]*\]|offset\s*\(|[^\w]offset\s+-?\w+\s*[-+*/]\s*\d+\w"
)
_NATIVE = re.compile(r"\bhistogram_(avg|count|sum|stddev|stdvar|quantiles)\b|</|>/")


@dataclass
class Outcome:
    """What became of one eval: `problem` is empty when it passed."""

    line: int
    expr: str
    group: str
    problem: str = ""


@dataclass
class Eval:
    """One eval command and what it expects."""

    line: int
    expr: str
    start: int
    end: int
    step: int
    instant: bool
    fail: bool = False
    fail_message: str = ""
    fail_regex: str = ""
    ordered: bool = False
    annotations: list[tuple[str, Callable[[str], bool]]] = field(default_factory=list)
    text: str | None = None
    scalar: float | None = None
    window: tuple[int, int, int] | None = None
    series: dict[Labels, list[Value]] = field(default_factory=dict)


def commands(text: str) -> Iterator[tuple[str, object]]:
    """Yield ("clear", None), ("load", (step, rows, nhcb)) and ("eval", Eval) of a script."""
    lines = [("" if line.strip().startswith("#") else line.strip()) for line in text.split("\n")]
    i = 0
    while i < len(lines):
        line, at = lines[i], i + 1
        i += 1
        if not line:
            continue
        block = []
        while i < len(lines) and lines[i]:
            if line.startswith("clear") or (line.startswith("eval") and lines[i].startswith(("eval ", "eval_"))):
                break
            block.append(lines[i])
            i += 1
        if line.startswith("clear"):
            yield "clear", None
        elif found := _LOAD.match(line):
            yield "load", (nanoseconds(found[2]), parse_load(block), bool(found[1]))
        else:
            yield "eval", parse_eval(line, at, block)


def parse_load(block: Sequence[str]) -> list[Row]:
    """Return the series of a load command, with the start timestamps of the `@st` lines before them."""
    rows: list[Row] = []
    default: list[int | None] = []
    own: list[int | None] | None = None
    for line in block:
        if line.split()[0].endswith("@st"):
            metric, rest = line.split("@st", 1)
            given = start_offsets(rest)
            if parse_metric(metric)[0] or "{" in metric:
                own = given
            else:
                default = given
            continue
        labels, values = parse_series(line)
        starts = own if own is not None else [default[i % len(default)] for i in range(len(values))] if default else []
        rows.append((labels, values, starts))
        own = None
    return rows


def parse_eval(line: str, at: int, block: list[str]) -> Eval:
    """Return one eval command with its expectations."""
    if found := _EVAL_RANGE.match(line):
        case = Eval(at, found[5], nanoseconds(found[2]), nanoseconds(found[3]), nanoseconds(found[4]), False)
    else:
        found = _EVAL_INSTANT.match(line)
        if found is None:
            raise ValueError(f"line {at} is not a command: {line}")
        moment = nanoseconds(found[2])
        case = Eval(at, found[3], moment, moment, 1, True)
    case.fail, case.ordered = found[1] == "fail", found[1] == "ordered"
    if found[1] in ("warn", "info"):
        case.annotations.append((found[1], lambda note: True))
    for row in block:
        _expectation(case, row)
    return case


def _expectation(case: Eval, row: str) -> None:
    if found := _RANGE_VECTOR.match(row):
        case.window = (nanoseconds(found[1]), nanoseconds(found[2]), nanoseconds(found[3]))
    elif row.startswith("expect string"):
        case.text = tokenize(row.removeprefix("expect string").strip())[0].value
    elif row.startswith("expected_fail_message"):
        case.fail_message = row.removeprefix("expected_fail_message").strip()
    elif row.startswith("expected_fail_regexp"):
        case.fail_regex = row.removeprefix("expected_fail_regexp").strip()
    elif found := _EXPECT.match(row):
        kind, how, what = found[1], found[2], (found[3] or "").strip()
        if kind == "fail":
            case.fail = True
            case.fail_message, case.fail_regex = (what if how == "msg" else ""), (what if how == "regex" else "")
        elif kind == "ordered":
            case.ordered = True
        else:
            case.annotations.append((kind, _matcher(how, what)))
    elif re.fullmatch(NUMBER, row):
        case.scalar = number(row)
    else:
        labels, values = parse_series(row)
        case.series[labels] = values


def _matcher(how: str | None, what: str) -> Callable[[str], bool]:
    if how == "msg":
        return what.__eq__
    return lambda note: re.search(what, note) is not None


def group_of(case: Eval, memory: Memory, file: str) -> str:
    """Return classic, native or experimental."""
    experimental_files = (
        "duration_expression",
        "extended_vectors",
        "fill-modifier",
        "info",
        "limit",
        "start_timestamps",
        "type_and_unit",
    )
    if file in experimental_files or _EXPERIMENTAL.search(case.expr):
        return "experimental"
    names = set(re.findall(r"[a-zA-Z_:][\w:]*", case.expr))
    shown = any(isinstance(v, Described) for values in case.series.values() for v in values)
    if shown or _NATIVE.search(case.expr) or names & memory.native or ("__name__" in names and memory.native):
        return "native"
    return "classic"


def run(text: str, file: str = "", new: Callable[[], Memory] = Memory) -> list[Outcome]:
    """Return the outcome of every eval of a script, with its data in what `new` makes."""
    memory, outcomes = new(), []
    for kind, what in commands(text):
        if kind == "clear":
            memory = new()
        elif kind == "load":
            memory.load(*what)  # type: ignore[misc]
        else:
            case = what
            assert isinstance(case, Eval)
            outcomes.append(Outcome(case.line, case.expr, group_of(case, memory, file), judge(case, memory)))
    return outcomes


def judge(case: Eval, memory: Memory) -> str:
    """Return what is wrong with the answer to one eval, "" when nothing is."""
    try:
        answer = evaluate_value(
            memory,
            case.expr,
            np.datetime64(case.start, "ns"),
            np.datetime64(case.end, "ns"),
            np.timedelta64(case.step, "ns"),
        )
    except WorkbenchError as error:
        message = str(error).split("\n")[0]
        if not case.fail:
            return f"failed: {message}"
        if case.fail_message and case.fail_message not in message:
            return f"failed with {message!r}, expected {case.fail_message!r}"
        if case.fail_regex and not re.search(case.fail_regex, message):
            return f"failed with {message!r}, expected {case.fail_regex!r}"
        return ""
    if case.fail:
        return "succeeded, but was expected to fail"
    problem = compare(case, answer.steps, answer.value) or compare_notes(case, answer.notes)
    return problem or as_range(case, memory)


def as_range(case: Eval, memory: Memory) -> str:
    """Return what is wrong with the middle of a range of three steps a minute apart, "" when nothing is.

    Prometheus runs every instant eval so, too, unless it is about order, a string, a range vector or the range itself.
    """
    about_range = re.search(r"\b(start|end|range|step)\s*\(\s*\)", case.expr)
    if not case.instant or case.ordered or case.window or case.text is not None or about_range:
        return ""
    moments = (case.start - 60 * 10**9, case.start + 60 * 10**9)
    try:
        answer = evaluate_value(memory, case.expr, *(np.datetime64(t, "ns") for t in moments), np.timedelta64(60, "s"))
    except WorkbenchError as error:
        return f"failed as a range: {error}"
    found = {k: [v for t, v in have if t == case.start] for k, have in points(answer.value, answer.steps).items()}
    found = {labels: values for labels, values in found.items() if values}
    wanted = case.series if case.scalar is None else {(): [case.scalar]}
    for labels in wanted.keys() | found.keys():
        got, want = found.get(labels), wanted.get(labels)
        if not got or not want or not matches(got[0], want[0]):
            return f"as a range, {labels}: gave {got}, expected {want}"
    return ""


def compare_notes(case: Eval, notes: Sequence[str]) -> str:
    """Return how warnings and infos differ from what an eval expects, "" when they do not."""
    for kind, name in (("warn", "warning"), ("info", "info")):
        have = [note for note in notes if note.startswith(f"PromQL {name}")]
        wanted = [how for what, how in case.annotations if what == kind]
        if f"no_{kind}" in [what for what, _ in case.annotations] and have:
            return f"gave {have}, expected none"
        for fits in wanted:
            if not any(fits(note) for note in have):
                return f"gave notes {have}, expected another {kind}"
        if wanted and not all(any(fits(note) for fits in wanted) for note in have):
            return f"gave notes {have}, more than expected"
    return ""


def compare(case: Eval, steps: np.ndarray, value: object) -> str:
    """Return how a value differs from what an eval expects, "" when it does not."""
    if isinstance(value, Text):
        return "" if value.value == case.text else f"gave {value.value!r}, expected {case.text!r}"
    if isinstance(value, Scalar) and case.instant:
        if case.scalar is None:
            return "gave a scalar, expected series"
        return "" if matches(float(value.values[0]), case.scalar) else f"gave {value.values[0]}, expected {case.scalar}"
    found = points(value, steps)
    first, _, step = case.window or (case.start, case.end, case.step)
    for labels, values in case.series.items():
        wanted = [(first + k * step, v) for k, v in enumerate(values) if v is not None]
        have = found.get(labels)
        if have is None:
            return f"lacks {labels}, has {list(found)[:4]}"
        if [t for t, _ in have] != [t for t, _ in wanted]:
            return f"{labels}: gave {len(have)} points {have[:6]}, expected {len(wanted)} {wanted[:6]}"
        for (_, got), (when, want) in zip(have, wanted, strict=True):
            if not matches(got, want):
                return f"{labels} at {when / 1e9:g}s: gave {got}, expected {want}"
    extra = [labels for labels in found if labels not in case.series]
    if extra:
        return f"gave unexpected {extra[:3]}"
    if case.ordered and list(found) != list(case.series):
        return f"order is {list(found)}"
    return ""


def points(value: object, steps: np.ndarray) -> dict[Labels, list[tuple[int, float | Histogram]]]:
    """Return the points of every series of a value."""
    if isinstance(value, Scalar):
        return {(): [(int(t), float(v)) for t, v in zip(steps, value.values, strict=True)]}
    assert isinstance(value, Vector | Ranges)
    out: dict[Labels, list[tuple[int, float | Histogram]]] = {}
    for i in range(value.labels.n):
        labels = tuple(sorted((k, str(v[i])) for k, v in value.labels.columns.items() if v[i] != ""))
        if isinstance(value, Ranges):
            at = np.arange(int(value.low[i, 0]), int(value.high[i, 0]))
            times, numbers = value.time[at], value.value[at]
            rows = np.full(len(at), -1) if value.row is None else value.row[at]
        else:
            at = np.flatnonzero(value.present[i])
            times, numbers = steps[at], value.values[i, at]
            rows = np.full(len(at), -1) if value.rows is None else value.rows[i, at]
        have = [
            (int(t), float(v) if row < 0 else value.pool.unpack(int(row)))
            for t, v, row in zip(times, numbers, rows, strict=True)
        ]
        if have:
            out[labels] = have
    return out
