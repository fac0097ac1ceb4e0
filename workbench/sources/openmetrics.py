"""OpenMetrics 1.0: one document is taken whole or refused whole, with the line and the reason.

What each part becomes is as in `exposition.py`; timestamps are in seconds. Exemplars are checked and not kept.

References
----------
OpenMetrics 1.0 (github.com/OpenMetrics/OpenMetrics), sections "Overall structure" and "Metric types"; the conformance
cases of the same repository, tests/testdata/parsers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import BinaryIO, ClassVar

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.exposition_lines import Line, LineError, RuleError, number, parse_line, unescape
from workbench.sources.openmetrics_histogram import check_histogram
from workbench.sources.scrape import Scrape
from workbench.sources.source import ReadOptions
from workbench.sources.unpack import text_document

__all__ = ["OpenMetrics", "read_openmetrics"]

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_count", "_sum", "_bucket", "_created"),
    "gaugehistogram": ("_gcount", "_gsum", "_bucket"),
    "info": ("_info",),
    "gauge": ("",),
    "stateset": ("",),
    "unknown": ("",),
}
_COUNTERS = ("_total", "_sum", "_count", "_bucket", "_gcount")
_META = re.compile(r'# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\\n]|\\.)*") (.*)', re.DOTALL)


class OpenMetrics:
    """OpenMetrics text by all its rules; chosen by name only, `prometheus` reads both dialects as Prometheus does."""

    name: ClassVar[str] = "openmetrics"

    def detect(self, head: bytes, path: str) -> bool:
        """Return False: real exporters break rules that the data survives, so strictness has to be asked for."""
        return False

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield one batch with all samples.

        Raises
        ------
        SourceError
            If the document breaks a rule; the message names the line and the rule.
        """
        skips: Counter[str] = Counter()
        text = text_document(stream, path, options.max_body_bytes, skips)
        if skips:
            raise SourceError(f"{path} is no OpenMetrics: it is not valid UTF-8.")
        scrape = Scrape(options)
        read_openmetrics(text, path, scrape, strict=True)
        yield scrape.batch()


@dataclass
class _Family:
    """One metric family and how far its samples are known."""

    name: str
    type: str | None = None
    unit: str | None = None
    help: str | None = None
    samples: list[tuple[Line, Decimal | None]] = field(default_factory=list)
    group: tuple[tuple[str, str], ...] | None = None
    seen_groups: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    time: Decimal | None = None
    times_seen: set[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=set)

    def allowed(self) -> tuple[str, ...]:
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.type or "unknown"])


def read_openmetrics(text: str, path: str, scrape: Scrape, strict: bool) -> None:
    """Add every sample of an OpenMetrics document.

    Parameters
    ----------
    text : str
        The whole document.
    path : str
        For messages.
    scrape : Scrape
        Takes the samples.
    strict : bool
        Whether rules on what metrics may say are enforced too; else, as in Prometheus, only the grammar is, and a
        broken rule is counted.

    Raises
    ------
    SourceError
        With the first offending line and the reason.
    """
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    reader = _Reader(scrape, strict)
    at = 0
    try:
        for line in lines:
            at += 1
            reader.line(line)
        reader.end()
    except LineError as error:
        raise SourceError(f"{path} is no valid OpenMetrics: line {at}: {error}.") from error


class _Reader:
    def __init__(self, scrape: Scrape, strict: bool) -> None:
        self._scrape, self._strict = scrape, strict
        self._family: _Family | None = None
        self._names: set[str] = set()
        self._pending: list[tuple[Line, Decimal | None, str, str, str]] = []
        self._eof = False

    def line(self, line: str) -> None:
        if self._eof:
            raise LineError("nothing may follow '# EOF'")
        if not line:
            raise LineError("a blank line is not allowed")
        if line == "# EOF":
            self._eof = True
        elif line.startswith("#"):
            self._metadata(line)
        else:
            self._sample(line)

    def end(self) -> None:
        if not self._eof:
            raise LineError("'# EOF' is missing at the end")
        self._close()
        for found, time, family, kind, unit in self._pending:
            ns = None if time is None else _nanoseconds(time)
            self._scrape.add(found.name, found.labels, found.value, ns, family, kind, unit)
            if found.exemplar:
                self._scrape.skips["exemplar not kept"] += 1

    def _judge(self, broken: str | None) -> None:
        """Refuse the document for a broken rule where that was asked for, else count the rule and go on."""
        if broken is None:
            return
        if self._strict:
            raise RuleError(broken)
        self._scrape.skips[f"OpenMetrics rule broken, data kept: {broken}"] += 1

    def _open(self, name: str) -> _Family:
        self._close()
        self._family = _Family(name)
        return self._family

    def _close(self) -> None:
        family = self._family
        if family is None:
            return
        kind = family.type or "unknown"
        for name in {family.name, *family.allowed()}:
            if name in self._names:
                self._judge("a name must not occur in two families")
            self._names.add(name)
        if family.unit and not family.name.endswith("_" + family.unit):
            self._judge("a unit must be the end of its family's name")
        if family.unit and kind in ("info", "stateset"):
            self._judge("an info or stateset must not have a unit")
        if kind in ("histogram", "gaugehistogram"):
            self._judge(check_histogram(family.name, family.samples))
        self._pending += [(line, time, family.name, kind, family.unit or "") for line, time in family.samples]

    def _metadata(self, line: str) -> None:
        found = _META.fullmatch(line)
        if not found:
            raise LineError("a comment must be '# HELP', '# TYPE' or '# UNIT', a metric name and a text, or '# EOF'")
        keyword, rest = found[1], found[3]
        name = unescape(found[2][1:-1]) if found[2].startswith('"') else found[2]
        family = self._family
        if family is not None and family.name == name and family.samples:
            self._judge("metadata must stand before the samples of its family")
        if family is None or family.name != name:
            family = self._open(name)
        attribute = keyword.lower()
        if getattr(family, attribute) is not None:
            raise LineError(f"a family must not have {keyword} twice")
        if keyword == "TYPE" and rest not in _SUFFIXES:
            raise LineError(f"the type {rest[:40]!r} is not known")
        setattr(family, attribute, rest)

    def _sample(self, line: str) -> None:
        found = parse_line(line, strict=True)
        time = _timestamp(found.timestamp)
        family = self._family
        if family is None or found.name not in family.allowed():
            family = self._open(found.name)
            family.type = "unknown"
        kind = family.type or "unknown"
        suffix = found.name[len(family.name) :]
        self._judge(_check_labels(found, family.name, kind, suffix))
        self._check_group(found, time, family, kind)
        self._judge(_check_value(found, kind, suffix))

    def _check_group(self, found: Line, time: Decimal | None, family: _Family, kind: str) -> None:
        """Check that the samples of one label set stand together, in order of time, and keep the sample."""
        group = _group(found, family.name, kind)
        if family.group is not None and group != family.group and group in family.seen_groups:
            self._judge("the samples of one label set must stand together")
        if family.group is not None and group == family.group:
            if (time is None) != (family.time is None):
                self._judge("samples of one label set must all have timestamps or none")
            elif time is not None and family.time is not None and family.time > time and kind != "info":
                self._judge("timestamps of one label set must not go backwards")
        else:
            family.times_seen = set()
        series = (found.name, tuple(sorted(found.labels.items())))
        if time != family.time or series not in family.times_seen:
            family.samples.append((found, time))
        else:
            self._scrape.skips["sample given twice for one time"] += 1
        family.times_seen.add(series)
        family.group, family.time = group, time
        family.seen_groups.add(group)


def _group(found: Line, family: str, kind: str) -> tuple[tuple[str, str], ...]:
    if kind == "info":
        return ()
    own = {"summary": "quantile", "stateset": family, "histogram": "le", "gaugehistogram": "le"}.get(kind)
    drop = own if kind == "stateset" or found.name in (family, family + "_bucket") else None
    return tuple(sorted(item for item in found.labels.items() if item[0] != drop))


def _check_labels(found: Line, family: str, kind: str, suffix: str) -> str | None:
    """Return the rule that a sample's labels break, if any."""
    if kind == "stateset" and family not in found.labels:
        return "a stateset sample needs a label of its family's name"
    if kind in ("histogram", "gaugehistogram") and suffix == "_bucket":
        bound = _number_or_nan(found.labels.get("le", ""))
        if math.isnan(bound) or (bound == math.inf and found.labels["le"] != "+Inf"):
            return "a bucket needs a label le that is a number or +Inf"
    if kind == "summary" and not suffix and not 0 <= _number_or_nan(found.labels.get("quantile", "")) <= 1:
        return "a summary needs a label quantile from 0 to 1"
    return None


def _number_or_nan(text: str) -> float:
    try:
        return number(text)
    except LineError:
        return math.nan


def _check_value(found: Line, kind: str, suffix: str) -> str | None:
    """Return the rule that a sample's value or exemplar breaks, if any."""
    value = found.value
    counted = kind in ("histogram", "gaugehistogram", "summary") and suffix in ("_bucket", "_count", "_gcount")
    exemplars = (kind in ("histogram", "gaugehistogram") and suffix == "_bucket") or (
        kind == "counter" and suffix == "_total"
    )
    rules = {
        "a stateset sample must be 0 or 1": kind == "stateset" and value not in (0, 1),
        "an info sample must be 1": kind == "info" and value != 1,
        "a quantile must not be negative": kind == "summary" and not suffix and value < 0,
        "a counter must not be NaN": suffix in (*_COUNTERS, "_gsum") and math.isnan(value),
        "a counter must not be negative": suffix in _COUNTERS and value < 0,
        "a count must be a whole number": counted and not value.is_integer(),
        "only buckets and counters may have exemplars": found.exemplar and not exemplars,
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def _timestamp(text: str) -> Decimal | None:
    if not text:
        return None
    if not math.isfinite(number(text)):
        raise LineError("a timestamp must be finite")
    return Decimal(text)


def _nanoseconds(time: Decimal) -> int:
    """Return seconds as whole nanoseconds, -1 for what lies outside 1970-2261."""
    return int(time * 10**9) if 0 <= time < 2**34 else -1
