"""One anomaly in plain words, with numbers and units: what it is, what was expected, what is strange about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.detect.robust import Block
from workbench.detect.words import lasted, quantity

__all__ = ["View", "headline", "reasons"]

_DAY = 86_400.0
_AROUND_S = 5_400.0
"""How far from the same time of day still counts as the same time."""
_DAYS = 7
_NOTABLE = 0.1
_SAMPLES = 120
_FEWEST = 12


@dataclass(frozen=True, eq=False)
class View:
    """One anomaly within its series.

    Attributes
    ----------
    name, unit : str
        What the series is called, and its unit (UCUM).
    step : float
        Seconds between samples.
    values, center, low, high : ndarray of float64, shape (t,)
        The series and what was expected of it.
    start, end : int
        Its columns, half-open.
    peak, far : int
        Where the score was highest, and where the series was farthest from what was expected.
    before, after : float
        Level before it and median within it.
    """

    name: str
    unit: str
    step: float
    values: Block
    center: Block
    low: Block
    high: Block
    start: int
    end: int
    peak: int
    far: int
    before: float
    after: float

    def says(self, value: float) -> str:
        """Return a value of the series with its unit."""
        return quantity(value, self.unit)


def headline(view: View, top: str) -> str:
    """Return one sentence on an anomaly whose score is mostly made of the feature `top`."""
    value, center = view.values[view.far], view.center[view.far]
    low, high = view.low[view.far], view.high[view.far]
    with np.errstate(over="ignore", invalid="ignore"):
        banded = bool(np.isfinite(low) and np.isfinite(high) and low < high)
        outside = banded and not low <= value <= high
        # A band that earlier incidents made wide says less than how the last samples kept to what was expected.
        away = outside or abs(value - _either(center, view.before)) > _spread(view)
        began, stayed = _began(view), view.after - view.before
        moved = min(abs(began), abs(stayed)) > _spread(view) and np.sign(began) == np.sign(stayed)
    if moved and away:
        told = (
            f"{'rose' if view.after > view.before else 'fell'} from {view.says(view.before)} to {view.says(view.after)}"
        )
    elif away and np.isfinite(value):
        told = f"{'reached' if value > view.before else 'dropped to'} {view.says(value)}"
    elif top == "variance":
        told = f"varies more than before, around {view.says(view.after)}"
    elif top == "shape":
        told = f"has a shape not seen before, around {view.says(view.after)}"
    else:
        told = f"is unusual at {view.says(value)}"
    if outside:
        least, most = view.says(low), view.says(high)
        told += f", where {least if least == most else f'{least} to {most}'} was expected"
    elif away and np.isfinite(center):
        told += f", where about {view.says(center)} was expected"
    return f"{view.name} {told}"


def _either(one: float, other: float) -> float:
    return one if np.isfinite(one) else other


def _began(view: View) -> float:
    """Return the median distance from what was expected right after the peak: later samples may have become usual."""
    cells = slice(view.peak, min(view.end, view.peak + _FEWEST))
    return _either(_median(view.values[cells] - view.center[cells]), view.after - view.before)


def _spread(view: View) -> float:
    """Return thrice the median distance of samples before the anomaly from what was expected, or from their median."""
    past = slice(max(0, view.start - _SAMPLES), view.start)
    away = view.values[past] / 4 - view.center[past] / 4
    away = away[np.isfinite(away)]
    if len(away) < _FEWEST:
        away = view.values[past] / 4
        away = away[np.isfinite(away)]
        away = away - np.median(away) if len(away) else away
    return 12.0 * 1.4826 * float(np.median(np.abs(away))) if len(away) else 0.0


def reasons(view: View, features: Sequence[str], shares: Sequence[float], most: int = 3) -> list[tuple[str, float]]:
    """Return what is strange about an anomaly as (words, share of the score), largest first."""
    order = sorted(range(len(features)), key=lambda i: -shares[i])[:most]
    told = [i for i in order if shares[i] >= _NOTABLE]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return [(_phrase(features[i], view), float(shares[i])) for i in told]


def _phrase(feature: str, view: View) -> str:
    if feature in _PHRASES:
        return _PHRASES[feature](view)
    return _PLAIN.get(feature, f"its {feature} is unusual")


def _season(view: View) -> str:
    away, center = view.values[view.far] - view.center[view.far], view.center[view.far]
    if not np.isfinite(away):
        return "far from what is usual at this time"
    side = "above" if away > 0 else "below"
    return f"{view.says(abs(away))} {side} what is usual at this time ({view.says(center)})"


def _burst(view: View) -> str:
    """Name the largest step from the level before to one of the samples around the peak."""
    before = _median(view.values[max(0, view.start - 12) : view.start])
    near = view.values[max(0, view.peak - 3) : view.peak + 3]
    jumps = near[np.isfinite(near)] - before
    if not len(jumps) or not np.isfinite(jumps).all():
        return "jumped within three samples"
    jump = float(jumps[np.abs(jumps).argmax()])
    return f"jumped by {view.says(jump)} within three samples"


def _range(view: View) -> str:
    days, seen = _same_time(view)
    value = view.values[view.far]
    when = f"the last {days} days" if days > 1 else "the day before" if days else "what was seen before"
    if not days or not (value < seen.min() or value > seen.max()):
        return f"outside everything of {when} at this time"
    return f"outside everything of {when} at this time ({view.says(seen.min())} to {view.says(seen.max())})"


def _same_time(view: View) -> tuple[int, Block]:
    """Return on how many of the last days there are samples around the same time, and those."""
    day, reach = round(_DAY / view.step), max(1, round(_AROUND_S / view.step))
    if day < 2:
        return 0, np.empty(0)
    parts = []
    for back in range(1, _DAYS + 1):
        middle = view.far - back * day
        part = view.values[max(0, middle - reach) : max(0, min(middle + reach + 1, view.start))]
        parts.append(part[np.isfinite(part)])
    return sum(len(part) > 0 for part in parts), np.concatenate(parts)


def _shift(view: View) -> str:
    now = _median(view.values[max(0, view.peak - 5) : view.peak + 1])
    moved = now - _median(view.values[max(0, view.peak - 53) : max(0, view.peak - 5)])
    if not np.isfinite(moved):
        return "its level moved"
    return f"its level moved {'up' if moved > 0 else 'down'} by {view.says(abs(moved))}"


def _variance(view: View) -> str:
    jumps = np.abs(np.diff(view.values[max(0, view.peak - 60) : view.peak + 1]))
    now, then = _median(jumps[-12:]), _median(jumps[:-12])
    if not now > then:
        return "its samples vary more than they did"
    return f"it varies more: neighbouring samples differ by {view.says(now)} instead of {view.says(then)}"


def _shape(view: View) -> str:
    return (
        f"a shape not seen in the {lasted(view.start * view.step)} before" if view.start else "a shape not seen before"
    )


def _median(values: Block) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known / 4)) * 4 if len(known) else float("nan")


_PHRASES: Mapping[str, Callable[[View], str]] = {
    "season": _season,
    "burst": _burst,
    "range": _range,
    "shift": _shift,
    "variance": _variance,
    "shape": _shape,
}

_PLAIN: Mapping[str, str] = {
    "level": "away from its level of late",
    "form": "a form not seen before, whatever its level",
    "rest": "more than the usual patterns of its samples explain",
    "saliency": "stands out from the rhythm of its past",
    "apart": "parted from the other metrics of its entity",
    "isolation": "its last samples stand apart from those before",
    "foretold": "not what was foretold from the samples before",
    "remembered": "not like anything that was learned from its past",
}
