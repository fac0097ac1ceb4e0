"""Runs Prometheus' PromQL test scripts (the `load` / `clear` / `eval` language) against the evaluator.

A script is a list of commands; every `eval` gives one `Outcome`. An eval is of one of three groups: `experimental`
(uses a feature Prometheus itself keeps behind a flag), `native` (touches native histograms), else `classic`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.errors import WorkbenchError
from workbench.query.promql import evaluate_value
from workbench.query.promql.lexer import duration, tokenize
from workbench.query.promql.values import Ranges, Scalar, Text, Vector
from workbench.signals import Matcher, Samples, build_samples, concat_samples, match
from workbench.signals.names import from_prometheus
from workbench.signals.samples import STALE_NAN

_EVAL_INSTANT = re.compile(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
_EVAL_RANGE = re.compile(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
_LOAD = re.compile(r"^load(?:_(with_nhcb))?\s+(.+?)$")
_EXPECT = re.compile(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
_RANGE_VECTOR = re.compile(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
_NUMBER = r"[+-]?(?:[\d.]+(?:[eE][+-]?\d+)?|0x[\da-fA-F]+|[iI]nf|[nN]a[nN])"
_SEQUENCE = re.compile(rf"^({_NUMBER})(?:([+-])({_NUMBER}))?x(\d+)$")
_ITEM = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?\S*|\S+")
_EXPERIMENTAL = re.compile(
    r"\b(anchored|smoothed|fill|fill_left|fill_right|limitk|limit_ratio|info|start_timestamp|range|step)\s*\(|\b(anchored|smoothed)\b"
    r"|__type__|__unit__|\[[^\]]*(?:[-+*/^(]|max|min)[^\]]*\]|offset\s*\(|[^\w]offset\s+-?\w+\s*[-+*/]\s*\d+\w"
)
_NATIVE = re.compile(r"\bhistogram_(avg|count|sum|stddev|stdvar|quantiles)\b|</|>/")
HISTOGRAM = object()
"""Stands for a native histogram sample in a parsed sequence."""

Labels = tuple[tuple[str, str], ...]
Value = float | None | object


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


class Memory:
    """A selector over what the script has loaded."""

    def __init__(self) -> None:
        self.samples = concat_samples([])
        self.native: set[str] = set()

    def load(self, step: int, rows: Sequence[tuple[Labels, list[Value]]], nhcb: bool) -> None:
        labels, series, time, value = [], [], [], []
        for i, (names, values) in enumerate(rows):
            named = dict(names)
            labels.append({from_prometheus(k): v for k, v in named.items()} | {"metric": named.get("__name__", "")})
            base = re.sub(r"_bucket$", "", named.get("__name__", ""))
            if any(v is HISTOGRAM for v in values) or (nhcb and base != named.get("__name__")):
                self.native.add(base)
            for k, v in enumerate(values):
                if isinstance(v, float):
                    series.append(i)
                    time.append(k * step)
                    value.append(v)
        if labels:
            new = build_samples(labels, np.array(series, np.int64), np.array(time, "datetime64[ns]"), value)
            self.samples = concat_samples([self.samples, new])

    def select(
        self, matchers: Sequence[Matcher], start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Samples:
        found = self.samples.take(match(self.samples.labels, matchers))
        return found if start is None or end is None else found.between(start, end)


def nanoseconds(text: str) -> int:
    """Return a script's duration in nanoseconds; a bare number is seconds."""
    text = text.strip()
    sign = -1 if text.startswith("-") else 1
    found = duration(text.lstrip("+-"))
    return sign * (found if found is not None else round(float(text.lstrip("+-")) * 1e9))


def parse_series(line: str) -> tuple[Labels, list[Value]]:
    """Return labels and values of `metric{label="value"} 1 2+3x4 _ stale`."""
    name = re.match(r"[a-zA-Z_:][\w:]*", line)
    at = name.end() if name else 0
    labels = {"__name__": name[0]} if name else {}
    if line[at : at + 1] == "{" and line[at : at + 2] != "{{":
        depth_end = _closing(line, at)
        labels |= _labels(line[at + 1 : depth_end])
        at = depth_end + 1
    return tuple(sorted((k, v) for k, v in labels.items() if v)), list(sequence(line[at:]))


def _closing(line: str, at: int) -> int:
    quote = ""
    i = at + 1
    while quote or line[i] != "}":
        if quote and line[i] == "\\" and quote != "`":
            i += 1
        elif line[i] == quote:
            quote = ""
        elif not quote and line[i] in "\"'`":
            quote = line[i]
        i += 1
    return i


def _labels(text: str) -> dict[str, str]:
    tokens = [t for t in tokenize(text) if t.kind != "end" and t.text != ","]
    out: dict[str, str] = {}
    i = 0
    while i < len(tokens):
        key = tokens[i].value if tokens[i].kind == "string" else tokens[i].text
        if i + 1 < len(tokens) and tokens[i + 1].text == "=":
            out[key] = tokens[i + 2].value
            i += 3
        else:
            out["__name__"] = key
            i += 1
    return out


def number(text: str) -> float:
    """Return a number as Go spells it."""
    return float(int(text, 16)) if text.lower().startswith("0x") else float(text)


def sequence(text: str) -> Iterator[Value]:
    """Yield the values of the expanding notation; None is no sample."""
    for item in _ITEM.findall(text):
        if item.startswith("{{"):
            repeat = re.search(r"x(\d+)$", item)
            yield from [HISTOGRAM] * (int(repeat[1]) + 1 if repeat else 1)
        elif item == "stale":
            yield float(STALE_NAN)
        elif re.fullmatch(r"_(x\d+)?", item):
            yield from [None] * (int(item[2:]) if len(item) > 1 else 1)
        elif found := _SEQUENCE.match(item):
            base, step = number(found[1]), number(found[3] or "0") * (-1 if found[2] == "-" else 1)
            for _ in range(int(found[4]) + 1):
                yield base
                base += step
        else:
            yield number(item)


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
            rows = [parse_series(row) for row in block if not row.split()[0].endswith("@st")]
            yield "load", (nanoseconds(found[2]), rows, bool(found[1]))
        else:
            yield "eval", parse_eval(line, at, block)


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
    elif re.fullmatch(_NUMBER, row):
        case.scalar = number(row)
    else:
        labels, values = parse_series(row)
        case.series[labels] = values


def _matcher(how: str | None, what: str) -> Callable[[str], bool]:
    if how == "msg":
        return what.__eq__
    return lambda note: re.search(what, note) is not None


def almost(a: float, b: float) -> bool:
    """Return whether two numbers are equal within Prometheus' relative tolerance of 1e-6."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    if math.isinf(a) or math.isinf(b):
        return False
    total, least = abs(a) + abs(b), np.finfo(float).tiny
    if a == 0 or b == 0 or total < least:
        return bool(abs(a - b) < 1e-6 * least)
    return bool(abs(a - b) / min(total, np.finfo(float).max) < 1e-6)


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
    shown = any(v is HISTOGRAM for values in case.series.values() for v in values)
    if shown or _NATIVE.search(case.expr) or names & memory.native or ("__name__" in names and memory.native):
        return "native"
    return "classic"


def run(text: str, file: str = "") -> list[Outcome]:
    """Return the outcome of every eval of a script."""
    memory, outcomes = Memory(), []
    for kind, what in commands(text):
        if kind == "clear":
            memory = Memory()
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
        if not got or not want or not isinstance(want[0], float) or not almost(got[0], want[0]):
            return f"as a range, {labels}: gave {got}, expected {want}"
    return ""


def compare_notes(case: Eval, notes: Sequence[str]) -> str:
    """Return how warnings and infos differ from what an eval expects, "" when they do not."""
    for kind, name in (("warn", "warning"), ("info", "info")):
        have = [note for note in notes if note.startswith(f"PromQL {name}")]
        wanted = [how for what, how in case.annotations if what == kind]
        if f"no_{kind}" in [what for what, _ in case.annotations] and have:
            return f"gave {have}, expected none"
        for matches in wanted:
            if not any(matches(note) for note in have):
                return f"gave notes {have}, expected another {kind}"
        if wanted and not all(any(matches(note) for matches in wanted) for note in have):
            return f"gave notes {have}, more than expected"
    return ""


def compare(case: Eval, steps: np.ndarray, value: object) -> str:
    """Return how a value differs from what an eval expects, "" when it does not."""
    if isinstance(value, Text):
        return "" if value.value == case.text else f"gave {value.value!r}, expected {case.text!r}"
    if isinstance(value, Scalar) and case.instant:
        if case.scalar is None:
            return "gave a scalar, expected series"
        return "" if almost(float(value.values[0]), case.scalar) else f"gave {value.values[0]}, expected {case.scalar}"
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
            if not isinstance(want, float) or not almost(got, want):
                return f"{labels} at {when / 1e9:g}s: gave {got}, expected {want}"
    extra = [labels for labels in found if labels not in case.series]
    if extra:
        return f"gave unexpected {extra[:3]}"
    if case.ordered and list(found) != list(case.series):
        return f"order is {list(found)}"
    return ""


def points(value: object, steps: np.ndarray) -> dict[Labels, list[tuple[int, float]]]:
    """Return the points of every series of a value."""
    if isinstance(value, Scalar):
        return {(): [(int(t), float(v)) for t, v in zip(steps, value.values, strict=True)]}
    assert isinstance(value, Vector | Ranges)
    out: dict[Labels, list[tuple[int, float]]] = {}
    for row in range(value.labels.n):
        labels = tuple(sorted((k, str(v[row])) for k, v in value.labels.columns.items() if v[row] != ""))
        if isinstance(value, Ranges):
            inside = slice(int(value.low[row, 0]), int(value.high[row, 0]))
            have = [(int(t), float(v)) for t, v in zip(value.time[inside], value.value[inside], strict=True)]
        else:
            at = np.flatnonzero(value.present[row])
            have = [(int(steps[k]), float(value.values[row, k])) for k in at]
        if have:
            out[labels] = have
    return out
