"""Prometheus text: what a scrape of `/metrics` gives.

Labels are stored verbatim (`job` stays `job`); `le` and `quantile` are written the way Prometheus 3 does on scrape
(`1` as `1.0`). Samples without a timestamp get the file's modification time or the time asked for. Timestamps are in
milliseconds. A line that breaks the format is left out and counted. A document that ends with `# EOF` is OpenMetrics:
its grammar is enforced, broken rules on what metrics may say are counted, as in Prometheus.

References
----------
Prometheus, "Exposition formats", text format 0.0.4 and 1.0.0; "Prometheus 3.0 migration guide" on `le` and `quantile`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

from workbench.errors import SourceError
from workbench.signals import Batch
from workbench.sources.exposition_lines import LineError, parse_line, unescape
from workbench.sources.openmetrics import read_openmetrics
from workbench.sources.scrape import Scrape
from workbench.sources.source import ReadOptions
from workbench.sources.unpack import text_document

__all__ = ["Exposition", "split_metadata"]

_SAMPLE = re.compile(
    r'(?:[a-zA-Z_:][a-zA-Z0-9_:]*[ \t]*(?:\{.*\})?|\{".*\})'
    r"[ \t]*[+-]?(?:[0-9.]|inf|nan)[0-9a-z.+-]*(?:[ \t]+-?\d+)?[ \t]*(?:#.*)?",
    re.IGNORECASE,
)
_META = re.compile(r'#[ \t]+(HELP|TYPE)[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\]|\\.)*")(?:[ \t]+(.*))?')


def split_metadata(line: str) -> tuple[str, str, str] | None:
    """Return keyword, metric name and the rest of a `# HELP` or `# TYPE` line, None for other comments."""
    found = _META.fullmatch(line)
    if not found:
        return None
    name = unescape(found[2][1:-1]) if found[2].startswith('"') else found[2]
    return found[1], name, found[3] or ""


_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


def _family(name: str, types: dict[str, str]) -> str:
    """Return the family a sample belongs to, by the types declared so far."""
    if name in types:
        return name
    for suffix in ("_bucket", "_count", "_sum"):
        stem = name.removesuffix(suffix)
        if stem != name and suffix in _SUFFIXES.get(types.get(stem, ""), ()):
            return stem
    return name


class Exposition:
    """Prometheus text exposition."""

    name: ClassVar[str] = "prometheus"

    def detect(self, head: bytes, path: str) -> bool:
        """Return whether the first lines are metadata, comments or samples, one of the first two kinds at least."""
        lines = [line.strip() for line in head.decode("utf-8", "replace").lstrip("\ufeff").split("\n")[:50]]
        shown = [line for line in (lines[:-1] if len(head) >= 65_536 else lines) if line]
        data = [line for line in shown if not line.startswith("#")]
        meta = [line for line in shown if split_metadata(line)]
        good = [line for line in data if _SAMPLE.fullmatch(line)]
        return bool(meta or good) and len(good) * 2 >= len(data)

    def read(self, stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Batch]:
        """Yield one batch with all samples.

        Raises
        ------
        SourceError
            If no line can be read, or the document is OpenMetrics and breaks its rules.
        """
        skips: Counter[str] = Counter()
        text = text_document(stream, path, options.max_body_bytes, skips)
        scrape = Scrape(options)
        scrape.skips.update(skips)
        if text.rstrip().endswith("\n# EOF") or text.strip() == "# EOF":
            read_openmetrics(text, path, scrape, strict=False)
        else:
            _read_text(text, path, scrape)
        yield scrape.batch()


def _read_text(text: str, path: str, scrape: Scrape) -> None:
    types: dict[str, str] = {}
    good, complaint = 0, ""
    for count, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line:
            continue
        if line.startswith("#"):
            meta = split_metadata(line)
            if meta and meta[0] == "TYPE":
                types[meta[1]] = meta[2].strip()
            good += meta is not None
            continue
        try:
            found = parse_line(line, strict=False)
            time = _milliseconds(found.timestamp)
        except LineError as error:
            scrape.skips["line that is no Prometheus text"] += 1
            complaint = complaint or f"line {count}: {error}"
            continue
        good += 1
        family = _family(found.name, types)
        scrape.add(found.name, found.labels, found.value, time, family, types.get(family, "unknown"), "")
        scrape.skips["exemplar not kept"] += found.exemplar
    if complaint and not good:
        raise SourceError(f"{path} is no Prometheus text ({complaint}): name its format, or repair it.")
    scrape.skips += Counter()


def _milliseconds(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise LineError(f"timestamp {text[:40]!r} is no whole number of milliseconds")
    return int(text) * 10**6
