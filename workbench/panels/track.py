"""What a picture of anomalies shows of one series: its line and band, what each feature thought, where it alarmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.detect import Scan
from workbench.detect.surprise import HIGHEST
from workbench.diagnose.investigation import Window
from workbench.panels.data import Episode
from workbench.panels.outlook import Outlook

__all__ = ["AnomaliesData", "Track", "shown_part", "track"]

_CELLS = 96
"""Cells of a strip of scores."""
_NOTHING = np.empty(0)


@dataclass(frozen=True, eq=False)
class Track:
    """One series.

    Attributes
    ----------
    chart : Outlook
        The line (`point`) with the expected band (`low`, `high`); `says` tells the worst anomaly.
    features : tuple of str
        Names of the k strips; the last is the score itself.
    edges : ndarray of datetime64[ns], shape (c + 1,)
        Where cells begin and end.
    strength : ndarray of float64, shape (k, c)
        Highest surprise in each cell as a share of the highest there is, 0 to 1; NaN where there is none.
    episodes : tuple of Episode
        Where it alarmed.
    titles : tuple of str
        What each of them is.
    parts : tuple of Outlook
        Trend, season and rest where they were asked for.
    """

    chart: Outlook
    features: tuple[str, ...]
    edges: npt.NDArray[np.datetime64]
    strength: npt.NDArray[np.float64]
    episodes: tuple[Episode, ...] = ()
    titles: tuple[str, ...] = ()
    parts: tuple[Outlook, ...] = ()


@dataclass(frozen=True, eq=False)
class AnomaliesData:
    """Tracks, and a table of the anomalies; `more` series are not drawn.

    `quiet` is said where there are no anomalies, `note` where series could not be judged, or nothing be drawn.
    """

    title: str
    window: Window
    tracks: tuple[Track, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0
    quiet: str = ""
    note: str = ""


def shown_part(scan: Scan, window: Window) -> slice:
    """Return the columns to draw: the window, and as much before it."""
    time, (first, last) = scan.time, window
    if not len(time):
        return slice(0, 0)
    begin = int(np.searchsorted(time, first - (last - first)))
    return slice(min(begin, len(time) - 1), len(time))


def track(
    scan: Scan, row: int, name: str, unit: str, cells: slice, episodes: Sequence[Episode], titles: Sequence[str]
) -> Track:
    """Return one series of a scan with its alarms, without its parts."""
    time = scan.time[cells]
    worst = titles[int(np.argmax([each.score for each in episodes]))] if episodes else "nothing unusual"
    edges, strength = _strips(scan, row, cells)
    low, high = scan.band.low[row, cells], scan.band.high[row, cells]
    chart = Outlook(name, unit, worst, time[:0], _NOTHING, time, scan.values[row, cells], low, high)
    return Track(chart, (*scan.features, "score"), edges, strength, tuple(episodes), tuple(titles))


def _strips(scan: Scan, row: int, cells: slice) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """Return the edges of cells and the highest surprise in each, as a share; the score comes last."""
    time = scan.time[cells]
    if not len(time):
        return time, np.empty((len(scan.features) + 1, 0))
    surprise = np.concatenate([scan.parts[:, row, cells] / HIGHEST, scan.scores[None, row, cells]]).astype(np.float64)
    starts = np.unique(np.linspace(0, len(time), min(_CELLS, len(time)) + 1)[:-1].astype(int))
    highest = np.fmax.reduceat(surprise, starts, axis=1)
    step = np.timedelta64(int(scan.step * 1e9), "ns")
    return np.append(time[starts], time[-1] + step), np.clip(highest, 0.0, 1.0)
