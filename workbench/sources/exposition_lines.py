"""One line of Prometheus text or OpenMetrics: name, labels, value, timestamp, exemplar.

References
----------
Prometheus, "Exposition formats" (text 0.0.4, with quoted UTF-8 names of version 1.0.0); OpenMetrics 1.0, ABNF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Line", "LineError", "RuleError", "number", "parse_line", "unescape"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE | re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ESCAPE = re.compile(r'\\([\\n"])')
_PLAIN = {"\\": "\\", "n": "\n", '"': '"'}
_EXEMPLAR_CHARS = 128
_MAX_NUMBER = 1000


class LineError(ValueError):
    """A line is not what its format allows; the message says why."""


class RuleError(LineError):
    """A line can be read but breaks a rule on what metrics may say."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one sample line says.

    Attributes
    ----------
    name : str
        Metric name.
    labels : dict of str to str
    value : float
    timestamp : str
        As written, or "".
    exemplar : bool
        Whether one was given.
    """

    name: str
    labels: dict[str, str]
    value: float
    timestamp: str
    exemplar: bool


def unescape(text: str) -> str:
    r"""Return text with `\\`, `\"` and `\n` undone; a backslash before anything else stands for itself."""
    return _ESCAPE.sub(lambda found: _PLAIN[found[1]], text) if "\\" in text else text


def number(text: str) -> float:
    """Return a number as both formats write it, or raise `LineError`; no hexadecimal, no underscores, no spaces."""
    if len(text) > _MAX_NUMBER or not _NUMBER.fullmatch(text):
        raise LineError(f"{text[:40]!r} is no number")
    return float(text)


def parse_line(line: str, strict: bool) -> Line:
    """Return what a sample line says.

    Parameters
    ----------
    line : str
        Without its newline.
    strict : bool
        OpenMetrics' rules: single spaces, no trailing comma, no blanks between labels; else those of Prometheus text.

    Raises
    ------
    LineError
        If the line breaks the rules; the message says which.
    """
    at, name = 0, ""
    if not line.startswith("{"):
        found = _METRIC.match(line)
        if not found:
            raise LineError("the metric name is not valid")
        name, at = found[0], found.end()
    if not strict:
        at = _blanks(line, at)
    labels: dict[str, str] = {}
    if line[at : at + 1] == "{":
        name, labels, at = _labels(line, at + 1, name, strict)
    if not name:
        raise LineError("the metric has no name")
    fields, at = _fields(line, at, strict)
    if not 1 <= len(fields) <= 2 or not fields[-1]:
        raise LineError("a value, and at most a timestamp, must follow the name and labels")
    exemplar = at < len(line)
    if exemplar:
        _exemplar(line, at, strict)
    return Line(name, labels, number(fields[0]), fields[1] if len(fields) == 2 else "", exemplar)


def _blanks(line: str, at: int) -> int:
    while line[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _fields(line: str, at: int, strict: bool) -> tuple[list[str], int]:
    """Return the words from a position up to an exemplar or the end, and where that is."""
    mark = line.find(" # ", at) if strict else line.find("#", at)
    end = len(line) if mark < 0 else mark
    text = line[at:end]
    if not strict:
        return text.split(), end
    if not text.startswith(" "):
        raise LineError("a space must stand before the value")
    return text[1:].split(" "), end


def _exemplar(line: str, at: int, strict: bool) -> None:
    """Check the exemplar that begins at the blank before `#`."""
    start = _blanks(line, line.index("#", at) + 1) if not strict else at + 3
    if line[start : start + 1] != "{":
        raise LineError("an exemplar must have its labels in braces")
    _, labels, end = _labels(line, start + 1, "x", strict)
    words = line[end:].split(" ")
    if words[0] or not 2 <= len(words) <= 3:
        raise LineError("an exemplar needs a value, and at most a timestamp, after its labels")
    for word in words[1:]:
        number(word)
    if len(words) == 3 and not number(words[2]) - number(words[2]) == 0:
        raise LineError("an exemplar's timestamp must be finite")
    if sum(len(name) + len(value) for name, value in labels.items()) > _EXEMPLAR_CHARS:
        raise LineError(f"an exemplar's labels have more than {_EXEMPLAR_CHARS} characters")


def _labels(line: str, at: int, name: str, strict: bool) -> tuple[str, dict[str, str], int]:
    """Return metric name, labels and the position after the closing brace; a quoted word alone is the metric's name."""
    labels: dict[str, str] = {}
    first = True
    while True:
        at = at if strict else _blanks(line, at)
        if line[at : at + 1] == "}" and (first or not strict):
            return name, labels, at + 1
        quoted = _QUOTED.match(line, at)
        found = quoted or _LABEL.match(line, at)
        if not found:
            raise LineError("a label name is not valid")
        key, at = unescape(quoted[1]) if quoted else found[0], found.end()
        at = at if strict else _blanks(line, at)
        if line[at : at + 1] == "=":
            value = _QUOTED.match(line, at + 1 if strict else _blanks(line, at + 1))
            if not value:
                raise LineError(f"label {key[:40]!r} has no value in double quotes")
            if key in labels:
                raise LineError(f"label {key[:40]!r} is given twice")
            labels[key], at = unescape(value[1]), value.end()
        elif quoted and first and not name:
            name = key
        else:
            raise LineError(f"label {key[:40]!r} has no value")
        first = False
        at = at if strict else _blanks(line, at)
        after = line[at : at + 1]
        if after == "}":
            return name, labels, at + 1
        if after != ",":
            raise LineError("labels must be separated by commas and closed by a brace")
        at += 1
        if strict and line[at : at + 1] == "}":
            raise LineError("a comma must not stand before the closing brace")
