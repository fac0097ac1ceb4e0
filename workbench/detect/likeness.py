"""Anomalies that were like this one: a few numbers per anomaly, kept with its event, and their distance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.robust import Block

__all__ = ["Like", "alike", "parse_signature", "signature"]

_FORM = 4
_LONGEST_TEXT = 2_000
_NUMBERS = 40
_OTHER_SERIES = 0.25
_FARTHEST = 0.75
_CANDIDATES = 2_000
_SAME_S = 1_800.0


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


def alike(event: Mapping[str, object], earlier: pd.DataFrame, most: int = 3) -> list[Like]:
    """Return the earlier anomalies of the same metric that looked most like one, the likest first.

    Parameters
    ----------
    event : mapping
        With `time`, `metric`, `series` and `signature` (JSON).
    earlier : DataFrame
        Events with the same columns; those that began less than half an hour before it do not count, of two of one
        series so close together one does, and of very many the latest 2,000.
    most : int, optional
    """
    mine = parse_signature(event["signature"])
    if mine is None or not len(earlier):
        return []
    close = np.timedelta64(int(_SAME_S), "s")
    when = pd.Timestamp(str(event["time"])).to_datetime64()
    usable = (earlier["metric"] == event["metric"]) & (earlier["time"].to_numpy() < when - close)
    rows = np.flatnonzero(usable.to_numpy(bool))[-_CANDIDATES:]
    parsed = [(int(row), parse_signature(earlier["signature"].iloc[row])) for row in rows]
    known = [(row, found) for row, found in parsed if found is not None]
    if not known:
        return []
    at = np.array([row for row, _ in known])
    away = _distances(mine, [found for _, found in known])
    away = away + np.where((earlier["series"].iloc[at] == event["series"]).to_numpy(bool), 0.0, _OTHER_SERIES)
    kept: list[Like] = []
    for place in np.lexsort((-at, np.round(away, 6))):
        row = int(at[place])
        if away[place] > _FARTHEST or len(kept) == most:
            break
        if not any(_same(earlier, row, like.row) for like in kept):
            kept.append(Like(row, float(away[place])))
    return kept


def _distances(mine: Mapping[str, float], others: Sequence[Mapping[str, float]]) -> npt.NDArray[np.float64]:
    """Return Euclidean distances; a number that one lacks is 0 there."""
    names = sorted(set(mine).union(*others))
    block = np.array([[other.get(name, 0.0) for name in names] for other in others], np.float64)
    return np.asarray(np.sqrt(((block - np.array([mine.get(n, 0.0) for n in names])) ** 2).sum(axis=1)))


def _same(events: pd.DataFrame, one: int, other: int) -> bool:
    """Return whether two events tell of one anomaly: stored and found again."""
    apart = abs(events["time"].iloc[one] - events["time"].iloc[other])
    return bool(events["series"].iloc[one] == events["series"].iloc[other] and apart <= pd.Timedelta(seconds=_SAME_S))
