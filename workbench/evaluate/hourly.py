"""Hourly series with a known continuation: read from CSV, put on a grid, cut at weekly origins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput, NotFound, SourceError

__all__ = ["HOUR_S", "WEEK", "Case", "cases", "fill", "hourly_cases", "read_hourly"]

HOUR_S = 3600.0
WEEK = 168
"""Steps of one week: the horizon, and the distance of the origins."""

_ORIGINS = 3
_WEEKS_OF_HISTORY = 7
_LONGEST_HOURS = 24 * 366 * 30
_FOLDER = "realAdExchange"

Line = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One series cut at one origin.

    Attributes
    ----------
    name : str
        Path of the series below the data folder.
    origin : datetime64[s]
        First hour to forecast.
    history : ndarray of float64, shape (t,), t at most 1,176
        NaN where there is no sample.
    future : ndarray of float64, shape (168,)
        What came; NaN where there is no sample.
    bridged_history, bridged : ndarray of float64
        The same two with the gaps of the whole series bridged by straight lines, as figures published for such series
        are computed: where an origin lies in a gap, the line knows what came after it.
    """

    name: str
    origin: np.datetime64
    history: Line
    future: Line
    bridged_history: Line
    bridged: Line


def read_hourly(path: Path) -> tuple[npt.NDArray[np.datetime64], Line]:
    """Return (hours, means) of one CSV file with columns `timestamp` and `value`; hours without a sample are NaN.

    Raises
    ------
    SourceError
        If the file has no such columns, or times or values that cannot be read.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path)
        stamps = pd.to_datetime(frame["timestamp"], utc=True).dt.tz_localize(None).to_numpy("datetime64[h]")
        values = frame["value"].to_numpy(np.float64)
    except KeyError as error:
        raise SourceError(f"{path} has no column {error}: a series needs the columns timestamp and value.") from error
    except (ValueError, OSError, TypeError) as error:
        raise SourceError(f"{path} cannot be read as a series ({error}): give timestamp,value rows.") from error
    if not len(stamps) or np.isnat(stamps).any():
        raise SourceError(f"{path} holds no rows, or rows without a time: give timestamp,value rows.")
    row = (stamps - stamps.min()).astype(np.int64)
    if row.max() > _LONGEST_HOURS:
        raise SourceError(f"{path} spans {row.max():,} hours, more than {_LONGEST_HOURS:,}: check its times.")
    good = np.isfinite(values)
    count = np.bincount(row[good], minlength=int(row.max()) + 1)
    total = np.bincount(row[good], weights=values[good], minlength=len(count))
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return stamps.min() + np.arange(len(count)), mean


def fill(values: Line) -> Line:
    """Return values with gaps bridged by a straight line, the ends held; all NaN where there is no sample."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    return np.interp(np.arange(len(values)), known, values[known])


def cases(name: str, hours: npt.NDArray[np.datetime64], values: Line) -> list[Case]:
    """Return a series cut at its last three weekly origins, oldest first; fewer where it is shorter than five weeks.

    A case keeps up to seven weeks of history, at least two, and a week to forecast.
    """
    bridged, found = fill(values), []
    for week in range(_ORIGINS, 0, -1):
        origin = len(values) - week * WEEK
        begin = max(0, origin - _WEEKS_OF_HISTORY * WEEK)
        if origin - begin >= 2 * WEEK:
            ahead = slice(origin, origin + WEEK)
            known = slice(begin, origin)
            found.append(Case(name, hours[origin], values[known], values[ahead], bridged[known], bridged[ahead]))
    return found


def hourly_cases(folder: Path) -> list[Case]:
    """Return the cases of every series below a folder.

    Where a folder `realAdExchange` lies below it (the layout of the NAB corpus), its files are taken; else every CSV.

    Raises
    ------
    NotFound
        If there is no CSV file.
    InvalidInput
        If none is three weeks long.
    """
    paths = sorted(Path(folder).rglob("*.csv"))
    chosen = [path for path in paths if path.parent.name == _FOLDER] or paths
    if not chosen:
        raise NotFound(f"{folder} holds no CSV file: give a folder of series with the columns timestamp and value.")
    made = [case for path in chosen for case in cases(path.relative_to(folder).as_posix(), *read_hourly(path))]
    if not made:
        raise InvalidInput(f"no series below {folder} spans three weeks: give longer ones.")
    return made
