"""The anomalies of a scan, and what each series says about its own: shares, distances, words, how rare."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.account import View, headline, reasons
from workbench.detect.events import levels, tags_of, units_of
from workbench.detect.likeness import signature
from workbench.detect.robust import Block
from workbench.detect.scan import Scan
from workbench.detect.severity import severity
from workbench.detect.threshold import Alarm
from workbench.detect.words import lasted, named, plain

__all__ = ["Cases"]

_SIDES = ("center", "low", "high")


class Cases:
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
