"""The anomalies of a window, with all that is needed to draw them, explain them and ask again with another alarm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.calibration import Calibration
from workbench.detect.events import tags_of
from workbench.detect.insight import insight
from workbench.detect.robust import Block
from workbench.detect.scan import Scan
from workbench.detect.threshold import Alarm
from workbench.detect.words import plain, series_text
from workbench.errors import NotFound

__all__ = ["Anomalies", "explain", "find_anomalies"]

Window = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, eq=False)
class Anomalies:
    """What is strange in a metrics array.

    Attributes
    ----------
    events : DataFrame
        Events of kind "anomaly", as `insight` describes them.
    scan : Scan
        Series, scores, surprise by feature and expected band, with the history before the window.
    alarm : Alarm
    window : (datetime64[ns], datetime64[ns])
        What was asked for, half-open.
    factor : ndarray of float64, shape (n, t), or None
        What thresholds were multiplied with by deploys and planned load.
    past : DataFrame or None
        Stored anomalies that were compared with.
    """

    events: pd.DataFrame
    scan: Scan
    alarm: Alarm
    window: Window
    factor: Block | None = None
    past: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        n, found = self.scan.scores.shape[0], len(self.events)
        first, last = (str(t.astype("datetime64[s]")) for t in self.window)
        blind = n - int(self.judged.sum())
        short = f"; {blind} have too short a past to be judged" if blind else ""
        head = f"<Anomalies: {found} in {n} series by {plain(self.scan.detector, 100)}, {first} to {last} UTC{short}>"
        return "\n".join([head, *(f"  {when:%Y-%m-%d %H:%M:%S}  {title}" for when, title in self._told(10))])

    def _told(self, most: int) -> list[tuple[pd.Timestamp, str]]:
        shown = self.events.head(most)
        return list(zip(shown["time"], shown["title"], strict=True))

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Row of the scan that each event is about, int64 of shape (m,)."""
        tags = tags_of(self.scan.metrics, np.arange(self.scan.metrics.sizes["series"]))
        at = {series_text(tag): row for row, tag in enumerate(tags)}
        return np.array([at[text] for text in self.events["series"]], np.int64)

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Whether each series has samples in the window and enough of them to be judged by, bool of shape (n,)."""
        inside = (self.scan.time >= self.window[0]) & (self.scan.time < self.window[1])
        known = np.isfinite(self.scan.scores)
        return np.asarray(known[:, inside].any(axis=1) & (known.sum(axis=1) > Calibration().least), np.bool_)

    def explain(self, row: int = 0) -> str:
        """Return one anomaly in words, by its row in `events`."""
        if not -len(self.events) <= row < len(self.events):
            raise NotFound(f"there is no anomaly {row}: {len(self.events)} were found.")
        return explain(self.events.iloc[row])

    def again(self, alarm: Alarm) -> Anomalies:
        """Return what another alarm makes of the same scores; nothing is scored anew."""
        events = insight(self.scan, alarm, factor=self.factor, window=self.window, past=self.past)
        return replace(self, events=events, alarm=alarm)

    def show(self, panel: str = "anomalies", **options: Any) -> Any:
        """Return the panel `anomalies`, or `anomaly_explorer`; options are those of its `prepare`."""
        from workbench import registry

        return registry.load("workbench.panels", panel)().figure(self, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.show()._repr_mimebundle_(include, exclude)


def find_anomalies(
    scan: Scan,
    alarm: Alarm | None = None,
    *,
    window: Window | None = None,
    factor: Block | None = None,
    past: pd.DataFrame | None = None,
) -> Anomalies:
    """Return the anomalies of a scan; parameters are those of `insight`, the window is all of it by default."""
    chosen = Alarm() if alarm is None else alarm
    events = insight(scan, chosen, factor=factor, window=window, past=past)
    return Anomalies(events, scan, chosen, _window(scan) if window is None else window, factor, past)


def _window(scan: Scan) -> Window:
    time = scan.time
    if not len(time):
        zero = np.datetime64(0, "ns")
        return zero, zero + np.timedelta64(1, "s")
    return time[0], time[-1] + np.timedelta64(int(scan.step * 1e9), "ns")


def explain(event: pd.Series) -> str:
    """Return one anomaly event in words: what happened, since when, what is strange, how rare, what moved with it.

    Parameters
    ----------
    event : Series
        A row of an events frame; one that another program made has its title told, and its expected band if it is known.
    """
    text = event.get("description")
    if isinstance(text, str) and text:
        return plain(text, 2_000)
    when = "" if pd.isna(event["time"]) else f" Since {event['time']:%Y-%m-%d %H:%M:%S} UTC."
    return plain(event["title"]) + "." + when
