"""From a scan to anomaly events that explain themselves.

An event says how bad it is, what happened in numbers and units, what was expected, which features wondered most, which
other series moved with it, and which earlier anomalies were like it. Columns beside those of every event are listed at
`insight`; what has several parts stands there as JSON text, which every store and file keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.cases import Cases
from workbench.detect.events import of_episodes, tags_of
from workbench.detect.likeness import Past, alike
from workbench.detect.neighbours import neighbours
from workbench.detect.robust import Block
from workbench.detect.scan import Scan
from workbench.detect.threshold import Alarm
from workbench.detect.words import lasted, plain, series_text
from workbench.signals import build_events

__all__ = ["insight"]

_EXPLAINED = 200
"""Anomalies whose neighbours and likes are looked for; of more, the highest."""
_NEEDED = ("metric", "series", "signature")


def insight(
    scan: Scan,
    alarm: Alarm | None = None,
    *,
    factor: Block | None = None,
    window: tuple[np.datetime64, np.datetime64] | None = None,
    past: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the anomalies of a scan as events.

    Parameters
    ----------
    scan : Scan
        From `workbench.detect.scan`.
    alarm : Alarm, optional
        When a score is an alarm; `Alarm()` by default.
    factor : ndarray of float64, shape (n, t), optional
        What thresholds are multiplied with, as `expectations` gives it.
    window : (datetime64[ns], datetime64[ns]), optional
        Only anomalies that begin in, or last into, these half-open instants; the rest of the scan is history.
    past : DataFrame, optional
        Earlier events of kind "anomaly", such as those a store kept, to look for similar ones in.

    Returns
    -------
    DataFrame
        Events of kind "anomaly", sorted by time, with `score`, `detector`, `series`, `metric`, `before`, `after` as
        `to_events` gives them, and `description` (str), `value` (the sample farthest from what was expected), `center`,
        `low`, `high` (float64, expected of that sample), `outside_s` (float64, seconds outside of the expected band),
        `peak` (datetime64[ns], of the highest score), `ongoing` (bool), and as JSON text `reasons` (list of [words,
        share]), `contributions` (mapping of feature to share), `correlated` (list of {series, correlation, lag_s}),
        `similar` (list of {time, series, title, distance}) and `signature` (mapping of name to number).
    """
    chosen = Alarm() if alarm is None else alarm
    found = chosen.episodes(scan.scores, step=scan.step, factor=factor)
    cases = Cases(scan, found)
    events = of_episodes(
        scan.metrics, found, center=scan.band.center, detector=plain(scan.detector, 100), more=cases.columns(chosen)
    )
    kept = _within(events, window)
    told, earlier = _loudest(events, kept), _earlier(events, past)
    known = Past(earlier)
    also = [_related(cases, events, row, (known, earlier) if row in told else None, chosen) for row in kept]
    shown = events.iloc[kept].reset_index(drop=True)
    for name in ("correlated", "similar", "description"):
        shown[name] = pd.Series([each[name] for each in also], dtype="str")
    return build_events({str(c): shown[c].to_numpy() for c in shown.columns if c != "case"})


def _within(events: pd.DataFrame, window: tuple[np.datetime64, np.datetime64] | None) -> npt.NDArray[np.int64]:
    """Return the rows of events that begin in a window or last into it."""
    if window is None:
        return np.arange(len(events))
    begin, end = events["time"].to_numpy(), events["end"].to_numpy()
    return np.flatnonzero((begin < window[1]) & ((begin >= window[0]) | (end > window[0])))


def _earlier(events: pd.DataFrame, past: pd.DataFrame | None) -> pd.DataFrame:
    """Return what may be alike: the anomalies found and those given, sorted by time."""
    parts = [events]
    if past is not None and len(past) and set(_NEEDED) <= set(past.columns):
        parts.append(past[past["kind"] == "anomaly"])
    columns = ["time", "title", *_NEEDED]
    whole = pd.concat([part[columns] for part in parts if len(part)] or [events[columns]], ignore_index=True)
    return whole.sort_values("time", kind="stable", ignore_index=True)


def _loudest(events: pd.DataFrame, kept: npt.NDArray[np.int64]) -> set[int]:
    scores = events["score"].to_numpy(np.float64)[kept]
    return set(kept[np.argsort(-scores, kind="stable")[:_EXPLAINED]].tolist())


def _related(
    cases: Cases, events: pd.DataFrame, row: int, past: tuple[Past, pd.DataFrame] | None, alarm: Alarm
) -> dict[str, str]:
    """Return what needs other series and other anomalies, and the whole story; without a past, only the story."""
    case = int(events["case"].iloc[row])
    event: dict[str, Any] = {str(name): value for name, value in events.iloc[row].items()}
    correlated = _correlated(cases, case, alarm) if past is not None else []
    similar = _similar(event, *past) if past is not None else []
    text = _story(event, cases.rarity(case), cases.scan.step, correlated, similar)
    return {"correlated": json.dumps(correlated), "similar": json.dumps(similar), "description": text}


def _correlated(cases: Cases, case: int, alarm: Alarm) -> list[dict[str, Any]]:
    scan, column, row = cases.scan, int(cases.start[case]), int(cases.row[case])
    near = scan.scores[:, max(0, column - 6) : column + 25]
    moved = np.nanmax(near, axis=1, initial=0.0) >= alarm.close * alarm.at(scan.step)
    first, last = max(0, column - 30), column + 31
    with np.errstate(over="ignore", invalid="ignore"):
        away = cases.values[:, first:last] - scan.band.center[:, first:last]
    found = neighbours(away, row, column - first, moved)
    tags = tags_of(scan.metrics, np.array([each.row for each in found], np.int64))
    return [
        {
            "series": plain(series_text(tag), 500),
            "correlation": round(each.correlation, 3),
            "lag_s": each.lag * scan.step,
        }
        for tag, each in zip(tags, found, strict=True)
    ]


def _similar(event: Mapping[str, Any], past: Past, earlier: pd.DataFrame) -> list[dict[str, Any]]:
    told = []
    for like in alike(event, past):
        other = earlier.iloc[like.row]
        when = str(np.datetime64(other["time"], "s"))
        told.append(
            {
                "time": when,
                "series": plain(other["series"], 500),
                "title": plain(other["title"]),
                "distance": round(like.distance, 3),
            }
        )
    return told


def _story(
    event: Mapping[str, Any],
    rarity: str,
    step: float,
    correlated: list[dict[str, Any]],
    similar: list[dict[str, Any]],
) -> str:
    """Return the whole story of one anomaly, a few sentences of plain text."""
    seconds = max((event["end"] - event["time"]).total_seconds(), step)
    since = event["time"].strftime("%Y-%m-%d %H:%M:%S")
    length = f"{'so far ' if event['ongoing'] else ''}for {lasted(seconds)}"
    outside = f", {lasted(event['outside_s'])} of it outside of the expected band" if event["outside_s"] else ""
    where = " ".join(name for name in (event["service"], f"({event['env']})" if event["env"] else "") if name)
    parts = [f"{event['title']}.", f"Service {where}." if where else "", f"Since {since} UTC, {length}{outside}."]
    why = [f"{words} ({share:.0%} of the score)" for words, share in json.loads(event["reasons"])]
    if why:
        parts.append(f"What is strange: {'; '.join(why)}.")
    parts.append(rarity)
    if correlated:
        first = correlated[0]
        rest = f" and {len(correlated) - 1} more" if len(correlated) > 1 else ""
        parts.append(f"Moved with it: {first['series']} (correlation {first['correlation']:.2f}{_lag(first)}){rest}.")
    if similar:
        first = similar[0]
        parts.append(f"Like that of {first['time'].replace('T', ' ')}: {first['title']}.")
    return plain(" ".join(part for part in parts if part), 2_000)


def _lag(neighbour: Mapping[str, Any]) -> str:
    seconds = neighbour["lag_s"]
    return f", {lasted(abs(seconds))} {'later' if seconds > 0 else 'earlier'}" if seconds else ""
