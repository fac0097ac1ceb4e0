"""Anomalies that were like this one: a few numbers per anomaly, kept with its event, and their distance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.robust import Block

__all__ = ["Like", "Past", "alike", "parse_signature", "signature"]

_FORM = 4
_LONGEST_TEXT = 2_000
_NUMBERS = 40
_OTHER_SERIES = 0.25
_FARTHEST = 0.75
_CANDIDATES = 2_000
_CLOSE = np.timedelta64(1_800, "s")


class Like(NamedTuple):
    """An earlier anomaly of the same metric: its row among the candidates, and the distance (0 = the same)."""

    row: int
    distance: float


def signature(
    shares: Mapping[str, float], residual: Block, score: float, seconds: float, direction: float
) -> dict[str, float]:
    """Return what an anomaly looks like, in numbers of about 0 to 1.

    Parameters
    ----------
    shares : mapping of str to float
        Part of the strangeness that each feature has.
    residual : ndarray of float64, shape (c,)
        Value less expected from its beginning to its end; NaN is none.
    score, seconds : float
        Highest score and length.
    direction : float
        -1 for below what was expected, 1 for above.
    """
    made = {f"share of {name}": round(float(share), 3) for name, share in shares.items()}
    made["score"] = round(float(score), 3)
    made["length"] = round(math.log10(max(seconds, 1.0)) / 4, 3)
    made["direction"] = direction / 2
    size = np.nanmax(np.abs(residual), initial=0.0)
    for at, part in enumerate(np.array_split(residual, _FORM)):
        known = part[np.isfinite(part)]
        level = float(np.median(known)) / size if len(known) and size > 0 else 0.0
        made[f"form {at}"] = round(level / 2, 3)
    return made


def parse_signature(text: object) -> dict[str, float] | None:
    """Return a signature read from an event, None where it is none: events come from anywhere."""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not 0 < len(found) <= _NUMBERS:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= 10 for v in found.values()):
        return None
    return {str(name): float(value) for name, value in found.items()}


class Past:
    """Earlier anomalies, made ready once for many questions.

    Parameters
    ----------
    events : DataFrame
        With `time`, `metric`, `series` and `signature` (JSON), sorted by time; rows without a signature never count.
    """

    def __init__(self, events: pd.DataFrame) -> None:
        parsed = [parse_signature(text) for text in events["signature"]]
        self.row = np.array([row for row, found in enumerate(parsed) if found is not None], np.int64)
        known = [found for found in parsed if found is not None]
        self.names = sorted(set().union(*known)) if known else []
        self.block = np.array([[each.get(name, 0.0) for name in self.names] for each in known], np.float64)
        self.block = self.block.reshape(len(known), len(self.names))
        self.time = events["time"].to_numpy("datetime64[ns]")[self.row]
        self.metric = events["metric"].to_numpy(object)[self.row]
        self.series = events["series"].to_numpy(object)[self.row]

    def distances(self, mine: Mapping[str, float], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return Euclidean distances from a signature; a number that one side lacks is 0 there."""
        own = np.array([mine.get(name, 0.0) for name in self.names])
        alone = sum(value**2 for name, value in mine.items() if name not in set(self.names))
        return np.asarray(np.sqrt(((self.block[rows] - own) ** 2).sum(axis=1) + alone), np.float64)


def alike(event: Mapping[str, object], past: Past, most: int = 3) -> list[Like]:
    """Return the earlier anomalies of the same metric that looked most like one, the likest first.

    Parameters
    ----------
    event : mapping
        With `time`, `metric`, `series` and `signature` (JSON).
    past : Past
        Those that began less than half an hour before the event do not count; of two of one series so close together
        one does; of very many the latest 2,000.
    most : int, optional
    """
    mine = parse_signature(event["signature"])
    if mine is None or not len(past.row):
        return []
    when = pd.Timestamp(str(event["time"])).to_datetime64()
    usable = np.asarray(past.metric == event["metric"], bool) & (past.time < when - _CLOSE)
    rows = np.flatnonzero(usable)[-_CANDIDATES:]
    away = past.distances(mine, rows) + np.where(past.series[rows] == event["series"], 0.0, _OTHER_SERIES)
    kept: list[Like] = []
    taken: list[int] = []
    for place in np.lexsort((-rows, np.round(away, 6))):
        row = int(rows[place])
        if away[place] > _FARTHEST or len(kept) == most:
            break
        same = [past.series[row] == past.series[t] and abs(past.time[row] - past.time[t]) <= _CLOSE for t in taken]
        if not any(same):
            kept.append(Like(int(past.row[row]), float(away[place])))
            taken.append(row)
    return kept
