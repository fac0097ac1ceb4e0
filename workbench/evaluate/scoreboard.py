"""One line per detector: NAB's three scores plain and left out, VUS-PR, events, delay, cost; beside the static rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidInput
from workbench.evaluate.detection import Events, count_events, mean_vus_pr
from workbench.evaluate.hold import Hold, keep_all, usual_hold
from workbench.evaluate.labelled import LabelledSet
from workbench.evaluate.leave_out import leave_out
from workbench.evaluate.nab import PROFILES, Profile, Scores, best, contributions, count_windows, score_at, steady
from workbench.evaluate.running import Ran
from workbench.evaluate.static_rule import static_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Line", "Scoreboard", "learn_thresholds", "profiles_of", "score_detectors"]

STATIC = "static rule"
"""Name of the line that says what mean and k standard deviations reach, with the best k by labels."""

Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """What one detector reaches.

    Attributes
    ----------
    detector : str
    thresholds : dict of str to float
        By profile: the best on these labels, or those given; inf never fires.
    nab : dict of str to float
        Score by profile at its threshold; 100 perfect, 0 silence.
    left_out : dict of str to float
        The same with threshold chosen on the other categories; empty where it cannot be or thresholds were given.
    vus_pr : float
        Of the scores as the detector gave them; all else is of what is left after the refractory.
    events : Events
        At the standard threshold.
    events_left_out : Events or None
        At the standard thresholds that the other categories choose.
    micros_per_point : float
        Processor time; NaN where it was not measured.
    gain : float
        Standard score over that of the static rule, minus 1; NaN where that is not above 0.
    """

    detector: str
    thresholds: dict[str, float]
    nab: dict[str, float]
    left_out: dict[str, float]
    vus_pr: float
    events: Events
    events_left_out: Events | None
    micros_per_point: float
    gain: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; None for what is not defined, and for a threshold that never fires."""
        return {
            "detector": self.detector,
            "thresholds": _plain(self.thresholds),
            "nab": _plain(self.nab),
            "nab_leave_one_category_out": _plain(self.left_out),
            "vus_pr": _finite(self.vus_pr),
            **self.events.to_json(),
            "events_leave_one_category_out": self.events_left_out.to_json() if self.events_left_out else None,
            "microseconds_per_point": _finite(self.micros_per_point),
            "gain_over_static": _finite(self.gain),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


@dataclass(frozen=True)
class Scoreboard:
    """One line per detector, and what a reader must know beside it."""

    lines: list[Line]
    static: Line | None
    files: int
    rows: int
    windows: int
    skipped: list[dict[str, str]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the scoreboard as plain JSON types."""
        return {
            "files": self.files,
            "rows": self.rows,
            "windows": self.windows,
            "skipped": self.skipped,
            "notes": self.notes,
            "detectors": [line.to_json() for line in self.lines],
            "static_rule": self.static.to_json() if self.static else None,
        }

    def __str__(self) -> str:
        """Return the table and the notes, for people."""
        shown = self._shown()
        rows = [_HEADER, *(_cells(line) for line in shown)] if shown else []
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))] if rows else []
        table = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        return "\n".join([*table, *([_LEGEND] if shown else []), *self.notes])

    def table(self) -> pd.DataFrame:
        """Return the lines as text, one row per detector and one for the static rule, as the command prints them."""
        import pandas as pd

        frame = pd.DataFrame([_cells(line) for line in self._shown()], columns=list(_HEADER))
        return frame.set_index("detector")

    def _shown(self) -> list[Line]:
        return [*self.lines, *([self.static] if self.static else [])]


_HEADER = (
    "detector",
    "standard",
    "low FP",
    "low FN",
    "VUS-PR",
    "event F1",
    "found",
    "row FPR %",
    "false/week",
    "delay",
    "us/point",
    "vs static",
)
_LEGEND = (
    "standard, low FP, low FN: NAB score (threshold chosen on the other categories in brackets); found: windows;"
    "\nfalse/week: false episodes per series-week; delay: median steps from window start, a miss counts as its length"
)


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _cells(line: Line) -> tuple[str, ...]:
    events = line.events

    def score(name: str) -> str:
        left = f" ({line.left_out[name]:.1f})" if name in line.left_out else ""
        return f"{_number(line.nab[name], '.1f')}{left}"

    return (
        line.detector,
        score("standard"),
        score("low_fp"),
        score("low_fn"),
        _number(line.vus_pr, ".3f"),
        _number(events.f1, ".3f"),
        f"{events.found} of {events.windows}",
        _number(100 * events.row_fpr, ".3f"),
        _number(events.false_per_week, ".2f"),
        _number(events.delay_steps, "g"),
        _number(line.micros_per_point, ".2f"),
        _number(100 * line.gain, "+.0f") + ("%" if math.isfinite(line.gain) else ""),
    )


def _number(value: float, how: str) -> str:
    return format(value, how) if math.isfinite(value) else "-"


def profiles_of(data: LabelledSet) -> dict[str, Profile]:
    """Return the profiles of a set: the published ones, or the weights that its folder states."""
    return {name: Profile(*data.weights[name]) if name in data.weights else usual for name, usual in PROFILES.items()}


def learn_thresholds(data: LabelledSet, scores: Scores) -> dict[str, float]:
    """Return the steadiest good threshold of each profile on a labelled set, to be used on others.

    Raises
    ------
    InvalidInput
        If the set has no labelled window.
    """
    if not any(len(one.windows) for one in data.series):
        raise InvalidInput("the data to learn a threshold from have no labelled window: give a labelled set.")
    windows = count_windows(data.series)
    return {
        name: steady(contributions(data.series, scores, profile), windows, profile).threshold
        for name, profile in profiles_of(data).items()
    }


def score_detectors(
    data: LabelledSet,
    ran: Iterable[Ran],
    thresholds: Mapping[str, Thresholds] | None = None,
    hold: Hold | None = None,
) -> Scoreboard:
    """Score what detectors said about a labelled set.

    Parameters
    ----------
    data : LabelledSet
    ran : iterable of Ran
    thresholds : mapping of str to mapping, optional
        By detector and profile; by default the best on these very labels, and left out category by category beside it.
    hold : callable, optional
        Refractory of the static rule: give that of the detectors; the usual one by default.

    Returns
    -------
    Scoreboard
        Without lines where the set has no labels.
    """
    lines: list[Line] = []
    static: Line | None = None
    if data.labelled:
        bare, held = (static_scores(data.series, how) for how in (keep_all, hold or usual_hold(bounded=False)))
        bar = Ran(STATIC, bare, held, float("nan"))
        static = _line(data, bar, None, float("nan"))
        base = static.nab["standard"]
        lines = [_line(data, one, thresholds[one.name] if thresholds else None, base) for one in ran]
    return Scoreboard(
        lines=lines,
        static=static,
        files=len(data.series),
        rows=sum(len(one.time) for one in data.series),
        windows=sum(len(one.windows) for one in data.series),
        skipped=[{"path": skip.path, "reason": skip.reason} for skip in data.skipped],
        notes=_notes(data),
    )


def _line(data: LabelledSet, ran: Ran, given: Thresholds | None, base: float) -> Line:
    series, profiles = data.series, profiles_of(data)
    if given is None:
        found = {name: best(series, ran.scores, profile) for name, profile in profiles.items()}
        levels, nab = ({n: f.threshold for n, f in found.items()}, {n: f.score for n, f in found.items()})
        held = {name: leave_out(series, {ran.name: ran.scores}, profile) for name, profile in profiles.items()}
    else:
        levels = dict(given)
        nab = {name: score_at(series, ran.scores, levels[name], profile) for name, profile in profiles.items()}
        held = {}
    standard = held.get("standard")
    return Line(
        detector=ran.name,
        thresholds=levels,
        nab=nab,
        left_out={name: one.score for name, one in held.items() if one is not None},
        vus_pr=mean_vus_pr(series, ran.raw),
        events=count_events(data, ran.scores, levels["standard"]),
        events_left_out=count_events(data, ran.scores, standard.thresholds) if standard else None,
        micros_per_point=ran.micros_per_point,
        gain=nab["standard"] / base - 1 if base > 0 else float("nan"),
    )


def _notes(data: LabelledSet) -> list[str]:
    late = sum(one.out_of_order for one in data.series)
    lost = sum(one.lost_windows for one in data.series)
    return [
        *(["no labels are there, so nothing can be scored: only predictions are written"] * (not data.labelled)),
        *([f"{late:,} rows were out of order and have been sorted"] * (late > 0)),
        *([f"{lost:,} labelled windows hold no row and are not counted"] * (lost > 0)),
        *(f"skipped: {skip.reason}" for skip in data.skipped),
    ]
