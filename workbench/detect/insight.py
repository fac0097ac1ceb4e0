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

from workbench.detect.account import View, headline, reasons
from workbench.detect.events import levels, of_episodes, tags_of, units_of
from workbench.detect.likeness import alike, signature
from workbench.detect.neighbours import neighbours
from workbench.detect.robust import Block
from workbench.detect.scan import Scan
from workbench.detect.severity import severity
from workbench.detect.threshold import Alarm
from workbench.detect.words import lasted, named, plain, series_text
from workbench.signals import build_events

__all__ = ["insight"]

_EXPLAINED = 200
"""Anomalies whose neighbours and likes are looked for; of more, the highest."""
_SIDES = ("center", "low", "high")
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
    cases = _Cases(scan, found)
    events = of_episodes(
        scan.metrics, found, center=scan.band.center, detector=plain(scan.detector, 100), more=cases.columns(chosen)
    )
    kept = _within(events, window)
    earlier = _earlier(events, past)
    told = _loudest(events, kept)
    also = [_related(scan, cases, events, row, told, earlier, chosen) for row in kept]
    shown = events.iloc[kept].reset_index(drop=True)
    for name in ("correlated", "similar", "description"):
        shown[name] = pd.Series([each[name] for each in also], dtype="str")
    return build_events({str(c): shown[c].to_numpy() for c in shown.columns if c != "case"})


class _Cases:
    """The anomalies of a scan, m of them, in the order of `found`."""

    def __init__(self, scan: Scan, found: pd.DataFrame) -> None:
        self.scan = scan
        self.row, self.start, self.end, self.peak = (
            found[name].to_numpy(np.int64) for name in ("series", "start", "end", "peak")
        )
        self.score = found["score"].to_numpy(np.float64)
        self.open = found["open"].to_numpy(bool)
        self.values, self.tags, units = scan.values, tags_of(scan.metrics, self.row), units_of(scan.metrics)
        self.units = [units[row] for row in self.row]
        self.shares = self._shares()
        self.before, self.after = levels(self.values, self.row, self.start, self.end)
        center = scan.band.center[self.row, self.start]
        self.before = np.where(np.isfinite(center), center, self.before)
        self.outside = self._outside()
        self.far = np.array([self._farthest(i) for i in range(len(found))], np.int64)

    def _shares(self) -> Block:
        """Return the part of each feature in the score at its peak, shape (m, k)."""
        part = np.nan_to_num(self.scan.parts[:, self.row, self.peak].astype(np.float64).T) * self.scan.weights
        total = part.sum(axis=1, keepdims=True)
        share: Block = np.divide(part, total, out=np.zeros_like(part), where=total > 0)
        return share

    def _outside(self) -> npt.NDArray[np.int64]:
        """Return how many samples of each lie outside of the expected band."""
        band = self.scan.band
        with np.errstate(invalid="ignore"):
            out = (self.values < band.low) | (self.values > band.high)
        before = np.concatenate([np.zeros((len(out), 1), np.int64), np.cumsum(out, axis=1)], axis=1)
        return np.asarray(before[self.row, self.end] - before[self.row, self.start], np.int64)

    def _farthest(self, i: int) -> int:
        cells = slice(self.start[i], self.end[i])
        center, high = (side[self.row[i], cells] for side in (self.scan.band.center, self.scan.band.high))
        # Quarters, so that no difference overflows; a band without width counts as its own size.
        away = np.abs(self.values[self.row[i], cells] / 4 - center / 4)
        wide = np.abs(high / 4 - center / 4)
        far = np.divide(away, wide, out=away.copy(), where=np.isfinite(wide) & (wide > 0))
        return int(self.start[i] + np.nanargmax(far)) if np.isfinite(far).any() else int(self.peak[i])

    def view(self, i: int) -> View:
        """Return one anomaly within its series."""
        row, band = self.row[i], self.scan.band
        return View(
            named(self.tags[i]), self.units[i], self.scan.step, self.values[row], band.center[row], band.low[row],
            band.high[row], int(self.start[i]), int(self.end[i]), int(self.peak[i]), int(self.far[i]),
            float(self.before[i]), float(self.after[i]),
        )  # fmt: skip

    def columns(self, alarm: Alarm) -> dict[str, Any]:
        """Return the columns that need nothing but the series itself."""
        names, count = self.scan.features, len(self.row)
        views = [self.view(i) for i in range(count)]
        tops = [names[int(share.argmax())] if names else "" for share in self.shares]
        why = [reasons(view, names, share.tolist()) for view, share in zip(views, self.shares, strict=True)]
        at = (self.row, self.far)
        band = {name: getattr(self.scan.band, name)[at] for name in _SIDES}
        texts = {
            "title": [plain(headline(view, top)) for view, top in zip(views, tops, strict=True)],
            "reasons": [json.dumps([[plain(words), round(share, 3)] for words, share in each]) for each in why],
            "contributions": [json.dumps(self._told(i)) for i in range(count)],
            "signature": [json.dumps(self._signature(i)) for i in range(count)],
            "description": [""] * count, "correlated": ["[]"] * count, "similar": ["[]"] * count,
        }  # fmt: skip
        return {
            "severity": severity(self.score, self.outside, self.scan.step, alarm.at(self.scan.step)),
            "value": self.values[at], **band, "peak": self.scan.time[self.peak], "ongoing": self.open,
            "outside_s": self.outside * self.scan.step,
            "case": np.arange(count), **{name: pd.Series(each, dtype="str") for name, each in texts.items()},
        }  # fmt: skip

    def _told(self, i: int) -> dict[str, float]:
        shares = zip(self.scan.features, self.shares[i].tolist(), strict=True)
        return {name: round(share, 3) for name, share in sorted(shares, key=lambda each: -each[1]) if share > 0}

    def _signature(self, i: int) -> dict[str, float]:
        cells = slice(self.start[i], self.end[i])
        away = self.values[self.row[i], cells] / 4 - self.scan.band.center[self.row[i], cells] / 4
        side = np.sign(away[self.far[i] - self.start[i]])
        seconds = float(self.end[i] - self.start[i]) * self.scan.step
        return signature(self._told(i), away, float(self.score[i]), seconds, float(np.nan_to_num(side)))

    def rarity(self, i: int) -> str:
        """Return how many earlier samples of the series scored as high, in words."""
        past = self.scan.scores[self.row[i], : self.start[i]]
        count, higher = int(np.isfinite(past).sum()), int((past >= self.score[i]).sum())
        if not count:
            return ""
        span = lasted(count * self.scan.step)
        return f"{f'{higher:,}' if higher else 'None'} of the {count:,} samples scored before ({span}) scored as high."


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
    scan: Scan, cases: _Cases, events: pd.DataFrame, row: int, told: set[int], earlier: pd.DataFrame, alarm: Alarm
) -> dict[str, str]:
    """Return what needs other series and other anomalies, and the whole story."""
    case = int(events["case"].iloc[row])
    event: dict[str, Any] = {str(name): value for name, value in events.iloc[row].items()}
    correlated = _correlated(scan, cases, case, alarm) if row in told else []
    similar = _similar(event, earlier) if row in told else []
    text = _story(event, cases.rarity(case), scan.step, correlated, similar)
    return {
        "correlated": json.dumps(correlated), "similar": json.dumps(similar), "description": text,
    }  # fmt: skip


def _correlated(scan: Scan, cases: _Cases, case: int, alarm: Alarm) -> list[dict[str, Any]]:
    column, row = int(cases.start[case]), int(cases.row[case])
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


def _similar(event: Mapping[str, Any], earlier: pd.DataFrame) -> list[dict[str, Any]]:
    told = []
    for like in alike(event, earlier):
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
