"""What pictures of the future show: history, what comes next, its band, a limit; and a table beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.diagnose.investigation import Window

__all__ = ["LOOKS_BACK", "Outlook", "OutlookData", "names", "window"]

LOOKS_BACK = "An investigation looks back, this panel ahead: give it what bench.forecast or bench.capacity returns."


@dataclass(frozen=True, eq=False)
class Outlook:
    """One chart: a series, its past and its future.

    Attributes
    ----------
    title, unit, says : str
        `says` is one sentence on what is shown.
    past : ndarray of datetime64[ns], shape (p,)
    history : ndarray of float64, shape (p,)
    time : ndarray of datetime64[ns], shape (t,)
    point, low, high : ndarray of float64, shape (t,)
    limit : float
        NaN for none.
    """

    title: str
    unit: str
    says: str
    past: npt.NDArray[np.datetime64]
    history: npt.NDArray[np.float64]
    time: npt.NDArray[np.datetime64]
    point: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    limit: float = float("nan")


@dataclass(frozen=True, eq=False)
class OutlookData:
    """Charts and a table; `kind` is the panel, `band` says what the band is, `more` charts were left out.

    `figures` are the columns of numbers; `note` says why there is nothing.
    """

    kind: str
    title: str
    subtitle: str
    band: str
    charts: tuple[Outlook, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[int, ...]
    more: int = 0
    note: str = ""


def names(labels: pd.DataFrame) -> list[str]:
    """Return what to call each series: its metric and the labels that differ between series."""
    if not len(labels):
        return []
    told = [c for c in labels.columns if c != "metric" and labels[c].nunique() > 1]
    told = told or [c for c in labels.columns if c == "service"]
    out = []
    for row in labels.to_dict("records"):
        inner = ", ".join(f"{c}={row[c]}" for c in told if row[c])
        metric = str(row.get("metric", ""))
        out.append(f"{metric} ({inner})" if metric and inner else metric or inner or "series")
    return out


def window(chart: Outlook) -> Window:
    """Return the instants that a chart spans."""
    ends = np.concatenate([chart.past[:1], chart.past[-1:], chart.time[:1], chart.time[-1:]])
    if not len(ends):
        zero = np.datetime64(0, "ns")
        return zero, zero + np.timedelta64(1, "s")
    return ends.min(), max(ends.max(), ends.min() + np.timedelta64(1, "s"))
