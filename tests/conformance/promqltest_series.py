"""The series notation of Prometheus' test scripts: `metric{label="value"} 1 2+3x4 _ stale {{schema:1 sum:3 count:22}}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.query.promql.histogram_math import Terms, combine, folded_hints
from workbench.query.promql.lexer import duration, tokenize
from workbench.signals import Histogram, pack_histograms
from workbench.signals.histograms import CUSTOM, GAUGE, NOT_RESET, RESET, UNKNOWN
from workbench.signals.samples import STALE_NAN

NUMBER = r"[+-]?(?:[\d.]+(?:[eE][+-]?\d+)?|0x[\da-fA-F]+|[iI]nf|[nN]a[nN])"
_SEQUENCE = re.compile(rf"^({NUMBER})(?:([+-])({NUMBER}))?x(\d+)$")
_ITEM = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?\S*|\S+")
_HISTOGRAM = re.compile(r"^\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\})?(?:x(\d+))?$")
_FIELD = re.compile(r"(\w+):(\[[^\]]*\]|\S+)")
_HINTS = {"unknown": UNKNOWN, "reset": RESET, "not_reset": NOT_RESET, "gauge": GAUGE}

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Described:
    """A histogram as a script writes it; `hinted` says whether it names a hint."""

    histogram: Histogram
    hinted: bool


Value = float | None | Described


def nanoseconds(text: str) -> int:
    """Return a script's duration in nanoseconds; a bare number is seconds."""
    text = text.strip()
    sign = -1 if text.startswith("-") else 1
    found = duration(text.lstrip("+-"))
    return sign * (found if found is not None else round(float(text.lstrip("+-")) * 1e9))


def number(text: str) -> float:
    """Return a number as Go spells it."""
    return float(int(text, 16)) if text.lower().startswith("0x") else float(text)


def parse_series(line: str) -> tuple[Labels, list[Value]]:
    """Return labels and values of a series."""
    labels, rest = parse_metric(line)
    return labels, list(sequence(rest))


def parse_metric(line: str) -> tuple[Labels, str]:
    """Return the labels of a series, and what follows them."""
    name = re.match(r"[a-zA-Z_:][\w:]*", line)
    at = name.end() if name else 0
    labels = {"__name__": name[0]} if name else {}
    if line[at : at + 1] == "{" and line[at : at + 2] != "{{":
        depth_end = _closing(line, at)
        labels |= _labels(line[at + 1 : depth_end])
        at = depth_end + 1
    return tuple(sorted((k, v) for k, v in labels.items() if v)), line[at:]


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


def sequence(text: str) -> Iterator[Value]:
    """Yield the values of the expanding notation; None is no sample."""
    for item in _ITEM.findall(text):
        if item.startswith("{{"):
            yield from _histograms(item)
        elif item == "stale":
            yield float(STALE_NAN)
        elif re.fullmatch(r"stalex\d+", item):
            yield from [float(STALE_NAN)] * (int(item[6:]) + 1)
        elif re.fullmatch(r"_(x\d+)?", item):
            yield from [None] * (int(item[2:]) if len(item) > 1 else 1)
        elif found := _SEQUENCE.match(item):
            base, step = number(found[1]), number(found[3] or "0") * (-1 if found[2] == "-" else 1)
            for _ in range(int(found[4]) + 1):
                yield base
                base += step
        else:
            yield number(item)


def _histograms(item: str) -> Iterator[Value]:
    found = _HISTOGRAM.match(item)
    if found is None:
        raise ValueError(f"{item} is not a histogram")
    one = describe(found[1])
    if found[3] is None:
        yield from [one] * (int(found[4]) + 1 if found[4] else 1)
        return
    step = describe(found[3])
    for _ in range(int(found[4]) + 1):
        yield one
        one = Described(added(one.histogram, step.histogram, -1.0 if found[2] == "-" else 1.0), one.hinted)


def describe(text: str) -> Described:
    """Return the histogram written between double braces."""
    fields = dict(_FIELD.findall(text))

    def values(key: str) -> list[float]:
        return [number(v) for v in fields.get(key, "[]").strip("[]").split()]

    schema = int(fields.get("schema", 0))
    first, last = int(fields.get("offset", 0)), int(fields.get("n_offset", 0))
    histogram = Histogram(
        number(fields.get("count", "0")), number(fields.get("sum", "0")), schema, number(fields.get("z_bucket_w", "0")),
        number(fields.get("z_bucket", "0")), {first + i: v for i, v in enumerate(values("buckets"))},
        {last + i: v for i, v in enumerate(values("n_buckets"))},
        tuple(values("custom_values")) if schema == CUSTOM else (),
        _HINTS[fields.get("counter_reset_hint", "unknown")],
    )  # fmt: skip
    return Described(histogram, "counter_reset_hint" in fields)


def added(a: Histogram, b: Histogram, weight: float) -> Histogram:
    """Return one histogram plus a weight times another."""
    pool = pack_histograms([a, b])
    terms = Terms(np.array([0, 1]), np.array([0, 0]), np.array([1.0, weight]), 1)
    hint, _ = folded_hints(pool, terms)
    return replace(combine(pool, terms).pool.unpack(0), hint=int(hint[0]))


def start_offsets(text: str) -> list[int | None]:
    """Return the start timestamps of a line such as `-1m _x2 *x3 -5s+1sx4`: nanoseconds from each sample's time."""
    out: list[int | None] = []
    for item in text.split():
        previous = next((v for v in reversed(out) if v is not None), 0)
        if found := re.fullmatch(r"_(?:x(\d+))?", item):
            out += [None] * int(found[1] or 1)
        elif found := re.fullmatch(r"\*(?:x(\d+))?", item):
            out += [previous] * (int(found[1]) + 1 if found[1] else 1)
        elif found := re.fullmatch(r"([+-]?\d+[a-wy-z]+)(?:([+-]\d+[a-wy-z]+|[+-]{2}\d+[a-wy-z]+))?(?:x(\d+))?", item):
            base, step = nanoseconds(found[1]), nanoseconds(found[2]) if found[2] else 0
            out += [base + k * step for k in range(int(found[3]) + 1 if found[3] else 1)]
        else:
            raise ValueError(f"{item} is not a start timestamp")
    return out


def almost(a: float, b: float) -> bool:
    """Return whether two numbers are equal within Prometheus' relative tolerance of 1e-6."""
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(a) and np.isnan(b))
    if a == b:
        return True
    if np.isinf(a) or np.isinf(b):
        return False
    total, least = abs(a) + abs(b), np.finfo(float).tiny
    if a == 0 or b == 0 or total < least:
        return bool(abs(a - b) < 1e-6 * least)
    return bool(abs(a - b) / min(total, np.finfo(float).max) < 1e-6)


def same_histogram(got: Histogram, want: Described) -> bool:
    """Return whether two histograms are equal within the tolerance, empty buckets aside; hints only if one is named."""
    wanted = want.histogram
    if want.hinted and got.hint != wanted.hint:
        return False
    pairs = [
        (got.count, wanted.count), (got.sum, wanted.sum), (got.zero_count, wanted.zero_count),
    ]  # fmt: skip
    for mine, theirs in ((got.positive, wanted.positive), (got.negative, wanted.negative)):
        mine, theirs = ({k: v for k, v in side.items() if v != 0} for side in (mine, theirs))
        if mine.keys() != theirs.keys():
            return False
        pairs += [(mine[k], theirs[k]) for k in mine]
    if got.schema != wanted.schema or got.bounds != wanted.bounds or got.zero_threshold != wanted.zero_threshold:
        return False
    return all(almost(a, b) for a, b in pairs)


def matches(got: float | Histogram, want: Value) -> bool:
    """Return whether a value is what a script expects."""
    if isinstance(got, Histogram) or isinstance(want, Described):
        return isinstance(got, Histogram) and isinstance(want, Described) and same_histogram(got, want)
    return want is not None and almost(got, want)


def trimmed(values: Sequence[Value]) -> list[Value]:
    """Return the values that are there."""
    return [v for v in values if v is not None]
