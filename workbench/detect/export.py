"""From a detector to Prometheus: recording and alerting rules, where PromQL can say what the detector does.

What can be said are bands: what is expected now, how far the series usually strays from it, and an alert beyond so many
of these distances. A detector says its band in a method `promql(value, step)`; the level shift and the seasonal
residual have theirs here. Calibrated tails, matrix profiles and combinations of members cannot be said in PromQL; those
run as a scheduled runbook.

The YAML is written by hand and every text in it is quoted, so that no expression, label or title can break out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.detect.level import LevelShift
from workbench.errors import InvalidInput

__all__ = ["PromqlBand", "export_rules", "level_band", "seasonal_band"]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_USUAL = 2.5631
"""The middle 80 % of normal noise are so many standard deviations wide."""

_DAY = 86_400.0
_CYCLES = (1, 2, 3, 4, 5, 7)


@dataclass(frozen=True)
class PromqlBand:
    """What a detector expects, as PromQL over the recorded series `NAME:value`, `NAME:expected` and `NAME:residual`.

    Attributes
    ----------
    expected : str
        Of `NAME:value`; recorded as `NAME:expected`.
    present : str
        What is compared with it.
    spread : str
        The usual distance between them, above 0. It may use `NAME:expected`, and `NAME:residual`, which is recorded as
        value - expected.
    direction : str
        "both", "up" or "down".
    """

    expected: str
    present: str
    spread: str
    direction: str = "both"


def level_band(detector: LevelShift, name: str, step: float) -> PromqlBand:
    """Return the band of a level shift: the median of the last steps beside the median of the window before.

    The window ends `hold` steps ago: for so long the new level cannot become its own normal.
    """
    value = f"{name}:value"
    # Half a step less: closed and half-open windows then hold the same samples.
    recent = _duration((detector.recent - 0.5) * step)
    window = f"{value}[{_duration((detector.window - 0.5) * step)}] offset {_duration((detector.recent + detector.hold) * step)}"
    spread = _wider(f"(quantile_over_time(0.9, {window}) - quantile_over_time(0.1, {window})) / {_USUAL}",
                    f"{detector.floor_share:.12g} * abs({name}:expected)")  # fmt: skip
    return PromqlBand(
        expected=f"quantile_over_time(0.5, {window}) and count_over_time({window}) >= {detector.warmup}",
        present=f"quantile_over_time(0.5, {value}[{recent}])",
        spread=f"clamp_min({spread}, {max(detector.floor, 1e-12):.12g})",
        direction=detector.direction,
    )


def seasonal_band(name: str, step: float, floor_share: float = 0.01) -> PromqlBand:
    """Return the band of a daily season: the median of the same time, one step more and less, 1 to 5 and 7 days ago."""
    value = f"{name}:value"
    back = [day * _DAY + slot * step for day in _CYCLES for slot in (-1, 0, 1)]
    # A label of its own keeps the copies apart, so that `or` unites them.
    copies = [
        f'label_replace({value} offset {_duration(seconds)}, "workbench_cycle", "{number}", "__name__", ".*")'
        for number, seconds in enumerate(back)
    ]
    past = f"{name}:residual[1d] offset {_duration(5 * step)}"
    spread = _wider(
        f"(quantile_over_time(0.9, {past}) - quantile_over_time(0.1, {past})) / {_USUAL}",
        f"{floor_share:.12g} * abs({name}:expected)",
    )
    return PromqlBand(
        expected=f"quantile without (workbench_cycle) (0.5, {' or '.join(copies)})",
        present=value,
        spread=f"clamp_min({spread}, 1e-12)",
    )


def _wider(one: str, other: str) -> str:
    """Return PromQL of the larger of two vectors with the same labels."""
    return f"((({one}) >= ({other})) or ({other}))"


def export_rules(
    detector: Any,
    expr: str,
    *,
    name: str,
    distance: float = 5.0,
    step: float = 60.0,
    hold: float = 0.0,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> str:
    """Return a Prometheus rule file (YAML) that does what a detector does.

    Parameters
    ----------
    detector : object
        A `LevelShift`, the seasonal residual, or any detector with a method `promql(name, step)` that gives a
        `PromqlBand`.
    expr : str
        PromQL of the series to watch; results must differ in labels other than the metric's name.
    name : str
        Names the group, the alert and, with `:value`, `:expected`, `:residual`, `:spread`, the recorded series.
    distance : float, optional
        Alert beyond so many usual distances. A detector's calibrated threshold has no counterpart in PromQL.
    step : float, optional
        Seconds between evaluations.
    hold : float, optional
        Seconds for which the distance must last before the alert fires.
    labels, annotations : mapping of str to str, optional
        For the alert; taken literally, templates are not expanded.

    Returns
    -------
    str
        Check it with `promtool check rules FILE`.

    Raises
    ------
    InvalidInput
        If the detector cannot be said in PromQL, or a name, number or label is not allowed.
    """
    if not (_NAME.match(name) and expr.strip() and distance > 0 and step >= 1 and hold >= 0):
        raise InvalidInput(
            f"export was given name={name!r}, expr={expr[:40]!r}, distance={distance}, step={step}, hold={hold}: give a"
            " name of letters, digits and _, an expression, distance > 0, step >= 1 second and hold >= 0."
        )
    band = _band(detector, name, step)
    recorded = {
        "value": expr,
        "expected": band.expected,
        "residual": f"{name}:value - {name}:expected",
        "spread": band.spread,
    }
    away = f"(({band.present}) - {name}:expected) / {name}:spread"
    away = {"both": f"abs({away})", "up": away, "down": f"-({away})"}[band.direction]
    lines = ["groups:", f"  - name: {_quoted(name)}", f"    interval: {_duration(step)}", "    rules:"]
    for suffix, text in recorded.items():
        lines += [f"      - record: {_quoted(f'{name}:{suffix}')}", f"        expr: {_quoted(text)}"]
    lines += [f"      - alert: {_quoted(name)}", f"        expr: {_quoted(f'{away} > {distance:.12g}')}"]
    if hold:
        lines.append(f"        for: {_duration(hold)}")
    lines += _mapping("labels", {"detector": _detector_name(detector), **(labels or {})})
    lines += ["        annotations:", f"          summary: {_quoted(_literal(name) + _SUMMARY)}"]
    lines += _mapping("annotations", annotations or {})[1:]
    return "\n".join(lines) + "\n"


_SUMMARY = " is {{ $value | humanize }} times its usual distance from what is expected"


def _detector_name(detector: Any) -> str:
    return str(getattr(detector, "name", type(detector).__name__))


def _band(detector: Any, name: str, step: float) -> PromqlBand:
    if hasattr(detector, "promql"):
        band = detector.promql(name, step)
        if not isinstance(band, PromqlBand) or band.direction not in ("both", "up", "down"):
            raise InvalidInput(f"the method promql of {_detector_name(detector)!r} must return a PromqlBand.")
        return band
    if isinstance(detector, LevelShift):
        return level_band(detector, name, step)
    if _detector_name(detector) in ("seasonal", "season"):
        return seasonal_band(name, step)
    raise InvalidInput(
        f"detector {_detector_name(detector)!r} cannot be said in PromQL, which has quantiles over windows and offsets:"
        " give it a method promql(name, step), or schedule the runbook watch_a_metric, which runs any detector."
    )


def _mapping(key: str, items: Mapping[str, str]) -> list[str]:
    bad = [name for name in items if not _NAME.match(name) or name.startswith("__")]
    if bad or (key == "annotations" and "summary" in items):
        raise InvalidInput(f"{key} {bad or ['summary']} are not allowed: use names of letters, digits and _, others.")
    rows = [f"          {name}: {_quoted(_literal(str(text)))}" for name, text in items.items()]
    return [f"        {key}:", *rows]


def _literal(text: str) -> str:
    """Return text that Prometheus' templates give back as it is."""
    return text.replace("{{", '{{"{{"}}')


def _quoted(text: str) -> str:
    """Return a text as a double-quoted scalar of YAML."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise InvalidInput(f"a text holds half of a character (U+{code:04X}), which YAML cannot hold: mend the text.")
    if character.isprintable():
        return character
    return f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"


def _duration(seconds: float) -> str:
    """Return a duration as Prometheus writes it, to the millisecond."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
