"""From scores to alarms: how high is high enough, here, now, and among so many series.

A threshold is a number for one series at a step of five minutes or more. Three things raise it: a finer step, as there
are more samples a day to be unlucky with; many series looked at together (the share of false alarms is held, not their
number); and what is known of the moment, such as a deploy or a planned load.

References
----------
Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B, 1995.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.detector import as_block
from workbench.detect.episodes import episodes
from workbench.detect.refractory import Refractory
from workbench.detect.surprise import Block
from workbench.errors import InvalidInput, ShapeError

__all__ = ["Alarm", "discoveries", "expectations"]

_COARSE = 300.0
_DECADE = 0.2
"""What a ten times finer step adds: measured on generated series at ten seconds, 2.4 of surprise over 1.5 decades."""
_SERIES = 0.06
"""What ten times as many series add: on fault-free series the score rises by about this for a ten times rarer one."""


@dataclass(frozen=True)
class Alarm:
    """When scores in [0, 1] become an alarm, and when that is over.

    Attributes
    ----------
    threshold : float
        Score of an alarm for one series at steps of five minutes or more.
    refractory : Refractory
        What an alarm covers.
    close : float
        Share of the threshold below which a score counts as quiet.
    recovery : float
        Seconds of quiet that end an alarm; three steps where these are longer.
    fleet : bool
        Whether the share of false discoveries among the series of one step is held.
    """

    threshold: float = 0.15
    refractory: Refractory = field(default=Refractory())
    close: float = 0.5
    recovery: float = 900.0
    fleet: bool = True

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        if not (0 < self.threshold <= 1 and 0 <= self.close <= 1 and self.recovery >= 0):
            raise InvalidInput(f"{self} cannot work: 0 < threshold <= 1, 0 <= close <= 1 and recovery >= 0 are needed.")

    def at(self, step: float) -> float:
        """Return the threshold at a step of so many seconds."""
        return min(1.0, self.threshold + _DECADE * max(0.0, float(np.log10(_COARSE / step))))

    def fires(self, scores: Block, *, step: float = 60.0, factor: Block | None = None) -> Block:
        """Return the scores that alarm, 0 for those that do not, NaN where there is none; shape (n, t).

        Parameters
        ----------
        scores : ndarray of float64, shape (n, t)
            From 0 to 1.
        step : float, optional
            Seconds between columns.
        factor : ndarray of float64, shape (n, t), optional
            What the threshold is multiplied with where something was to be expected, as `expectations` gives it.
        """
        block = as_block(scores)
        if factor is not None and factor.shape != block.shape:
            raise ShapeError(f"factors have shape {factor.shape}, the scores {block.shape}: give one for each.")
        least = self.at(step)
        judged = block if factor is None else block / np.maximum(factor, 1.0)
        if self.fleet and len(block) > 1:
            judged = np.where(discoveries(judged, least) | np.isnan(judged), judged, 0.0)
        return self.refractory.apply(judged, step=step, least=least)

    def episodes(self, scores: Block, *, step: float = 60.0, factor: Block | None = None) -> pd.DataFrame:
        """Return the alarms with their ends, as `workbench.detect.episodes` does.

        An alarm ends where scores stay below `close` of the threshold for `recovery`; one that fires before that is
        part of it.
        """
        block = as_block(scores)
        least = self.at(step)
        fired = self.fires(block, step=step, factor=factor) > 0
        # An alarm opens an episode; scores keep it open, but do not open one.
        quiet = max(3, int(self.recovery / step))
        state = np.where(fired, 2.0, np.where(block >= self.close * least, 1.0, np.where(np.isnan(block), np.nan, 0.0)))
        found = episodes(state, 2.0, close=1.0, close_after=quiet)
        return found.assign(score=[_peak(block, *row) for row in _spans(found)], peak=_places(block, found))


def _spans(found: pd.DataFrame) -> list[tuple[int, int, int]]:
    columns = (found[name].tolist() for name in ("series", "start", "end"))
    return list(zip(*columns, strict=True))


def _peak(block: Block, series: int, start: int, end: int) -> float:
    return float(np.nanmax(block[series, start:end]))


def _places(block: Block, found: pd.DataFrame) -> list[int]:
    return [start + int(np.nanargmax(block[series, start:end])) for series, start, end in _spans(found)]


def discoveries(scores: Block, threshold: float) -> npt.NDArray[np.bool_]:
    """Return which scores stand out among those of the same column, shape (n, t).

    The k-th highest of m has to pass `threshold` and as much more as a series that is m / k times as rare would: with
    many alarms at once, each of them is believed more easily (Benjamini and Hochberg's step-up rule, on the scale of
    scores).

    Parameters
    ----------
    scores : ndarray of float64, shape (n, t)
        From 0 to 1; NaN is none and is not counted.
    threshold : float
        For one series.
    """
    block = np.where(np.isnan(scores), -1.0, scores)
    if not block.size:
        return np.zeros(block.shape, bool)
    count = (block >= 0).sum(axis=0)
    falling = -np.sort(-block, axis=0)
    rank = np.arange(1, len(block) + 1)[:, None]
    needed = threshold + _SERIES * np.log10(np.maximum(count, 1) / rank)
    passed = (falling >= needed) & (rank <= count)
    last = np.where(passed.any(axis=0), len(block) - 1 - passed[::-1].argmax(axis=0), -1)
    lowest = np.where(last >= 0, np.take_along_axis(falling, np.maximum(last, 0)[None], 0)[0], np.inf)
    found: npt.NDArray[np.bool_] = block >= lowest
    return found


def expectations(
    services: list[str],
    time: npt.NDArray[np.datetime64],
    events: pd.DataFrame,
    *,
    factor: float = 1.5,
    settle: float = 900.0,
) -> Block:
    """Return what the threshold of each series is multiplied with, shape (n, t), by what was known to happen.

    Parameters
    ----------
    services : list of str
        Service of each series, "" for none: that one is reached by events of no service only.
    time : ndarray of datetime64[ns], shape (t,)
    events : DataFrame
        Events; of kind deploy, config, scale, flag and note, from `time` to `end`, or for `settle` seconds.
    factor : float, optional
        At least 1.
    settle : float, optional
    """
    if not factor >= 1 or not settle >= 0:
        raise InvalidInput(f"factor={factor} and settle={settle} were given: at least 1 and at least 0 are needed.")
    out = np.ones((len(services), len(time)))
    planned = events[events["kind"].isin(["deploy", "config", "scale", "flag", "note"])]
    names = np.array(services, dtype=object)
    begin = planned["time"].to_numpy().astype("datetime64[ns]")
    end = planned["end"].to_numpy().astype("datetime64[ns]")
    end = np.where(np.isnat(end), begin + np.timedelta64(int(settle * 1e9), "ns"), end)
    for service, a, b in zip(planned["service"].tolist(), begin, end, strict=True):
        rows = np.flatnonzero(names == service) if service else np.arange(len(services))
        out[np.ix_(rows, np.flatnonzero((time >= a) & (time < b)))] = factor
    return out
